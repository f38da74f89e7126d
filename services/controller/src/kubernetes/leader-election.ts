/**
 * Makes one of several controllers the one that acts, by a Lease object of Kubernetes as client-go
 * does it: the holder renews; who sees the same record for its whole duration takes over.
 *
 * Only durations of this process's monotonic clock are compared, never times of other machines. The
 * holder counts from before it asked to renew, and only up to two thirds of the duration: it knows
 * that it has lost the lease before anybody else can have it, as long as clocks run equally fast
 * within a third. Nothing but two scale patches at a time would come of an error here.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import type { Logger } from '@tributary/common/logger'
import type { LeaseRecord, LeaseStore, StoredLease } from './lease-store.ts'

export interface LeaderElectionOptions {
  /** Unique to this start of the process. */
  readonly identity: string
  readonly store: LeaseStore
  readonly clock: Clock
  readonly logger: Logger
  readonly durationMs: number
  /** A number in [0, 1): candidates do not ask all at once. */
  readonly random: () => number
}

const HELD_SHARE = 2 / 3
/** A holder renews this often within the duration, candidates look as often. */
const LOOKS_PER_DURATION = 7

export class LeaderElection {
  readonly #options: LeaderElectionOptions
  readonly #ending = new AbortController()
  #running: Promise<void> | undefined
  /** The record of another one, and since when it has been the same, monotonic. */
  #seen: { readonly lease: StoredLease; readonly sinceMs: number } | undefined
  /** Version and record of our own, while we hold it. */
  #own: { readonly version: string; readonly record: LeaseRecord } | undefined
  #heldUntilMs = -Infinity
  #term = new AbortController()
  #expiry: Timer | undefined

  constructor(options: LeaderElectionOptions) {
    this.#options = options
  }

  /** Whether this one may act, at this moment. */
  get isLeader(): boolean {
    return !this.#ending.signal.aborted && this.#options.clock.monotonicMs() < this.#heldUntilMs
  }

  /** Aborted when the lease that is held now is lost: for calls under way. Aborted while none is held. */
  get term(): AbortSignal {
    return this.#term.signal
  }

  start(): void {
    this.#term.abort()
    this.#running ??= this.#run()
  }

  /** Stops acting, then gives the lease back, so that the next one need not wait. */
  async stop(): Promise<void> {
    this.#ending.abort()
    this.#endTerm()
    await this.#running
    const own = this.#own
    if (own === undefined) return
    try {
      await this.#options.store.write({ ...own.record, holder: '' }, own.version)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'the lease could not be given back, it will expire')
    }
  }

  async #run(): Promise<void> {
    const { clock, durationMs, random, logger } = this.#options
    const { signal } = this.#ending
    while (!signal.aborted) {
      try {
        await this.#look()
      } catch (error) {
        logger.warn({ err: error, isLeader: this.isLeader }, 'the lease could not be asked for')
      }
      const pauseMs = (durationMs / LOOKS_PER_DURATION) * (0.9 + 0.2 * random())
      await clock.sleep(pauseMs, signal).catch(() => undefined)
    }
  }

  async #look(): Promise<void> {
    const { clock, identity, store } = this.#options
    const askedMs = clock.monotonicMs()
    const lease = await store.read()
    if (lease?.holder === identity) {
      await this.#write(lease, askedMs, lease)
      return
    }
    this.#lose()
    if (lease !== undefined && lease.holder !== '' && !this.#isExpired(lease)) return
    await this.#write(lease, clock.monotonicMs(), undefined)
  }

  /** Another's record that has not changed for as long as it says. */
  #isExpired(lease: StoredLease): boolean {
    const nowMs = this.#options.clock.monotonicMs()
    if (this.#seen?.lease.resourceVersion !== lease.resourceVersion) {
      this.#seen = { lease, sinceMs: nowMs }
    }
    return nowMs - this.#seen.sinceMs >= lease.durationSeconds * 1000
  }

  /** @param ours the record, where it is renewed; undefined: it is taken */
  async #write(
    over: StoredLease | undefined,
    askedMs: number,
    ours: StoredLease | undefined,
  ): Promise<void> {
    const { identity, store, clock, durationMs, logger } = this.#options
    const renewedUnixMs = clock.nowUnixMs()
    const record: LeaseRecord = {
      holder: identity,
      durationSeconds: Math.ceil(durationMs / 1000),
      transitions: ours?.transitions ?? (over === undefined ? 0 : over.transitions + 1),
      acquiredUnixMs: ours?.acquiredUnixMs ?? renewedUnixMs,
      renewedUnixMs,
    }
    const version = await store.write(record, over?.resourceVersion)
    if (version === undefined) {
      this.#lose()
      return
    }
    this.#own = { version, record }
    if (this.#ending.signal.aborted) return
    const isNew = !this.isLeader
    this.#hold(askedMs + durationMs * HELD_SHARE)
    if (isNew && this.isLeader)
      logger.info({ identity, transitions: record.transitions }, 'acting now')
  }

  #hold(untilMs: number): void {
    const { clock, logger } = this.#options
    this.#heldUntilMs = untilMs
    if (!this.isLeader) return
    if (this.#term.signal.aborted) this.#term = new AbortController()
    this.#expiry?.cancel()
    this.#expiry = clock.after(untilMs - clock.monotonicMs(), () => {
      logger.warn('the lease was not renewed in time: nothing is done until it is')
      this.#endTerm()
    })
  }

  #lose(): void {
    if (this.isLeader) this.#options.logger.warn('another controller has the lease')
    this.#own = undefined
    this.#endTerm()
  }

  #endTerm(): void {
    this.#heldUntilMs = -Infinity
    this.#expiry?.cancel()
    this.#term.abort()
  }
}
