/**
 * The removal of one ingester, the one with the highest ordinal: it gives its partitions away, and
 * only when it owns nothing, or has taken too long, the StatefulSet is told. Until then it can be
 * called off, and the ingester takes its partitions again.
 */
import type { ScaleDecision } from '../decide/scale-decision.ts'

export interface ScaleIn {
  readonly pod: string
  readonly from: number
  readonly to: number
  readonly cause: ScaleDecision['cause']
  readonly reason: string
  /** Monotonic. */
  readonly begunMs: number
}

export interface ScaleInSight {
  readonly replicas: number
  /** Whether something presses for more ingesters. */
  readonly presses: boolean
  /** Partitions that the pod owns; 0 where it is no member (any more). */
  readonly owned: number
  /** Whether it takes none again: one that was not told yet may own none for a moment. */
  readonly isDraining: boolean
  readonly isMember: boolean
  readonly nowMs: number
  readonly drainTimeoutMs: number
}

export type ScaleInStep = 'wait' | 'abandon' | 'shrink' | 'shrink_undrained'

export function nextScaleInStep(scaleIn: ScaleIn, sight: ScaleInSight): ScaleInStep {
  if (sight.replicas !== scaleIn.from) return 'abandon'
  // bounds are kept whatever presses
  if (scaleIn.cause === 'calm' && sight.presses) return 'abandon'
  if (!sight.isMember) return 'shrink'
  if (sight.owned === 0 && sight.isDraining) return 'shrink'
  return sight.nowMs - scaleIn.begunMs >= sight.drainTimeoutMs ? 'shrink_undrained' : 'wait'
}
