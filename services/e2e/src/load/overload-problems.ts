/** What must hold of a run of `overload-run.ts`, as sentences about what did not. */
import type { NeighbourPhase, OverloadPhase, OverloadResult } from './overload-run.ts'
import {
  BESIDE_BOUNDED,
  BESIDE_NOISY,
  BESIDE_USUAL,
  PEAK_MIB_MAX,
  peakMib,
} from './overload-run.ts'

/** UNAVAILABLE, which a collector sends again; `unsent` never left the client. */
const RETRYABLE = ['14', 'unsent']
/** What waits for brokers longer than `--produce-timeout` is answered otherwise; clients wait 10 s. */
const OK_MS_MAX = 10_000
/** Of what was stored a second at capacity. */
const GOODPUT_SHARE_MIN = 0.5
const DRAIN_SECONDS_MAX = 60
/** RESOURCE_EXHAUSTED with RetryInfo: a tenant is over its rate. */
const OVER_RATE = '8'
/** What a tenant may notice of a noisy one; some milliseconds are the machine's own. */
const SLOWER_MAX = 2
const MACHINE_MS = 10

/** Of bounds, which hold on any machine. */
export function overloadProblems({ phases, neighbours }: OverloadResult): string[] {
  const [capacity, ...others] = phases
  if (capacity === undefined) return ['nothing was run']
  const problems = phases.flatMap(problemsOfPhase)
  for (const phase of others.filter(({ name }) => name !== 'half of it')) {
    const share = okPerSecond(phase) / okPerSecond(capacity)
    if (share < GOODPUT_SHARE_MIN) {
      problems.push(`${phase.name}: only ${share.toFixed(2)} of what capacity is was acknowledged`)
    }
  }
  const burst = phases.find(({ name }) => name === 'burst of 10x')
  if (burst !== undefined && (burst.load.failures['14'] ?? 0) === 0) {
    problems.push('burst of 10x: nothing was refused: that was no overload')
  }
  return [...problems, ...neighbours.flatMap(problemsOfNeighbour)]
}

/** Of times, which say something on a machine that does nothing else. */
export function neighbourProblems({ neighbours }: OverloadResult): string[] {
  const p50Ms = (name: string): number | undefined =>
    neighbours.find((phase) => phase.name === name)?.load.latencyMs.p50
  const usual = p50Ms(BESIDE_USUAL)
  return [BESIDE_NOISY, BESIDE_BOUNDED].flatMap((name) => {
    const beside = p50Ms(name)
    if (usual === undefined || beside === undefined) return [`${name}: was not run`]
    return beside > SLOWER_MAX * usual + MACHINE_MS
      ? [`${name}: an OK takes ${String(beside)} ms, ${String(usual)} ms otherwise`]
      : []
  })
}

function problemsOfPhase(phase: OverloadPhase): string[] {
  const { name, load, drainSeconds } = phase
  const problems: string[] = []
  const dropped = Object.keys(load.failures).filter((status) => !RETRYABLE.includes(status))
  if (dropped.length > 0) problems.push(`${name}: answers ${dropped.join(', ')}`)
  if (load.latencyMs.max > OK_MS_MAX) {
    problems.push(`${name}: an OK took ${String(load.latencyMs.max)} ms`)
  }
  for (const role of ['router', 'ingester'] as const) {
    const [mib, mibMax] = [peakMib(phase, role), PEAK_MIB_MAX[role]]
    if (mib > mibMax) problems.push(`${name}: ${role} held ${String(mib)} of ${String(mibMax)} MiB`)
  }
  if (drainSeconds > DRAIN_SECONDS_MAX) {
    problems.push(`${name}: all was committed after ${drainSeconds.toFixed(1)} s`)
  }
  return problems
}

function problemsOfNeighbour({ name, load, neighbour }: NeighbourPhase): string[] {
  const problems: string[] = []
  const failed = Object.keys(load.failures)
  if (failed.length > 0) problems.push(`${name}: the quiet tenant heard ${failed.join(', ')}`)
  if (load.latencyMs.max > OK_MS_MAX) {
    problems.push(`${name}: an OK took ${String(load.latencyMs.max)} ms`)
  }
  const allowed = name === BESIDE_BOUNDED ? [OVER_RATE, ...RETRYABLE] : RETRYABLE
  const dropped = Object.keys(neighbour.failures).filter((status) => !allowed.includes(status))
  if (dropped.length > 0) problems.push(`${name}: the noisy tenant heard ${dropped.join(', ')}`)
  if (name === BESIDE_BOUNDED && (neighbour.failures[OVER_RATE] ?? 0) === 0) {
    problems.push(`${name}: it was never over its rate`)
  }
  return problems
}

function okPerSecond({ load }: OverloadPhase): number {
  return load.requests / load.seconds
}
