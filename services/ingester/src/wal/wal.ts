/**
 * The write-ahead log of one partition: payloads in, offsets out once they are as durable as `sync`
 * promises. Appends that come while a group of writes is under way form the next group.
 *
 * Invariants: offsets ascend by one without a gap and in the order of the appends; an append that
 * was refused has no offset; what waits is bounded in bytes; one group is under way at a time.
 * It leaves to SegmentLog how files are written, to Recovery how they are read, and to the ingester
 * what payloads mean and when they may be truncated.
 */
import assert from 'node:assert/strict'

import type { Timer } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'
import { isOutOfSpace } from '@tributary/common/file-system'

import { keepBrokenRanges } from './broken-range.ts'
import { FRAME_PAYLOAD_BYTES_MAX, frameBytes } from './frame.ts'
import { Recovery } from './recovery.ts'
import type { RecoveryVisitor } from './recovery.ts'
import { listSegments } from './segment-directory.ts'
import type { FoundSegment } from './segment-directory.ts'
import type { Predecessor } from './segment-header.ts'
import { SegmentLog, walError } from './segment-log.ts'
import type { WalOptions, WalState } from './wal-options.ts'

export type { WalOptions, WalState } from './wal-options.ts'

interface WaitingAppend {
  readonly payload: Uint8Array
  readonly resolve: (offset: bigint) => void
  readonly reject: (error: AppError) => void
}

const WAITING_BYTES_MAX = 64 * 1024 * 1024
/** After a failure appends are refused unseen for this long, doubling up to the maximum. */
const RETRY_DELAY_MS = 100
const RETRY_DELAY_MS_MAX = 5000

export class Wal {
  readonly #options: WalOptions
  readonly #log: SegmentLog
  readonly #waitingBytesMax: number
  #waiting: WaitingAppend[] = []
  #waitingBytes = 0
  /** Whoever changes the active file holds the end of this chain. */
  #exclusive: Promise<void> = Promise.resolve()
  #isRunning = false
  #state: WalState = 'open'
  #failure: AppError | undefined
  #retryAtMs = 0
  #retryDelayMs = RETRY_DELAY_MS
  #groupEndedMs = -Infinity
  /** A group came after the last mark. */
  #isMarkDue = false
  #markTimer: Timer | undefined

  private constructor(options: WalOptions, log: SegmentLog) {
    this.#options = options
    this.#log = log
    this.#waitingBytesMax = options.waitingBytesMax ?? WAITING_BYTES_MAX
  }

  /**
   * Opens the log of a folder: gives every frame from `startOffset` (the end of the commit chain) on
   * to the visitor, and the holes. Nothing is appended to files that were there before.
   * @throws AppError wal_damaged where the folder belongs to another log or a newer version
   */
  static async recover(
    options: WalOptions,
    startOffset: bigint,
    visitor: RecoveryVisitor,
  ): Promise<Wal> {
    const { fs, clock, logger, directory, segmentIdentity } = options
    const listing = await listSegments(fs, directory, segmentIdentity, logger)
    const context = { fs, clock, logger, identity: segmentIdentity }
    const outcome = await new Recovery(context, listing.segments, startOffset, visitor).run()
    await keepBrokenRanges(fs, directory, logger, outcome.broken)
    const log = new SegmentLog(options, {
      nextOffset: outcome.nextOffset,
      nextSequence: listing.highestSequence + 1n,
      segments: listing.segments,
      holes: outcome.holes,
      predecessor: lastPredecessor(listing.segments, outcome.nextOffset),
    })
    await log.truncate(startOffset, false)
    await log.syncRecovered(outcome.provenEnd)
    return new Wal(options, log)
  }

  /** The next free offset: that of the next append whose group begins. */
  get nextOffset(): bigint {
    return this.#log.nextOffset
  }

  get bytesOnDisk(): number {
    return this.#log.bytesOnDisk
  }

  get state(): WalState {
    return this.#state
  }

  /**
   * Appends one payload, which must stay as it is until the promise is settled.
   * @returns its offset, once it is durable
   * @throws AppError log_full (no space, or `diskBytesMax` reached), log_unavailable
   */
  append(payload: Uint8Array): Promise<bigint> {
    assert(payload.length > 0 && payload.length <= FRAME_PAYLOAD_BYTES_MAX)
    const refusal = this.#refusal(payload.length)
    if (refusal !== undefined) return Promise.reject(refusal)
    this.#waitingBytes += frameBytes(payload.length)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ payload, resolve, reject })
      if (this.#isRunning) return
      this.#isRunning = true
      // all appends of this turn of the event loop share the first group
      setImmediate(() => void this.#run())
    })
  }

