/**
 * What this process does about one partition, one thing after another: take the lease, open, own, give
 * away, step back. The ownership loop says what should be; this gets there and survives what fails.
 *
 *   idle ──take──> acquiring ──> opening ──> owned ──handOver──> releasing ──> idle
 *                      │            │  ▲        │
 *                      └─ held ─> idle  └ failed ┤──stepBack──> dropping ──> idle
 *
 * Invariant: an owner is open only while this process believes that it holds the lease with the epoch
 * that its commits carry. After a failed commit the lease is read again before anything else: without an
 * answer nothing more is committed.
 */
import type { Clock } from '@tributary/common/clock'
import { toAppError, type ErrorCode } from '@tributary/common/errors'
import type { ClusterMetadata } from '@tributary/common/metadata/cluster-metadata'
import type { Logger } from '@tributary/common/logger'
import type { PartitionOwner } from '../partition-owner.ts'

export type SlotState =
  | 'idle'
  | 'acquiring'
  | 'opening'
  | 'owned'
  | 'releasing'
  | 'dropping'
  /** The lease is held, and nothing is read or committed until a person acts. */
  | 'halted'

/** What an owner tells the slot. */
export interface OwnerEvents {
  readonly epoch: () => number
  readonly onFailed: (error: unknown) => void
  readonly onFenced: () => void
}

export interface SlotEvents {
  /** The lease was acquired, also again with a greater epoch. */
  readonly acquired: () => void
  /** Another owner has the partition. */
  readonly lost: () => void
  /** Another writer's commit stood where ours should. */
  readonly fenced: () => void
  /** The owner failed otherwise and is opened again. */
  readonly reopened: (code: ErrorCode) => void
  /** It can not go on: a person has to act. */
  readonly halted: (code: ErrorCode) => void
  /** Given away; nothing was fetched for so long. */
  readonly handedOver: (pauseMs: number) => void
}

export interface PartitionSlotOptions {
  readonly partition: number
  /** Id of this process as a member. */
  readonly member: string
  readonly metadata: ClusterMetadata
  readonly clock: Clock
  readonly logger: Logger
  readonly newRequestId: () => string
  readonly openOwner: (events: OwnerEvents) => Promise<PartitionOwner>
  readonly handOverTimeoutMs: number
  readonly events: SlotEvents
}

type Operation = (signal: AbortSignal) => Promise<void>

/** A person has to act; trying again changes nothing. */
const HALTING: ReadonlySet<ErrorCode> = new Set([
  'chain_broken',
  'commit_damaged',
  'quarantine_exhausted',
  'log_unfit',
])
const RETRY_DELAY_MS_MIN = 200
const RETRY_DELAY_MS_MAX = 30_000
/** Who was open for so long is not failing over and over. */
const STEADY_MS = 60_000
const RELEASE_ATTEMPTS_MAX = 3

export class PartitionSlot {
  readonly #options: PartitionSlotOptions
  #state: SlotState = 'idle'
  /** Of the lease that is held, or was last. */
  #epoch = 0
  #owner: PartitionOwner | undefined
  #haltReason: string | undefined
  /** What is wanted once the operation under way has ended. */
  #goal: 'own' | 'release' | 'drop' = 'own'
  #failure: { readonly error: unknown } | undefined
  #operation: Promise<void> | undefined
  #ending = new AbortController()
  #openedMs = 0
  #handOverEndMs = Infinity
  #retryDelayMs = RETRY_DELAY_MS_MIN

  constructor(options: PartitionSlotOptions) {
    this.#options = options
  }

  get state(): SlotState {
    return this.#state
  }

  get epoch(): number {
    return this.#epoch
  }

  /** Open and not being given away. */
  get owner(): PartitionOwner | undefined {
    return this.#owner
  }

  get haltReason(): string | undefined {
    return this.#haltReason ?? this.#owner?.haltReason
  }

  /** Takes the lease and opens the partition, unless something is under way. */
  take(): void {
    if (this.#state !== 'idle' || this.#operation !== undefined) return
    this.#goal = 'own'
    this.#begin('acquiring', async (signal) => {
      if (await this.#acquire(this.#epoch)) await this.#open(signal)
      else this.#state = 'idle'
    })
  }

