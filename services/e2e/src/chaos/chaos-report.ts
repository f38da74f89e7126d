/** What a chaos run did and found: collected while it runs, as JSON and as a table for people. */
import type { ProcessRole } from '../cluster/cluster-process.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Ledger, LedgerTotals } from '../ledger/ledger.ts'
import type { ChaosLoad } from './chaos-load.ts'
import type { ChaosOptions } from './chaos-run.ts'
import type { Fault } from './fault.ts'
import type { Obstacle } from './fault-deck.ts'
import { RESIDENT_MIB_MAX } from './memory-bounds.ts'
import type { ProofFindings } from './proof.ts'

export interface FaultCount {
  readonly id: string
  readonly name: string
  /** Times that it was done. */
  done: number
  /** Times that it came to nothing: the crash point was not passed in time. */
  missed: number
}

export interface ChaosResult {
  readonly seed: number
  readonly minutes: number
  readonly routers: number
  readonly ingesters: number
  readonly partitions: number
  readonly seconds: number
  readonly rounds: number
  readonly faults: readonly FaultCount[]
  readonly obstacles: readonly Obstacle[]
  readonly proofs: number
  readonly rows: number
  readonly files: number
  readonly commits: number
  readonly ledger: LedgerTotals
  readonly answers: Readonly<Record<string, number>>
  readonly latencyMs: Readonly<Record<'p50' | 'p99' | 'max', number>>
  readonly recoveryMs: Readonly<Record<'p50' | 'p99' | 'max', number>>
  /** The most that a process of the role had, over the run. */
  readonly residentMib: Readonly<Record<string, number>>
  readonly openFiles: Readonly<Record<string, number>>
  readonly starts: number
  readonly unexpectedEnds: number
  /** Empty: every invariant held. */
  readonly problems: readonly string[]
}

const PROBLEMS_MAX = 50
const MIB = 1024 * 1024

export class ChaosReport {
  readonly #options: ChaosOptions
  readonly #startMs = performance.now()
  readonly #faults = new Map<string, FaultCount>()
  readonly #recoveries: number[] = []
  readonly #resident = new Map<ProcessRole, number>()
  readonly #openFiles = new Map<string, number>()
  readonly #problems: string[] = []
  #proofs = 0
  #last: ProofFindings | undefined
  obstacles: readonly Obstacle[] = []

  constructor(options: ChaosOptions) {
    this.#options = options
  }

  get isBroken(): boolean {
    return this.#problems.length > 0
  }

  problem(text: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(text)
    this.#options.report(`! ${text}`)
  }

  noteFault({ id, name }: Fault, isDone: boolean): void {
    const count = this.#faults.get(name) ?? { id, name, done: 0, missed: 0 }
    if (isDone) count.done++
    else count.missed++
    this.#faults.set(name, count)
  }

  noteRecovery(durationMs: number): void {
    this.#recoveries.push(durationMs)
  }

  noteProof(findings: ProofFindings): void {
    this.#proofs++
    this.#last = findings
    for (const problem of findings.problems) this.problem(problem)
    for (const violation of findings.judgement.violations) this.problem(JSON.stringify(violation))
  }

  noteUsage(cluster: Cluster): void {
    for (const { role, current } of cluster.processes) {
      const usage = current?.usage()
      if (usage === undefined) continue
      const { residentBytes, openFiles } = usage
      const mib = Math.round(residentBytes / MIB)
      this.#resident.set(role, Math.max(mib, this.#resident.get(role) ?? 0))
      this.#openFiles.set(role, Math.max(openFiles, this.#openFiles.get(role) ?? 0))
    }
  }

  result(cluster: Cluster, load: ChaosLoad, ledger: Ledger): ChaosResult {
    const { seed, minutes, routers, ingesters, partitions } = this.#options
    const ends = cluster.processes.flatMap((each) => each.ends)
    for (const { name, status, log } of ends.filter(({ isExpected }) => !isExpected)) {
      this.problem(`L2 ${name} ended with ${String(status)} by itself: ${log.slice(-1500)}`)
    }
    for (const [role, mib] of this.#resident) {
      const mibMax = RESIDENT_MIB_MAX[role]
      if (mib > mibMax) {
        this.problem(`A3 ${role}: ${String(mib)} MiB, its bounds add up to ${String(mibMax)}`)
      }
    }
    const faults = [...this.#faults.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
    return {
      ...{ seed, minutes, routers, ingesters, partitions },
      seconds: Math.round((performance.now() - this.#startMs) / 1000),
      rounds: this.#recoveries.length,
      faults,
      obstacles: this.obstacles,
      proofs: this.#proofs,
      rows: this.#last?.judgement.rows ?? 0,
      files: this.#last?.files ?? 0,
      commits: this.#last?.commits ?? 0,
      ledger: ledger.totals(),
      answers: load.answers(),
      latencyMs: quantiles(load.latencies()),
      recoveryMs: quantiles(this.#recoveries),
      residentMib: Object.fromEntries(this.#resident),
      openFiles: Object.fromEntries(this.#openFiles),
      starts: cluster.processes.reduce((sum, { starts }) => sum + starts, 0),
      unexpectedEnds: ends.filter(({ isExpected }) => !isExpected).length,
      problems: this.#problems,
    }
  }
}

function quantiles(values: readonly number[]): Record<'p50' | 'p99' | 'max', number> {
  const sorted = values.toSorted((left, right) => left - right)
  const at = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

/** Lines for a terminal. */
export function chaosTable(result: ChaosResult): string[] {
  const { ledger, latencyMs, recoveryMs, problems } = result
  const done = result.faults.reduce((sum, fault) => sum + fault.done, 0)
  return [
    `seed ${String(result.seed)}: ${String(done)} faults in ${String(result.rounds)} rounds and ` +
      `${String(result.seconds)} s, ${String(result.starts)} process starts`,
    `acknowledged ${String(ledger.acknowledged)} items, stored ${String(result.rows)} rows in ` +
      `${String(result.files)} files and ${String(result.commits)} commits; ` +
      `${String(ledger.retries)} retries, ${String(ledger.rejected)} rejected items, ` +
      `${String(ledger.requests.indeterminate)} requests given up, ${String(ledger.unsent)} unsent`,
    `ready again after ${String(recoveryMs.p50)} ms (p50), ${String(recoveryMs.max)} ms (max); ` +
      `OK after ${String(latencyMs.p50)} ms (p50), ${String(latencyMs.p99)} ms (p99), outages included`,
    `memory at most ${JSON.stringify(result.residentMib)} MiB, files ${JSON.stringify(result.openFiles)}`,
    ...result.faults.map(
      ({ id, name, done: times, missed }) =>
        `  ${id.padEnd(5)} ${name.padEnd(58)} ${String(times).padStart(4)}` +
        (missed > 0 ? `  (${String(missed)} came to nothing)` : ''),
    ),
    ...result.obstacles
      .filter(({ reason }) => !reason.endsWith(' here'))
      .map(({ id, name, reason }) => `  ${id.padEnd(5)} ${name}: not done, ${reason}`),
    problems.length === 0 ? 'every invariant held' : `${String(problems.length)} PROBLEMS`,
    ...problems.map((problem) => `! ${problem}`),
  ]
}
