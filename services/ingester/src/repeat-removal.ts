/**
 * Decides which rows of a batch were stored before: chunks that a client sent again, and whole
 * batches that a router produced again. The decision is a function of what the chain has stored and
 * of the batches before in the log; rows that went to quarantine were not stored and never count.
 *
 * Batch ids and chunk hashes share one window: both are 128 bits, and a sidecar holds both.
 */
import type { Clock } from '@tributary/common/clock'
import { CHUNK_HASH_BYTES } from '@tributary/common/columnar/chunk-list'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { readSidecar } from '@tributary/common/commit/chunk-sidecar'
import type { CommitChain } from '@tributary/common/commit/commit-chain'
import { toAppError } from '@tributary/common/errors'
import type { Logger } from '@tributary/common/logger'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import assert from 'node:assert/strict'
import type { BatchRepeats } from './memtable/memtable.ts'
import { RepeatWindow } from './repeat-window.ts'

export interface RepeatRemovalOptions {
  readonly store: ObjectStore
  readonly chain: CommitChain
  readonly clock: Clock
  readonly logger: Logger
  readonly windowMs: number
  readonly windowEntriesMax: number
  /** Chunks that clients send again. */
  readonly removesChunks: boolean
  /** Batches that the log holds twice: a produce is repeated when its answer was lost. */
  readonly removesBatches: boolean
}

const HASH_BYTES = CHUNK_HASH_BYTES
const NO_ROWS = new Int32Array(0)
const NO_HASHES = new Uint8Array(0)

export class RepeatRemoval {
  readonly #options: RepeatRemovalOptions
  readonly #window: RepeatWindow

  private constructor(options: RepeatRemovalOptions) {
    this.#options = options
    this.#window = new RepeatWindow(options.windowMs, options.windowEntriesMax)
  }

  /**
   * Begins with what the newest commits stored, so that a repeat across a restart is stored once.
   * @throws AppError store_unavailable
   */
  static async load(options: RepeatRemovalOptions): Promise<RepeatRemoval> {
    const removal = new RepeatRemoval(options)
    const { chain, clock, windowMs, removesChunks, removesBatches } = options
    if (!removesChunks && !removesBatches) return removal
    for (const record of await chain.recent(clock.nowUnixMs() - windowMs)) {
      try {
        for (const { hash, appendUnixMs } of await readSidecar(options.store, record)) {
          removal.#window.meet(hash, 0, appendUnixMs)
        }
      } catch (error) {
        if (toAppError(error).code === 'store_unavailable') throw error
        // damaged or gone: a late retry may be stored twice, worth an alarm, never a process that can't start
        options.logger.error(
          { err: error, commit: record.start },
          'sidecar of chunk hashes can not be read',
        )
      }
    }
    return removal
  }

  /** Hashes in the window. */
  get size(): number {
    return this.#window.size
  }

  /** Hashes that the window's bound pushed out before their time. */
  get evicted(): number {
    return this.#window.evicted
  }

  /** Splits a batch into what was stored before and what counts from now on. */
  split(header: EnvelopeHeader, appendUnixMs: number): BatchRepeats {
    const { removesChunks, removesBatches } = this.#options
    const { count, hashes, rowStarts, rowCounts, removable } = header.chunks
    const storedHashes = new Uint8Array(HASH_BYTES * (count + 1))
    let storedBytes = 0
    if (removesBatches) {
      const { batchId } = header
      if (this.#window.meet(batchId, 0, appendUnixMs)) return wholeBatch(header)
      storedHashes.set(batchId)
      storedBytes = HASH_BYTES
    }
    const ranges: number[] = []
    let suppressedRows = 0
    for (let chunk = 0; chunk < count; chunk++) {
      if (!removesChunks || removable[chunk] !== 1) continue
      const at = HASH_BYTES * chunk
      if (this.#window.meet(hashes, at, appendUnixMs)) {
        ranges.push(rowStarts[chunk]!, rowStarts[chunk]! + rowCounts[chunk]!)
        suppressedRows += rowCounts[chunk]!
      } else {
        for (let byte = 0; byte < HASH_BYTES; byte++) {
          storedHashes[storedBytes + byte] = hashes[at + byte]!
        }
        storedBytes += HASH_BYTES
      }
    }
    assert(suppressedRows <= header.rowCount, 'chunks of a batch do not overlap')
    const suppressed = ranges.length === 0 ? NO_ROWS : Int32Array.from(ranges)
    return { suppressed, suppressedRows, storedHashes: storedHashes.subarray(0, storedBytes) }
  }
}

function wholeBatch({ rowCount }: EnvelopeHeader): BatchRepeats {
  return {
    suppressed: Int32Array.of(0, rowCount),
    suppressedRows: rowCount,
    storedHashes: NO_HASHES,
  }
}