  /** The store has lost the lease: takes it again, with a greater epoch, while going on. */
  reclaim(): void {
    if (this.#operation !== undefined || this.#goal !== 'own') return
    this.#begin(this.#state, async () => {
      const outcome = await this.#tryAcquire(this.#epoch)
      if (outcome === 'held') this.stepBack()
    })
  }

  /** Frees a lease that is left over of an answer that was lost. */
  giveBack(epoch: number): void {
    if (this.#state !== 'idle' || this.#operation !== undefined) return
    this.#epoch = epoch
    this.#goal = 'release'
    this.#begin('releasing', (signal) => this.#release(signal))
  }

  /**
   * Commits what is there, closes, and frees the lease. Past `endMs` (monotonic) nothing is waited for any
   * more: the log has what is not committed, and the lease ends with the membership.
   */
  handOver(endMs = Infinity): void {
    if (this.#goal === 'drop') return
    this.#goal = 'release'
    this.#handOverEndMs = endMs
    // an opening that is not wanted any more ends early
    if (this.#state === 'opening') this.#ending.abort()
    this.#goOn()
  }

  /** Another one owns the partition: ends whatever is under way, within one call to the store. */
  stepBack(): void {
    if (this.#state === 'idle') return
    if (this.#goal !== 'drop') {
      this.#options.events.lost()
      this.#tell('partition lost to another owner')
    }
    this.#goal = 'drop'
    this.#ending.abort()
    this.#goOn()
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (this.#operation !== undefined) await this.#operation
  }

  #begin(state: SlotState, operation: Operation): void {
    this.#state = state
    this.#ending = new AbortController()
    this.#operation = this.#run(operation, this.#ending.signal)
  }

  async #run(operation: Operation, signal: AbortSignal): Promise<void> {
    try {
      await operation(signal)
    } catch (error) {
      if (!signal.aborted) this.#log('error', 'partition operation failed', error)
    }
    this.#operation = undefined
    this.#goOn()
  }

  /** Begins what is wanted and not yet so. */
  #goOn(): void {
    if (this.#operation !== undefined) return
    if (this.#state === 'idle' || this.#state === 'acquiring') {
      this.#state = 'idle'
      this.#goal = 'own'
      this.#failure = undefined
      return
    }
    const failure = this.#failure
    this.#failure = undefined
    if (this.#goal === 'drop') this.#begin('dropping', () => this.#drop())
    else if (this.#goal === 'release') this.#begin('releasing', (signal) => this.#release(signal))
    else if (failure !== undefined) {
      this.#begin('opening', (signal) => this.#openAgain(failure.error, signal))
    }
  }

  async #acquire(epochFloor: number): Promise<boolean> {
    return (await this.#tryAcquire(epochFloor)) === 'acquired'
  }

  /** An answer that is lost is not waited for: the next look at the leases tells. */
  async #tryAcquire(epochFloor: number): Promise<'acquired' | 'held' | 'unknown'> {
    const { metadata, partition, member, newRequestId, events } = this.#options
    const request = { partition, member, epochFloor, requestId: newRequestId() }
    try {
      const outcome = await metadata.acquire(request)
      if (outcome.kind === 'held') return 'held'
      this.#epoch = outcome.epoch
      events.acquired()
      return 'acquired'
    } catch (error) {
      this.#log('warn', 'lease could not be acquired', error)
      return 'unknown'
    }
  }

  /** Opens the owner, however long the store is away. */
  async #open(signal: AbortSignal): Promise<void> {
    this.#state = 'opening'
    this.#haltReason = undefined
    while (!signal.aborted) {
      this.#failure = undefined
      try {
        const owner = await this.#options.openOwner({
          epoch: () => this.#epoch,
          onFailed: (error) => {
            this.#onFailed(error)
          },
          onFenced: this.#options.events.fenced,
        })
        this.#owner = owner
        this.#openedMs = this.#options.clock.monotonicMs()
        this.#state = 'owned'
        this.#tell('partition owned', { start: String(owner.start), next: String(owner.next) })
        return
      } catch (error) {
        const { code, message, details } = toAppError(error)
        if (signal.aborted) return
        if (HALTING.has(code)) {
          this.#halt(message, error)
          return
        }
        if (code === 'fenced') {
          // the chain knows a later epoch than the store of leases, or another owner
          const floor = Number(details['lastEpoch'] ?? this.#epoch)
          if ((await this.#tryAcquire(Math.max(floor, this.#epoch))) === 'acquired') continue
          this.#state = 'idle'
          return
        }
        this.#log('warn', 'partition could not be opened, trying again', error)
        await this.#pause(signal)
      }
    }
  }

  #onFailed(error: unknown): void {
    this.#failure ??= { error }
    this.#goOn()
  }

  async #openAgain(error: unknown, signal: AbortSignal): Promise<void> {
    const { code, message } = toAppError(error)
    const { events, clock } = this.#options
    if (clock.monotonicMs() - this.#openedMs > STEADY_MS) this.#retryDelayMs = RETRY_DELAY_MS_MIN
    await this.#owner?.close()
    this.#owner = undefined
    if (HALTING.has(code)) {
      this.#halt(message, error)
      return
    }
    if (code === 'fenced') {
      this.#log('warn', 'another writer has committed, the lease is read again', error)
      if (!(await this.#holdsLease(signal))) {
        if (!signal.aborted) this.stepBack()
        return
      }
    } else {
      events.reopened(code)
      this.#log('error', 'partition failed, it is opened again', error)
      await this.#pause(signal)
    }
    await this.#open(signal)
  }

  /** Asks until there is an answer: who does not know must not commit. */
  async #holdsLease(signal: AbortSignal): Promise<boolean> {
    const { metadata, partition, member } = this.#options
    while (!signal.aborted) {
      try {
        const lease = (await metadata.view()).leases.get(partition)
        return lease?.owner === member
      } catch {
        await this.#pause(signal)
      }
    }
    return false
  }

  async #release(signal: AbortSignal): Promise<void> {
    const { handOverTimeoutMs, events, metadata, partition, member, clock } = this.#options
    const owner = this.#owner
    const leftMs = (): number => this.#handOverEndMs - clock.monotonicMs()
    if (owner !== undefined) {
      signal.addEventListener('abort', () => void owner.close())
      const pauseMs = await owner.handOver(Math.max(0, Math.min(handOverTimeoutMs, leftMs())))
      events.handedOver(pauseMs)
      this.#tell('partition handed over', { pauseMs: Math.round(pauseMs) })
    }
    this.#owner = undefined
    for (let attempt = 1; attempt <= RELEASE_ATTEMPTS_MAX && !signal.aborted; attempt++) {
      if (leftMs() <= 0) break
      try {
        await metadata.release(partition, member, this.#epoch)
        break
      } catch (error) {
        // the loop sees a lease that is left over, and ends it
        this.#log('warn', 'lease could not be released', error)
        await clock.sleep(RETRY_DELAY_MS_MIN * attempt, signal).catch(() => undefined)
      }
    }
    this.#state = 'idle'
  }

  async #drop(): Promise<void> {
    const owner = this.#owner
    this.#owner = undefined
    await owner?.close()
    await owner?.dropCache()
    this.#haltReason = undefined
    this.#state = 'idle'
  }

  #halt(reason: string, error: unknown): void {
    this.#log('error', 'partition halted: a person has to act', error)
    this.#options.events.halted(toAppError(error).code)
    this.#haltReason = reason
    this.#state = 'halted'
  }

  async #pause(signal: AbortSignal): Promise<void> {
    await this.#options.clock.sleep(this.#retryDelayMs, signal).catch(() => undefined)
    this.#retryDelayMs = Math.min(2 * this.#retryDelayMs, RETRY_DELAY_MS_MAX)
  }

  #tell(message: string, facts: Readonly<Record<string, unknown>> = {}): void {
    const { logger, partition } = this.#options
    logger.info({ partition, epoch: this.#epoch, ...facts }, message)
  }

  #log(level: 'warn' | 'error', message: string, error: unknown): void {
    const { logger, partition } = this.#options
    logger[level]({ err: error, partition, epoch: this.#epoch }, message)
  }
}
