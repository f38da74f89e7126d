/**
 * How many ingesters there should be: a pure function of what was seen and decided before and what is
 * seen now. It adds several at a time, soon, and removes one at a time, late: too few cost freshness,
 * one too many costs a pod.
 *
 *     pressure  lag above its target and not catching up, or memory nearly full
 *     calm      lag below half of its target, and those that would remain neither full nor busy
 *
 * Between the two nothing changes. A number that somebody else has set is respected as a change: it
 * starts the cool-down.
 */
import type { ClusterFigures } from './cluster-figures.ts'

export interface ScalePolicy {
  readonly replicasMin: number
  readonly replicasMax: number
  readonly lagTargetSeconds: number
  /** From 0 to 1. */
  readonly memoryShareMax: number
  readonly busyShareMax: number
  readonly outDelayMs: number
  readonly outIntervalMs: number
  readonly outStepMax: number
  readonly inCoolDownMs: number
}

/** Monotonic times. A process that starts knows nothing of those before: its start counts as a change. */
export interface ScaleHistory {
  readonly replicas: number
  /** When the number changed last, by whomever. */
  readonly changedMs: number
  readonly addedMs: number
  readonly pressureSinceMs: number | undefined
  readonly calmSinceMs: number | undefined
}

export interface ScaleDecision {
  readonly kind: 'out' | 'in' | 'hold'
  /** What should be: for `hold` what is. */
  readonly replicas: number
  /** One of few words, for metrics. */
  readonly cause: ScaleCause
  /** For people. */
  readonly reason: string
  readonly history: ScaleHistory
}

export type ScaleCause =
  | 'bounds'
  | 'lag'
  | 'memory'
  | 'calm'
  | 'steady'
  | 'paused'
  | 'stalled'
  | 'hot_partition'
  | 'limit'
  | 'delay'
  | 'settling'
  | 'cool_down'
  | 'unknown'

type Outcome = Omit<ScaleDecision, 'history'>

/** Calm needs this much less than what is pressure: what lies between is left alone. */
const CALM_LAG_SHARE = 1 / 2
const CALM_MEMORY_SHARE = 2 / 3
/** A pod that does not come for so many intervals is not waited for: its node may be gone. */
const MISSING_INTERVALS_MAX = 2

export function firstHistory(replicas: number, nowMs: number): ScaleHistory {
  return {
    replicas,
    changedMs: nowMs,
    addedMs: -Infinity,
    pressureSinceMs: undefined,
    calmSinceMs: undefined,
  }
}

export function decideScale(
  policy: ScalePolicy,
  before: ScaleHistory,
  figures: ClusterFigures,
): ScaleDecision {
  const history = follow(policy, before, figures)
  const outcome = decide(policy, history, figures)
  return { ...outcome, history }
}

/** After ingesters were added. */
export function withAdded(history: ScaleHistory, replicas: number, nowMs: number): ScaleHistory {
  return { ...forgetTrends(history), replicas, changedMs: nowMs, addedMs: nowMs }
}

/** After one was removed. */
export function withRemoved(history: ScaleHistory, replicas: number, nowMs: number): ScaleHistory {
  return { ...forgetTrends(history), replicas, changedMs: nowMs }
}

/** While nothing can be seen nothing was calm, and nothing presses. */
export function forgetTrends(history: ScaleHistory): ScaleHistory {
  return { ...history, pressureSinceMs: undefined, calmSinceMs: undefined }
}

/** What presses now, whatever was before: also ends the removal of an ingester that is under way. */
export function pressureOf(
  policy: ScalePolicy,
  figures: ClusterFigures,
): 'lag' | 'memory' | undefined {
  if (figures.memoryShare > policy.memoryShareMax) return 'memory'
  const isBehind = figures.lagSeconds > policy.lagTargetSeconds
  return isBehind && !isCatchingUp(policy, figures) ? 'lag' : undefined
}

function follow(policy: ScalePolicy, before: ScaleHistory, figures: ClusterFigures): ScaleHistory {
  const { atMs, replicas } = figures
  const isChanged = replicas !== before.replicas
  const presses = pressureOf(policy, figures) !== undefined
  const isCalm = isCalmWithout(policy, figures)
  return {
    replicas,
    changedMs: isChanged ? atMs : before.changedMs,
    addedMs: before.addedMs,
    pressureSinceMs: presses ? (before.pressureSinceMs ?? atMs) : undefined,
    calmSinceMs: isCalm && !isChanged ? (before.calmSinceMs ?? atMs) : undefined,
  }
}

function decide(policy: ScalePolicy, history: ScaleHistory, figures: ClusterFigures): Outcome {
  const { replicas } = figures
  const { replicasMin, replicasMax } = policy
  if (replicas === 0)
    return hold(figures, 'paused', 'replicas is 0: somebody has stopped ingesting')
  if (replicas < replicasMin) {
    return { kind: 'out', replicas: replicasMin, cause: 'bounds', reason: 'below the least number' }
  }
  if (replicas > replicasMax) {
    return { kind: 'in', replicas: replicas - 1, cause: 'bounds', reason: 'above the most' }
  }
  const pressure = pressureOf(policy, figures)
  if (pressure !== undefined) return decideOut(policy, history, figures, pressure)
  if (!isCalmWithout(policy, figures)) return hold(figures, 'steady', steadyReason(policy, figures))
  return decideIn(policy, history, figures)
}

