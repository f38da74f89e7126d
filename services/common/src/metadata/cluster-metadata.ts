/**
 * The port to what the processes of a cluster tell each other: who is alive and how loaded, who
 * owns which partition. Redis stands behind it. All of it can be lost at any moment: safety is in the
 * commit chain, this is only liveness.
 *
 * A member lives as long as its last beat is younger than the time to live it gave, by the clock of
 * the store alone. A lease is held while its owner lives. Epochs of a partition ascend: whoever
 * acquires gets one above every epoch known to the store and above the given floor (the chain's).
 */

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
  /** Id of the member, '' when nobody holds it; then the epoch is that of the last owner. */
  readonly owner: string
  readonly epoch: number
}

export interface ClusterView {
  /** Random, made when the store was first written to; another one means that all was lost. */
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
  /** Takes a partition whose lease is free, whose owner is dead, or that the member holds already. */
  acquire(request: AcquireRequest): Promise<AcquireOutcome>
  /** Frees a lease that the member holds with this epoch; nothing happens where it does not. */
  release(partition: number, member: string, epoch: number): Promise<void>
  /** Ends a membership before its time; its leases are free. */
  leave(member: string): Promise<void>
  close(): Promise<void>
}
