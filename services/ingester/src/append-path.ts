/**
 * The way of batches into the partition of a standalone process, whose WAL is the only log.
 *
 * Invariants: a batch is acknowledged once it is durable in the WAL and stands in the partition; what
 * is taken and not yet committed is bounded by `memtableBytesMax`; the WAL is cut only below the
 * chain's end.
 */
import { decodeEnvelope, type EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { AppError, toAppError } from '@tributary/common/errors'
import { failpoint } from '@tributary/common/failpoint'
import type { Logger } from '@tributary/common/logger'
import assert from 'node:assert/strict'
import type { SlabSpace } from './memtable/slab-pool.ts'
import type { IngesterMetrics } from './metrics.ts'
import type { Partition } from './partition.ts'
import type { BatchTrace } from './partition-traces.ts'
import { Standstill } from './standstill.ts'
import { Wal, type WalOptions } from './wal/wal.ts'

export interface AppendPathOptions {
  /** Without `unflushed`, which is what the partition holds. */
  readonly wal: Omit<WalOptions, 'unflushed'>
  readonly partition: Partition
  readonly logger: Logger
  readonly metrics: IngesterMetrics
  readonly memtableBytesMax: number
}

export class AppendPath {
  readonly #options: AppendPathOptions
  readonly #wal: Wal
  /** Bytes handed to the WAL that are not in the partition yet. */
  #pendingBytes = 0
  readonly #standstill: Standstill

  private constructor(options: AppendPathOptions, wal: Wal) {
    this.#options = options
    this.#standstill = new Standstill(options.wal.clock)
    this.#wal = wal
  }

  /**
   * Opens the WAL and takes back every row that is not in the chain yet. Memory stays bounded: flushes
   * run beside the reading, which waits for them only where the memtable is full, as requests do.
   * Damage becomes holes of the next commits.
   *
   * @throws AppError wal_damaged where the folder belongs to another log
   */
  static async recover(options: AppendPathOptions): Promise<AppendPath> {
    const { wal, partition, logger, metrics } = options
    const wholeOptions: WalOptions = {
      ...wal,
      unflushed: (from) => unflushedFrames(partition, from),
    }
    const opened = await Wal.recover(wholeOptions, partition.end, {
      frame: (offset, payload) => recoverFrame(options, offset, payload),
      hole: (start, end, reason) => {
        partition.addHole({ start: String(start), end: String(end), reason })
      },
      progress: (doneBytes, totalBytes, etaMs) => {
        metrics.recovering(doneBytes, totalBytes)
        logger.info({ doneBytes, totalBytes, etaMs }, 'recovering the log')
      },
    })
    assert(partition.end === opened.nextOffset, 'recovered frames and holes tile the log')
    await failpoint('ingester:recovered')
    partition.flushWhenDue()
    return new AppendPath(options, opened)
  }

  /** Bytes of the WAL on disk. */
  get logBytes(): number {
    return this.#wal.bytesOnDisk
  }

  get unflushedRows(): number {
    return this.#options.partition.unflushedRows
  }

  get unflushedBytes(): number {
    return this.#options.partition.unflushedBytes + this.#pendingBytes
  }

  /** Why nothing could be stored for a while; undefined when batches are taken. */
  get standstill(): AppError | undefined {
    return this.#standstill.reason
  }

  /**
   * Space for an envelope of this many bytes, to be filled and appended.
   *
   * @throws AppError overloaded when the memtable is full; not_ready when flushing has stopped
   */
  reserve(byteCount: number): SlabSpace {
    const { partition, memtableBytesMax } = this.#options
    if (partition.failure !== undefined) throw partition.failure
    if (this.unflushedBytes + byteCount > memtableBytesMax) {
      partition.flushSoon()
      const refusal = new AppError('overloaded', 'unflushed rows fill their memory', {
        details: { bytes: this.unflushedBytes, bytesMax: memtableBytesMax },
      })
      this.#standstill.refused(refusal)
      throw refusal
    }
    this.#pendingBytes += byteCount
    return partition.reserve(byteCount)
  }

  /**
   * Takes the batch in a reserved space; resolves when it is durable.
   *
   * @param traces of traced requests that have rows in it
   * @throws AppError log_full, log_unavailable from the WAL
   */
  async append(
    space: SlabSpace,
    header: EnvelopeHeader,
    traces?: readonly string[],
  ): Promise<void> {
    const { partition, metrics, wal } = this.#options
    const startMs = wal.clock.monotonicMs()
    try {
      const offset = await this.#wal.append(space.bytes)
      metrics.walWritten((wal.clock.monotonicMs() - startMs) / 1000)
      const trace: BatchTrace | undefined =
        traces === undefined ? undefined : { name: 'wal', parents: traces, sinceMs: startMs }
      partition.insert(offset, space, header, arrivalUnixMs(header), trace)
      this.#standstill.stored()
    } catch (error) {
      partition.giveUp(space)
      const refusal = toAppError(error)
      this.#standstill.refused(refusal)
      // what is committed leaves the disk
      if (refusal.code === 'log_full') partition.flushSoon()
      throw refusal
    } finally {
      this.#pendingBytes -= space.bytes.length
    }
  }

  /**
   * Commits everything that was acknowledged before the call.
   *
   * @throws AppError not_ready when flushing has stopped, with the reason as its cause
   */
  flush(): Promise<void> {
    return this.#options.partition.flush()
  }

  /** After a commit: the rows below are stored. */
  truncate(end: bigint): Promise<void> {
    return this.#wal.truncate(end)
  }

  /** Flushes what is left, unless flushing has stopped for good; closes the WAL in any case. */
  async stop(): Promise<void> {
    const { partition } = this.#options
    try {
      if (partition.failure === undefined) await partition.flush()
    } finally {
      await this.#wal.close()
      await partition.close()
    }
  }
}

async function recoverFrame(
  { partition, memtableBytesMax }: AppendPathOptions,
  offset: bigint,
  payload: Uint8Array,
): Promise<void> {
  const space = partition.reserve(payload.length)
  space.bytes.set(payload)
  let header: EnvelopeHeader
  try {
    // from the copy: chunk hashes are views, and `payload` is the log's again after this call
    header = decodeEnvelope(space.bytes).header
  } catch (error) {
    // the frame's checksum holds, so this is what was acknowledged: kept aside, never a crash loop
    partition.giveUp(space)
    partition.addHole(await partition.keepAside(offset, payload, toAppError(error).message))
    return
  }
  partition.insert(offset, space, header, arrivalUnixMs(header))
  while (partition.unflushedBytes > memtableBytesMax) await partition.flushUnderWay()
}

function* unflushedFrames(
  partition: Partition,
  fromOffset: bigint,
): Iterable<{ offset: bigint; payload: Uint8Array }> {
  for (const { offset, space } of partition.unflushed(fromOffset)) {
    yield { offset, payload: space.bytes }
  }
}

/** The WAL keeps no append times: the envelope's arrival is that of this process. */
function arrivalUnixMs({ arrivalUnixNano }: EnvelopeHeader): number {
  return Number(arrivalUnixNano / 1_000_000n)
}
