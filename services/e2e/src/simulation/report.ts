/** Sums over seeds, for people and for machines. */
import type { RunOutcome } from './simulate.ts'
import type { Violation } from './violations.ts'

export interface SeedViolations {
  readonly seed: number
  readonly violations: readonly Violation[]
}

export interface Report {
  readonly seeds: number
  readonly violations: readonly SeedViolations[]
  readonly virtualSeconds: number
  readonly cpuSeconds: number
  readonly events: number
  readonly faults: number
  readonly requests: number
  readonly acknowledged: number
  readonly records: number
  readonly rowsStored: number
  readonly commits: number
  readonly files: number
  readonly processes: number
  readonly refusedCommits: number
  readonly ownerChanges: number
  readonly rowsSuppressed: number
  readonly rowsQuarantined: number
}

/** Seeds that are listed one by one. */
const LISTED_MAX = 20
/** Violations that are told of each: the first is the cause more often than not. */
const TOLD_MAX = 3

export function emptyReport(): Report {
  return {
    seeds: 0,
    violations: [],
    virtualSeconds: 0,
    cpuSeconds: 0,
    events: 0,
    faults: 0,
    requests: 0,
    acknowledged: 0,
    records: 0,
    rowsStored: 0,
    commits: 0,
    files: 0,
    processes: 0,
    refusedCommits: 0,
    ownerChanges: 0,
    rowsSuppressed: 0,
    rowsQuarantined: 0,
  }
}

export function withOutcome(report: Report, outcome: RunOutcome): Report {
  const { seed, violations } = outcome
  return merged(report, {
    ...outcome,
    seeds: 1,
    violations: violations.length === 0 ? [] : [{ seed, violations }],
    virtualSeconds: outcome.virtualMs / 1000,
    cpuSeconds: 0,
  })
}

export function merged(left: Report, right: Report): Report {
  return {
    seeds: left.seeds + right.seeds,
    violations: [...left.violations, ...right.violations],
    virtualSeconds: left.virtualSeconds + right.virtualSeconds,
    cpuSeconds: left.cpuSeconds + right.cpuSeconds,
    events: left.events + right.events,
    faults: left.faults + right.faults,
    requests: left.requests + right.requests,
    acknowledged: left.acknowledged + right.acknowledged,
    records: left.records + right.records,
    rowsStored: left.rowsStored + right.rowsStored,
    commits: left.commits + right.commits,
    files: left.files + right.files,
    processes: left.processes + right.processes,
    refusedCommits: left.refusedCommits + right.refusedCommits,
    ownerChanges: left.ownerChanges + right.ownerChanges,
    rowsSuppressed: left.rowsSuppressed + right.rowsSuppressed,
    rowsQuarantined: left.rowsQuarantined + right.rowsQuarantined,
  }
}

export function reportLines(report: Report, seconds: number): string[] {
  const { seeds, violations, virtualSeconds, cpuSeconds } = report
  const perSeedMs = ((1000 * cpuSeconds) / seeds).toFixed(1)
  return [
    `${String(seeds)} seeds, ${String(violations.length)} with violations`,
    `${seconds.toFixed(0)} s, ${cpuSeconds.toFixed(0)} s of CPU (${perSeedMs} ms a seed), ${(virtualSeconds / 3600).toFixed(1)} h of virtual time`,
    `${String(report.faults)} faults, ${String(report.processes)} starts of processes, ${String(report.ownerChanges)} commits of another owner than the one before, ${String(report.refusedCommits)} refused`,
    `${String(report.acknowledged)} of ${String(report.requests)} requests acknowledged, ${String(report.records)} records in the log`,
    `${String(report.rowsStored)} rows in ${String(report.files)} files of ${String(report.commits)} commits; ${String(report.rowsSuppressed)} came again, ${String(report.rowsQuarantined)} in quarantine`,
    ...violations.slice(0, LISTED_MAX).map(({ seed, violations: found }) => {
      return `seed ${String(seed)}: ${found.slice(0, TOLD_MAX).map(textOf).join('; ')}`
    }),
  ]
}

function textOf({ invariant, what }: Violation): string {
  return `${invariant} ${what}`
}
