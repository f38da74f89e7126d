/** What a member may conclude from a view about partitions: the rules of taking and of keeping. */
import type { ClusterView, Lease } from './cluster-metadata.ts'

export interface BeatTiming {
  readonly beatIntervalMs: number
  readonly memberTimeToLiveMs: number
}

/**
 * Whether a partition may be taken that one did not own before. After a new incarnation owners have two
 * beats to see it and one time to live to come back from wherever they were.
 */
export function mayTakeOver(view: ClusterView, timing: BeatTiming): boolean {
  return view.incarnationAgeMs >= 2 * timing.beatIntervalMs + timing.memberTimeToLiveMs
}

/**
 * ours: go on. reclaim: the store lost the lease or is behind; acquire it with the own epoch as the floor
 * and go on meanwhile. lost: somebody took it after us; stop without another write.
 */
export type LeaseStanding = 'ours' | 'reclaim' | 'lost'

/** How an owner stands that holds a partition with `epoch`. */
export function leaseStanding(
  lease: Lease | undefined,
  member: string,
  epoch: number,
): LeaseStanding {
  if (lease === undefined) return 'reclaim'
  // a call that we gave up may have made it greater: asked again we know it
  if (lease.owner === member) return lease.epoch === epoch ? 'ours' : 'reclaim'
  if (lease.owner === '') return lease.epoch <= epoch ? 'reclaim' : 'lost'
  // equal epochs come from a store that lost our write and gave the same epoch again: it says whose
  return lease.epoch < epoch ? 'reclaim' : 'lost'
}
