/**
 * The port to what the processes of a cluster tell each other: who is alive and how loaded, who
 * owns which partition. Redis stands behind it. All of it can be lost at any moment: safety is in the
 * commit chain, this is only liveness.
 *
 * A member lives as long as its last beat is younger than the time to live it gave, by the clock of
 * the store alone; time in which nobody reached the store counts against nobody. A lease is held
 * while its owner lives. Epochs of a partition ascend: whoever acquires gets one above every epoch
 * known to the store and above the given floor (the chain's). A call that timed out may still be
 * executed, but not after a later one of the same member: then it changes nothing.
 */
import assert from 'node:assert/strict'

/** The JSON of a member's role: it travels with every beat and with every view. */
export const MEMBER_STATUS_BYTES_MAX = 16 * 1024
/** Past it a new member is refused: at 16 KiB each a view would be 16 MiB. */
export const MEMBERS_MAX = 1000

export type MemberRole = 'router' | 'ingester'

export interface Member {
  /** Unique to this start of the process. */
  readonly id: string
  /** The pod or host: stays over restarts. */
  readonly name: string
  readonly role: MemberRole
  /** Where others reach its internal gRPC services, host:port. */
  readonly address: string
  /** Gives its partitions away and takes none. */
  readonly isDraining: boolean
  /** Bounded JSON of the role (load, rates); opaque here. */
  readonly status: string
}

export interface Lease {
  readonly partition: number
  /** Id of a member that lives, '' when nobody holds it; then the epoch is that of the last owner. */
  readonly owner: string
  readonly epoch: number
}

export interface ClusterView {
  /**
   * Random, made by the first call that writes; '' before. Another one means that all was lost or that
   * the store went back in time (an old backup, a failover): leases in it may be those of the past.
   */
  readonly incarnation: string
  /** Age of the incarnation by the store's clock: nobody takes a partition before it is old enough. */
  readonly incarnationAgeMs: number
  /** Those whose beat is young enough. */
  readonly members: readonly Member[]
  readonly leases: ReadonlyMap<number, Lease>
}

export interface AcquireRequest {
  readonly partition: number
  /** Id of the member that asks. */
  readonly member: string
  /** The epoch given is above this: the chain's last, or the one held before the store was lost. */
  readonly epochFloor: number
  /** The same id again gives the same answer: a lost answer is asked for again. */
  readonly requestId: string
}

export type AcquireOutcome =
  | { readonly kind: 'acquired'; readonly epoch: number }
  | { readonly kind: 'held'; readonly lease: Lease }

/** All methods throw AppError metadata_unavailable: the outcome is unknown, read it back. */
export interface ClusterMetadata {
  /** Says that the member lives for `timeToLiveMs` from now, and reads everything, in one round trip. */
  beat(member: Member, timeToLiveMs: number): Promise<ClusterView>
  /** Reads without being a member. */
  view(): Promise<ClusterView>
  /**
   * Takes a partition whose lease is free, whose owner is dead, that the member holds already, or whose
   * epoch in the store is below the floor: then the store is behind and its owner is history. A
   * member that does not live (it has not beaten, or too long ago) gets nothing.
   */
  acquire(request: AcquireRequest): Promise<AcquireOutcome>
  /** Frees a lease that the member holds with this epoch; nothing happens where it does not. */
  release(partition: number, member: string, epoch: number): Promise<void>
  /** Ends a membership before its time; its leases are free. */
  leave(member: string): Promise<void>
  close(): Promise<void>
}

/** How long the store remembers that a member left, so that a late beat does not bring it back. */
export const LEFT_MEMBER_KEPT_MS = 60_000

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}$/

/** Ours to get right: ids and request ids stand in the store's own format between spaces. */
export function checkMember(member: Member, timeToLiveMs: number): void {
  assert.match(member.id, NAME, 'a member id is a short word')
  assert.ok(Number.isInteger(timeToLiveMs) && timeToLiveMs > 0, 'a time to live is whole ms')
  const statusBytes = Buffer.byteLength(member.status)
  assert.ok(statusBytes <= MEMBER_STATUS_BYTES_MAX, 'a status keeps its bound')
}

export function checkAcquire(request: AcquireRequest): void {
  const { partition, member, epochFloor, requestId } = request
  assert.ok(Number.isInteger(partition) && partition >= 0, 'a partition is a number from 0 on')
  assert.ok(Number.isSafeInteger(epochFloor) && epochFloor >= 0, 'an epoch is a number from 0 on')
  assert.match(member, NAME, 'a member id is a short word')
  assert.match(requestId, NAME, 'a request id is a short word')
}
