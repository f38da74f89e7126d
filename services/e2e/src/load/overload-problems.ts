/** What must hold of a run of `overload-run.ts`, as sentences about what did not. */
import type { NeighbourPhase, OverloadPhase, OverloadResult } from './overload-run.ts'
import { PEAK_MIB_MAX, peakMib } from './overload-run.ts'

/** UNAVAILABLE, which a collector sends again; `unsent` never left the client. */
const RETRYABLE = ['14', 'unsent']
/** What waits for brokers longer than `--produce-timeout` is answered otherwise; clients wait 10 s. */
const OK_MS_MAX = 10_000
/** Of what was stored a second at capacity. */
const GOODPUT_SHARE_MIN = 0.5
const DRAIN_SECONDS_MAX = 60
/** What a tenant may notice of a noisy one; a few milliseconds are the machine's own noise. */
const SLOWER_MAX = 2
const NOISE_MS = 10

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
  return [...problems, ...problemsOfNeighbours(neighbours)]
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

function problemsOfNeighbours(neighbours: readonly NeighbourPhase[]): string[] {
  const [before, after] = neighbours
  if (before === undefined || after === undefined) return ['neighbours were not run']
  const problems: string[] = []
  for (const { name, load, neighbour } of neighbours) {
    const failed = Object.keys(load.failures)
    if (failed.length > 0) problems.push(`${name}: the quiet tenant heard ${failed.join(', ')}`)
    const dropped = Object.keys(neighbour.failures).filter((status) => !RETRYABLE.includes(status))
    if (dropped.length > 0) problems.push(`${name}: the noisy tenant heard ${dropped.join(', ')}`)
  }
  const [usual, beside] = [before.load.latencyMs.p50, after.load.latencyMs.p50]
  if (beside > SLOWER_MAX * usual + NOISE_MS) {
    problems.push(`${after.name}: an OK takes ${String(beside)} ms, ${String(usual)} ms before`)
  }
  return problems
}

function okPerSecond({ load }: OverloadPhase): number {
  return load.requests / load.seconds
}
