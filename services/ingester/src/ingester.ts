/**
 * One partition: batches -> WAL -> memtable -> files -> commit -> WAL truncation.
 *
 * Invariants: a batch is acknowledged once it is durable in the WAL and stands in the memtable; the
 * memtable and the chain tile the log (memtable start = chain end); the WAL is cut only below the
 * chain's end. Flushes run one at a time, so that commits follow each other; batches go on being
 * taken meanwhile, up to the bound of the memtable.
 */
import type { Clock } from '@tributary/common/clock'
import type { EnvelopeChunk, EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import type { CommitHole, CommitRecord } from '@tributary/common/commit/commit-record'
import { AppError, toAppError } from '@tributary/common/errors'
import { failpoint } from '@tributary/common/failpoint'
import type { Logger } from '@tributary/common/logger'
import assert from 'node:assert/strict'
import type { Flusher } from './flush/flusher.ts'
import type { Memtable } from './memtable/memtable.ts'
import type { SlabSpace } from './memtable/slab-pool.ts'
import type { IngesterMetrics } from './metrics.ts'
import type { RepeatWindow } from './repeat-window.ts'
import { Wal, type WalOptions } from './wal/wal.ts'

export interface IngesterOptions {
  /** Without `unflushed`, which is this partition's memtable. */
  readonly wal: WalOptions
  readonly memtable: Memtable
  readonly window: RepeatWindow
  readonly flusher: Flusher
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: IngesterMetrics
  readonly flushBytes: number
  readonly flushIntervalMs: number
  readonly memtableBytesMax: number
  readonly retryRemoval: boolean
  /** The partition can't go on: another writer, or a commit that never succeeds. */
  readonly onFatal: (error: unknown) => void
}

/** How often age is looked at: a tenth of the shortest interval that makes sense. */
const AGE_CHECK_MS = 100

export class Ingester {
  readonly #options: IngesterOptions
  /** Bytes handed to the WAL that are not in the memtable yet. */
  #pendingBytes = 0
  /** Offsets that recovery could not read; they go into the commits that cover them. */
  #holes: CommitHole[] = []
  #wal: Wal | undefined
  #flushing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #failure: AppError | undefined

  constructor(options: IngesterOptions) {
    this.#options = options
  }

  /**
   * Opens the WAL and takes back every row that is not in the chain yet. Memory stays bounded: a
   * full memtable is flushed before more is read. Damage becomes holes of the next commits.
   *
   * @param startOffset the chain's end
   * @throws AppError wal_damaged where the folder belongs to another log
   */
  async recover(startOffset: bigint): Promise<void> {
    const { wal, memtable, logger, metrics } = this.#options
    const unflushed = (fromOffset: bigint): Iterable<{ offset: bigint; payload: Uint8Array }> =>
      memtable.unflushed(fromOffset)
    this.#wal = await Wal.recover({ ...wal, unflushed }, startOffset, {
      frame: (offset, payload) => this.#recoverFrame(offset, payload),
      hole: (start, end, reason) => {
        this.#holes.push({ start: String(start), end: String(end), reason })
      },
      progress: (doneBytes, totalBytes, etaMs) => {
        metrics.recovering(doneBytes, totalBytes)
        logger.info({ doneBytes, totalBytes, etaMs }, 'recovering the log')
      },
    })
    const lastHole = this.#holes.reduce((end, hole) => maxOf(end, BigInt(hole.end)), 0n)
    if (lastHole > memtable.end) memtable.skipTo(lastHole)
    assert(memtable.end === this.#wal.nextOffset, 'recovered frames and holes tile the log')
    await failpoint('ingester:recovered')
  }

  async #recoverFrame(offset: bigint, payload: Uint8Array): Promise<void> {
    const { memtable, flusher, flushBytes } = this.#options
    const space = memtable.reserve(payload.length)
    space.bytes.set(payload)
    let header: EnvelopeHeader
    try {
      // from the copy: chunk hashes are views, and `payload` is the log's again after this call
      header = decodeEnvelope(space.bytes).header
    } catch (error) {
      // the frame's checksum holds, so this is what was acknowledged: kept aside, never a crash loop
      this.#holes.push(await flusher.quarantine(offset, payload, toAppError(error).message))
      memtable.giveUp(space)
      return
    }
    this.#insert(offset, space, header)
    if (memtable.activeBytes >= flushBytes) await this.flush()
  }

  /** Begins to flush by age and size. */
  start(): void {
    this.#timer = setInterval(() => {
      this.#flushWhenDue()
    }, AGE_CHECK_MS)
    this.#timer.unref()
  }

  get unflushedRows(): number {
    return this.#options.memtable.rows
  }

  /** Bytes of the WAL on disk; 0 before the recovery. */
  get logBytes(): number {
    return this.#wal?.bytesOnDisk ?? 0
  }

  get unflushedBytes(): number {
    return this.#options.memtable.bytes + this.#pendingBytes
  }

  /**
   * Space for an envelope of this many bytes, to be filled and appended.
   *
   * @throws AppError overloaded when the memtable is full; not_ready when flushing has stopped
   */
  reserve(byteCount: number): SlabSpace {
    const { memtable, memtableBytesMax } = this.#options
    if (this.#failure !== undefined) throw this.#failure
    if (this.unflushedBytes + byteCount > memtableBytesMax) {
      this.#flushWhenDue()
      throw new AppError('overloaded', 'unflushed rows fill their memory', {
        details: { bytes: memtable.bytes, bytesMax: memtableBytesMax },
      })
    }
    this.#pendingBytes += byteCount
    return memtable.reserve(byteCount)
  }

  /**
   * Takes the batch in a reserved space; resolves when it is durable.
   *
   * @throws AppError log_full, log_unavailable from the WAL
   */
  async append(space: SlabSpace, header: EnvelopeHeader): Promise<void> {
    const { memtable } = this.#options
    assert(this.#wal !== undefined, 'batches come after the recovery')
    try {
      const offset = await this.#wal.append(space.bytes)
      this.#insert(offset, space, header)
    } catch (error) {
      memtable.giveUp(space)
      throw error
    } finally {
      this.#pendingBytes -= space.bytes.length
    }
    if (memtable.activeBytes >= this.#options.flushBytes) this.#flushWhenDue()
  }

  /**
   * Commits everything that was acknowledged before the call.
   *
   * @throws AppError not_ready when flushing has stopped, with the reason as its cause
   */
  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    // One flush may be under way with older rows; the second one takes all that came before the call.
    if (this.#flushing !== undefined) await this.#flushing
    await this.#flushOnce()
  }

  /** Flushes what is left, unless flushing has stopped for good; closes the WAL in any case. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    try {
      if (this.#failure === undefined) await this.flush()
    } finally {
      await this.#wal?.close()
    }
  }

  #flushWhenDue(): void {
    if (this.#flushing !== undefined || this.#failure !== undefined) return
    const { memtable, clock, flushBytes, flushIntervalMs } = this.#options
    const { oldestMs } = memtable
    const isOld = oldestMs !== undefined && clock.monotonicMs() - oldestMs >= flushIntervalMs
    if (!isOld && memtable.activeBytes < flushBytes && this.#holes.length === 0) return
    this.#flushOnce().catch((error: unknown) => {
      this.#options.logger.error({ err: error }, 'flush failed')
    })
  }

  #flushOnce(): Promise<void> {
    this.#flushing ??= this.#runFlush().finally(() => {
      this.#flushing = undefined
    })
    return this.#flushing
  }

  async #runFlush(): Promise<void> {
    const { memtable, flusher, metrics, clock } = this.#options
    const frozen = memtable.freeze()
    if (frozen.start === frozen.end) {
      memtable.release()
      return
    }
    await failpoint('flush:frozen')
    const startMs = clock.monotonicMs()
    const holes = this.#holes.filter((hole) => BigInt(hole.end) <= frozen.end)
    let records: CommitRecord[]
    try {
      records = await flusher.flush(frozen, holes)
    } catch (error) {
      this.#fail(error)
      throw error
    }
    this.#holes = this.#holes.filter((hole) => !holes.includes(hole))
    memtable.release()
    for (const record of records) {
      metrics.flushed(record, (clock.monotonicMs() - startMs) / 1000)
    }
    await this.#wal?.truncate(frozen.end)
  }

  /** The range stays frozen and in the WAL: a restart finds and commits it. */
  #fail(error: unknown): void {
    this.#failure = new AppError('not_ready', 'flushing has stopped', { cause: error })
    this.#options.onFatal(error)
  }

  #insert(offset: bigint, space: SlabSpace, header: EnvelopeHeader): void {
    const { memtable, clock, metrics } = this.#options
    const { suppressed, stored, suppressedRows } = this.#removeRepeats(header)
    memtable.insert(offset, space, header, suppressed, stored, clock.monotonicMs())
    metrics.appended(header.rowCount, space.bytes.length, suppressedRows)
  }

  /** Splits the chunks of a batch into those stored before and those that count from now on. */
  #removeRepeats(header: EnvelopeHeader): {
    suppressed: Int32Array
    stored: EnvelopeChunk[]
    suppressedRows: number
  } {
    const { window, retryRemoval } = this.#options
    const nowMs = Number(header.arrivalUnixNano / 1_000_000n)
    const ranges: number[] = []
    const stored: EnvelopeChunk[] = []
    let suppressedRows = 0
    for (const chunk of header.chunks) {
      if (!retryRemoval || !chunk.removable) continue
      if (window.has(chunk.hash, nowMs)) {
        ranges.push(chunk.rowStart, chunk.rowStart + chunk.rowCount)
        suppressedRows += chunk.rowCount
      } else {
        window.add(chunk.hash, nowMs)
        stored.push(chunk)
      }
    }
    assert(suppressedRows <= header.rowCount, 'chunks of a batch do not overlap')
    return { suppressed: Int32Array.from(ranges), stored, suppressedRows }
  }
}

function maxOf(left: bigint, right: bigint): bigint {
  return left > right ? left : right
}
