/**
 * Keeps this process among the living and its partitions what they should be: beats, looks at who else
 * lives and who holds what, and steers a slot per partition towards the assignment.
 *
 * Liveness only: everything it believes may be wrong, and the commit chain stays right. Rules:
 * - While the store of leases does not answer nothing is taken and nothing given away; owners go on.
 * - While the store is young (first start, or it lost everything) nobody takes what it did not own
 *   before, until everybody had time to say what it owns.
 * - Durations come from the monotonic clock, ages from the store: no wall clock is compared.
 */
import type { Clock } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'
import type {
  ClusterMetadata,
  ClusterView,
  Lease,
} from '@tributary/common/metadata/cluster-metadata'
import type { Logger } from '@tributary/common/logger'
import { assignPartitions, eligibleNames } from './assignment.ts'
import type { PartitionSlot } from './partition-slot.ts'

export interface OwnershipOptions {
  /** Unique to this start of the process. */
  readonly member: string
  /** The pod or host: stays over restarts, decides which partitions are ours. */
  readonly name: string
  readonly address: string
  readonly metadata: ClusterMetadata
  readonly clock: Clock
  readonly logger: Logger
  readonly beatIntervalMs: number
  readonly timeToLiveMs: number
  readonly partitionCount: () => number
  readonly newSlot: (partition: number) => PartitionSlot
  /** Bounded JSON for the others. */
  readonly status: () => string
  readonly onBeat: (isAnswered: boolean) => void
  /** The store of leases has lost its past. */
  readonly onForgotten: () => void
}

/** Beats while somebody else still has to give a partition to us. */
const WAITING_INTERVAL_MS = 200
/** No longer than this: whoever has not given it away by then is stuck. */
const WAITING_MS_MAX = 30_000
/** How often a drain looks whether the next partition can be given away, at the latest. */
const DRAIN_LOOK_MS = 50
/**
 * A drain is announced for a beat before the first partition goes, so that the others know what will be
 * theirs and look out for it; not longer than this where they beat seldom.
 */
const NOTICE_MS_MAX = 2000
/** Partitions given away at a time: each pauses only for its own last flush. */
const HAND_OVERS_MAX = 2
/** A reason of our own: the default one makes an exception with a stack, at every beat. */
const PAUSE_OVER = 'the pause is over'

export class Ownership {
  readonly #options: OwnershipOptions
  readonly #slots: PartitionSlot[] = []
  readonly #ending = new AbortController()
  /** When each name was first seen without interruption, monotonic. */
  #seenSinceMs = new Map<string, number>()
  /** Since when a partition that should be ours is held by another, monotonic. */
  readonly #waitingSinceMs = new Map<number, number>()
  #assigned: { readonly key: string; readonly owners: readonly string[] } | undefined
  #incarnation: string | undefined
  /** Monotonic time at which the drain ends; undefined: there is none. */
  #drainUntilMs: number | undefined
  /** Monotonic time from which a drain gives partitions away; undefined: it was not announced. */
  #noticeEndMs: number | undefined
  /** Whether the last view had others that can own partitions. */
  #hasHeirs = false
  #isStopping = false
  /** Of all hand-overs together once this process stops, monotonic. */
  #drainEndMs = Infinity
  #running: Promise<void> | undefined
  #wake = Promise.withResolvers<void>()
  #answeredMs: number | undefined

  constructor(options: OwnershipOptions) {
    this.#options = options
  }

  get slots(): readonly PartitionSlot[] {
    return this.#slots
  }