  /** Forgets everything below an offset: segments wholly below are unlinked, durably. */
  async truncate(beforeOffset: bigint): Promise<void> {
    await this.#log.truncate(beforeOffset, false)
    await this.#exclusively(() => this.#log.truncate(beforeOffset, true))
    if (this.#state !== 'full') return
    this.#retryAtMs = 0
    if (this.bytesOnDisk < this.#options.diskBytesMax) this.#setState('open')
  }

  /** Finishes what waits, marks a clean end and closes the files. Appends from now on are refused. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#setState('closed')
    this.#markTimer?.cancel()
    while (this.#isRunning) await this.#exclusively(() => nextTurn())
    await this.#exclusively(() => this.#log.close())
  }

  #refusal(payloadBytes: number): AppError | undefined {
    if (this.#state === 'closed') return new AppError('log_unavailable', 'the log is closed')
    const bytes = frameBytes(payloadBytes)
    if (this.#waitingBytes + bytes > this.#waitingBytesMax) {
      return new AppError('log_unavailable', 'too much waits for the log', {
        details: { waitingBytes: this.#waitingBytes, bytesMax: this.#waitingBytesMax },
      })
    }
    const bytesOnDisk = this.#log.bytesOnDisk
    if (bytesOnDisk + this.#waitingBytes + bytes > this.#options.diskBytesMax) {
      this.#setState('full')
      return new AppError('log_full', 'the log has reached its bound', {
        details: { bytesOnDisk, bytesMax: this.#options.diskBytesMax },
      })
    }
    if (this.#failure !== undefined && this.#options.clock.monotonicMs() < this.#retryAtMs) {
      return new AppError(this.#failure.code, this.#failure.message, { cause: this.#failure })
    }
    return undefined
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#exclusively(() => this.#commit(this.#takeGroup()))
    }
    this.#isRunning = false
  }

  #takeGroup(): WaitingAppend[] {
    const { sync, groupBytesMax } = this.#options
    const countMax = sync === 'always' ? 1 : this.#waiting.length
    let bytes = 0
    let count = 0
    while (count < countMax) {
      const next = frameBytes(this.#waiting[count]!.payload.length)
      if (count > 0 && bytes + next > groupBytesMax) break
      bytes += next
      count++
    }
    return this.#waiting.splice(0, count)
  }

  async #commit(group: WaitingAppend[]): Promise<void> {
    const payloads = group.map(({ payload }) => payload)
    try {
      const first = await this.#commitOrRetry(payloads)
      this.#release(group)
      group.forEach(({ resolve }, index) => resolve(first + BigInt(index)))
      this.#succeed()
      this.#markLater()
    } catch (error) {
      this.#fail(group, walError(error))
    }
  }

  /** A file that failed is replaced by a new one at once: usually nobody notices. */
  async #commitOrRetry(payloads: readonly Uint8Array[]): Promise<bigint> {
    try {
      return await this.#log.commit(payloads)
    } catch (error) {
      if (isOutOfSpace(error)) throw error
      return await this.#log.commit(payloads)
    }
  }

  #succeed(): void {
    this.#failure = undefined
    this.#retryDelayMs = RETRY_DELAY_MS
    if (this.#state === 'full' || this.#state === 'unavailable') this.#setState('open')
  }

  /** Under load the next group is the proof of this one: a mark costs a sync only where none comes. */
  #markLater(): void {
    const { sync, markIdleMs, clock } = this.#options
    if (sync === 'none' || markIdleMs === undefined) return
    this.#groupEndedMs = clock.monotonicMs()
    this.#isMarkDue = true
    this.#setMarkTimer(markIdleMs)
  }

  #setMarkTimer(delayMs: number): void {
    this.#markTimer ??= this.#options.clock.after(delayMs, () => {
      this.#markTimer = undefined
      this.#markWhenIdle()
    })
  }

  #markWhenIdle(): void {
    // a group that is under way asks again when it has ended
    if (!this.#isMarkDue || this.#isRunning || this.#state !== 'open') return
    const { markIdleMs = Infinity, clock, logger } = this.#options
    const leftMs = this.#groupEndedMs + markIdleMs - clock.monotonicMs()
    if (leftMs > 0) {
      this.#setMarkTimer(leftMs)
      return
    }
    this.#isMarkDue = false
    this.#exclusively(() => this.#log.mark()).catch((error: unknown) => {
      logger.warn({ err: error }, 'the end of the log was not marked')
    })
  }

  /** Everybody who waits is told: what is queued behind a failing disk would only grow old. */
  #fail(group: readonly WaitingAppend[], error: AppError): void {
    this.#options.logger.error({ err: error }, 'wal append failed')
    this.#failure = error
    this.#retryAtMs = this.#options.clock.monotonicMs() + this.#retryDelayMs
    this.#retryDelayMs = Math.min(2 * this.#retryDelayMs, RETRY_DELAY_MS_MAX)
    const refused = [...group, ...this.#waiting]
    this.#waiting = []
    this.#release(refused)
    if (this.#state !== 'closed') this.#setState(error.code === 'log_full' ? 'full' : 'unavailable')
    for (const { reject } of refused) reject(error)
  }

  #release(appends: readonly WaitingAppend[]): void {
    for (const { payload } of appends) this.#waitingBytes -= frameBytes(payload.length)
  }

  #setState(state: WalState): void {
    if (this.#state === state) return
    this.#state = state
    this.#options.onStateChange?.(state)
  }

  #exclusively(action: () => Promise<void>): Promise<void> {
    const done = this.#exclusive.then(action)
    this.#exclusive = done.catch(() => undefined)
    return done
  }
}

function lastPredecessor(
  segments: readonly FoundSegment[],
  nextOffset: bigint,
): Predecessor | undefined {
  let last: FoundSegment | undefined
  for (const segment of segments) {
    if (last === undefined || segment.name.sequence > last.name.sequence) last = segment
  }
  if (last === undefined) return undefined
  return { uuid: last.name.uuid, nextOffset, lastCrc: last.lastCrc }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