function decideOut(
  policy: ScalePolicy,
  history: ScaleHistory,
  figures: ClusterFigures,
  pressure: 'lag' | 'memory',
): Outcome {
  const { atMs, replicas, working, partitions, fetchedPerSecond, lagSeconds } = figures
  const { replicasMax, lagTargetSeconds, outDelayMs, outIntervalMs } = policy
  const limit = partitions === 0 ? replicas : Math.min(replicasMax, partitions)
  if (pressure === 'lag' && fetchedPerSecond === 0 && working > 0) {
    return figures.isComplete
      ? hold(figures, 'stalled', 'nothing is fetched at all: more ingesters would not either')
      : hold(figures, 'unknown', 'not every ingester has answered')
  }
  if (pressure === 'lag' && figures.movableLagSeconds <= lagTargetSeconds && working > 0) {
    return hold(figures, 'hot_partition', 'partitions that lag have an ingester of their own each')
  }
  if (replicas >= limit) {
    return hold(figures, 'limit', `more ingesters are wanted, ${String(limit)} is the most`)
  }
  if (atMs - (history.pressureSinceMs ?? atMs) < outDelayMs) {
    return hold(figures, 'delay', 'too few ingesters, but not for long enough')
  }
  const isMissing = working < replicas
  const waitMs = isMissing ? MISSING_INTERVALS_MAX * outIntervalMs : 0
  if (atMs - history.addedMs < outIntervalMs || atMs - history.changedMs < waitMs) {
    return hold(figures, 'settling', 'ingesters were added, and are taking partitions over')
  }
  const wanted = Math.min(limit, replicas + stepOf(policy, figures))
  const reason =
    pressure === 'memory'
      ? `memory is ${percent(figures.memoryShare)} full, ${percent(policy.memoryShareMax)} is the most`
      : `fetching is ${lagSeconds.toFixed(0)} s behind, and will not be back at ${String(lagTargetSeconds)} s in time`
  return { kind: 'out', replicas: wanted, cause: pressure, reason }
}

function decideIn(policy: ScalePolicy, history: ScaleHistory, figures: ClusterFigures): Outcome {
  const { atMs, replicas } = figures
  if (replicas <= policy.replicasMin) return hold(figures, 'steady', 'the least number is enough')
  const sinceMs = Math.max(history.calmSinceMs ?? atMs, history.changedMs)
  if (atMs - sinceMs < policy.inCoolDownMs) {
    return hold(figures, 'cool_down', 'one less would do, but not for long enough')
  }
  const minutes = ((atMs - sinceMs) / 60_000).toFixed(1)
  const busy = percent(figures.busySum / (replicas - 1))
  const reason = `for ${minutes} min one less would have done, ${busy} busy each`
  return { kind: 'in', replicas: replicas - 1, cause: 'calm', reason }
}

/** Whether one ingester less would do, for all that can be seen. */
function isCalmWithout(policy: ScalePolicy, figures: ClusterFigures): boolean {
  const { replicas, working, unowned, isComplete, lagSeconds, memoryShare, busySum } = figures
  if (!isComplete || unowned > 0 || working !== replicas || replicas < 2) return false
  const left = replicas - 1
  return (
    lagSeconds <= policy.lagTargetSeconds * CALM_LAG_SHARE &&
    (memoryShare * replicas) / left <= policy.memoryShareMax * CALM_MEMORY_SHARE &&
    busySum / left <= policy.busyShareMax
  )
}

function isCatchingUp(policy: ScalePolicy, figures: ClusterFigures): boolean {
  const { backlogRecords, arrivedPerSecond, fetchedPerSecond } = figures
  const gain = fetchedPerSecond - arrivedPerSecond
  return gain > 0 && backlogRecords / gain <= policy.lagTargetSeconds
}

/** As many as the rates ask for: what arrives against what those that are there fetch. */
function stepOf(policy: ScalePolicy, figures: ClusterFigures): number {
  const { replicas, arrivedPerSecond, fetchedPerSecond } = figures
  if (fetchedPerSecond === 0) return 1
  const wanted = Math.ceil(replicas * (arrivedPerSecond / fetchedPerSecond - 1))
  return Math.max(1, Math.min(policy.outStepMax, wanted))
}

function steadyReason(policy: ScalePolicy, figures: ClusterFigures): string {
  const { replicas, working, unowned, isComplete, busySum } = figures
  if (!isComplete) return 'not every ingester has answered'
  if (working !== replicas) return `${String(working)} of ${String(replicas)} ingesters work`
  if (unowned > 0) return `${String(unowned)} partitions have no owner yet`
  if (replicas < 2) return 'one ingester is enough'
  const isBusy = busySum / (replicas - 1) > policy.busyShareMax
  return isBusy ? 'one less would be too busy' : 'neither too few nor too many'
}

function hold({ replicas }: ClusterFigures, cause: ScaleCause, reason: string): Outcome {
  return { kind: 'hold', replicas, cause, reason }
}

function percent(share: number): string {
  return `${String(Math.round(share * 100))} %`
}