  get isDraining(): boolean {
    if (this.#isStopping) return true
    return (
      this.#drainUntilMs !== undefined && this.#options.clock.monotonicMs() < this.#drainUntilMs
    )
  }

  /** Monotonic time of the last answered beat; undefined before the first. */
  get answeredMs(): number | undefined {
    return this.#answeredMs
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /**
   * Gives every partition away and takes none from now on; resolves when none is left. Of several holds
   * the one that ends last counts.
   * @param holdMs ends the drain after this long
   * @throws AppError cancelled where the drain ends before
   */
  async drain(holdMs = Infinity): Promise<void> {
    const untilMs = this.#options.clock.monotonicMs() + holdMs
    this.#drainUntilMs = Math.max(this.#drainUntilMs ?? untilMs, untilMs)
    // a stop that comes upon a drain has less time for it
    const noticeEndMs = this.#options.clock.monotonicMs() + this.#noticeMs()
    this.#noticeEndMs = Math.min(this.#noticeEndMs ?? noticeEndMs, noticeEndMs)
    // what is flushed while the first are given away is not flushed in the pause of the last
    for (const slot of this.#slots) slot.owner?.flushSoon()
    this.#wake.resolve()
    while (this.isDraining) {
      const busy = this.#slots.filter(({ state }) => state !== 'idle')
      if (busy.length === 0) return
      this.#handOverSome()
      const timeout = this.#options.clock.sleep(DRAIN_LOOK_MS)
      await Promise.race([timeout, ...busy.filter(isUnderWay).map((slot) => slot.settled())])
    }
    throw new AppError('cancelled', 'the drain was ended before everything was given away')
  }

  /**
   * Ends a drain: the share of partitions is taken again.
   * @param onlyHeld not one without a hold: whoever holds a drain ends his own, not that of a person
   * @throws AppError draining while it stops
   */
  resume(onlyHeld: boolean): void {
    if (this.#isStopping) throw new AppError('draining', 'the process is stopping')
    if (onlyHeld && this.#drainUntilMs === Infinity) return
    if (this.isDraining) this.#options.logger.info('the drain was ended')
    this.#drainUntilMs = undefined
    this.#noticeEndMs = undefined
    this.#wake.resolve()
  }

  /**
   * Drains, and says that this member is gone: its leases are free then. What is not given away within
   * `timeoutMs` goes without its last rows.
   */
  async stop(timeoutMs: number): Promise<void> {
    this.#isStopping = true
    this.#drainEndMs = this.#options.clock.monotonicMs() + timeoutMs
    await this.drain()
    this.#ending.abort()
    this.#wake.resolve()
    await this.#running
    await this.#options.metadata.leave(this.#options.member).catch((error: unknown) => {
      this.#options.logger.warn({ err: error }, 'membership could not be ended, it will expire')
    })
  }

  async #run(): Promise<void> {
    const { clock, beatIntervalMs } = this.#options
    while (!this.#ending.signal.aborted) {
      const startMs = clock.monotonicMs()
      await this.#beat()
      const intervalMs = this.#isWaiting() ? WAITING_INTERVAL_MS : beatIntervalMs
      const leftMs = startMs + intervalMs - clock.monotonicMs()
      await this.#pause(Math.max(0, leftMs))
    }
  }

  /** Ends early when something is to be said at once. */
  async #pause(durationMs: number): Promise<void> {
    const waking = new AbortController()
    const slept = this.#options.clock.sleep(durationMs, waking.signal).catch(() => undefined)
    await Promise.race([slept, this.#wake.promise])
    waking.abort(PAUSE_OVER)
    this.#wake = Promise.withResolvers()
  }

  async #beat(): Promise<void> {
    const { member, name, address, metadata, timeToLiveMs, status, clock, logger } = this.#options
    const { isDraining } = this
    let view: ClusterView
    try {
      view = await metadata.beat(
        { id: member, name, role: 'ingester', address, isDraining, status: status() },
        timeToLiveMs,
      )
    } catch (error) {
      this.#options.onBeat(false)
      logger.warn({ err: error }, 'no answer to a beat: partitions stay where they are')
      // leases can't be given away, but what is in memory can be committed
      if (this.isDraining) this.#handOverSome()
      return
    }
    this.#answeredMs = clock.monotonicMs()
    this.#options.onBeat(true)
    if (this.#incarnation !== undefined && view.incarnation !== this.#incarnation) {
      this.#options.onForgotten()
      logger.error({ incarnation: view.incarnation }, 'the store of leases has lost its past')
    }
    this.#incarnation = view.incarnation
    this.#steer(view)
  }

  #steer(view: ClusterView): void {
    const { clock, beatIntervalMs, timeToLiveMs, partitionCount, newSlot, name } = this.#options
    const count = partitionCount()
    while (this.#slots.length < count) this.#slots.push(newSlot(this.#slots.length))
    const isSettled = view.incarnationAgeMs >= 2 * beatIntervalMs + timeToLiveMs
    const names = eligibleNames(view.members)
    this.#see(names)
    this.#hasHeirs = names.some((other) => other !== name)
    const owners = this.#assign(count, names)
    const nowMs = clock.monotonicMs()
    const { isDraining } = this
    if (!isDraining) this.#noticeEndMs = undefined
    for (const [partition, slot] of this.#slots.entries()) {
      const lease = view.leases.get(partition)
      const wanted = isDraining ? undefined : owners[partition]
      const isOurs = wanted === name
      if (this.#keepLease(slot, lease)) {
        // a member that was only just seen may be gone again
        const isThere =
          wanted !== undefined &&
          nowMs - (this.#seenSinceMs.get(wanted) ?? nowMs) >= beatIntervalMs / 2
        if (isDraining || (!isOurs && isSettled && isThere)) this.#handOverSome(slot)
      }
      this.#claim(slot, lease, isOurs, isSettled)
      this.#noteWaiting(partition, slot, lease, isOurs, nowMs)
    }
  }

  /** Steps back from what another one holds, claims again what the store forgot; true: it is ours. */
  #keepLease(slot: PartitionSlot, lease: Lease | undefined): boolean {
    const { member } = this.#options
    const isHeld = slot.state === 'owned' || slot.state === 'opening' || slot.state === 'halted'
    if (!isHeld) return false
    if (lease?.owner === member) return true
    // a lease of a lower epoch is one of the past: the store went back to it
    const isTaken = lease !== undefined && lease.owner !== '' && lease.epoch > slot.epoch
    if (isTaken) slot.stepBack()
    else slot.reclaim()
    return !isTaken
  }

  #claim(slot: PartitionSlot, lease: Lease | undefined, isOurs: boolean, isSettled: boolean): void {
    if (slot.state !== 'idle') return
    const isLeftOver = lease?.owner === this.#options.member
    const isFree = lease === undefined || lease.owner === ''
    if (isOurs && (isLeftOver || (isFree && isSettled))) slot.take()
    else if (!isOurs && isLeftOver) slot.giveBack(lease.epoch)
  }

  #noteWaiting(
    partition: number,
    slot: PartitionSlot,
    lease: Lease | undefined,
    isOurs: boolean,
    nowMs: number,
  ): void {
    const isHeldByOther = lease !== undefined && lease.owner !== '' && slot.state === 'idle'
    if (isOurs && isHeldByOther) {
      if (!this.#waitingSinceMs.has(partition)) this.#waitingSinceMs.set(partition, nowMs)
    } else {
      this.#waitingSinceMs.delete(partition)
    }
  }

  #isWaiting(): boolean {
    const nowMs = this.#options.clock.monotonicMs()
    return [...this.#waitingSinceMs.values()].some((sinceMs) => nowMs - sinceMs < WAITING_MS_MAX)
  }

  /** Gives partitions away, a few at a time: this one, or those that are left. */
  #handOverSome(only?: PartitionSlot): void {
    if (this.#options.clock.monotonicMs() < (this.#noticeEndMs ?? 0)) return
    let under = this.#slots.filter(({ state }) => state === 'releasing').length
    for (const slot of only === undefined ? this.#slots : [only]) {
      if (under >= HAND_OVERS_MAX) return
      if (slot.state === 'idle' || slot.state === 'releasing' || slot.state === 'dropping') continue
      slot.handOver(this.#drainEndMs)
      under++
    }
  }

  /** A process that stops has only so long. */
  #noticeMs(): number {
    if (!this.#hasHeirs) return 0
    const leftMs = this.#drainEndMs - this.#options.clock.monotonicMs()
    return Math.min(this.#options.beatIntervalMs, NOTICE_MS_MAX, leftMs / 10)
  }

  #see(names: readonly string[]): void {
    const nowMs = this.#options.clock.monotonicMs()
    this.#seenSinceMs = new Map(names.map((name) => [name, this.#seenSinceMs.get(name) ?? nowMs]))
  }

  #assign(count: number, names: readonly string[]): readonly string[] {
    const key = `${String(count)} ${names.join(' ')}`
    if (this.#assigned?.key !== key) {
      this.#assigned = { key, owners: assignPartitions(count, names) }
    }
    return this.#assigned.owners
  }
}

function isUnderWay({ state }: PartitionSlot): boolean {
  return state === 'releasing' || state === 'dropping'
}
