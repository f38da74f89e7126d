/**
 * A table encoder without threads and Parquet, for tests and the simulation: a file is the names of
 * its rows (test-batches.ts), one a line. It takes time, dies now and then, and refuses what it is told
 * is poison, by chance under a seed.
 */
import { createHash } from 'node:crypto'
import { chunkEntries } from '@tributary/common/columnar/chunk-list'
import type { Clock } from '@tributary/common/clock'
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import { AppError } from '@tributary/common/errors'
import { writeFully, type FileSystem } from '@tributary/common/file-system'
import { hourOf } from '@tributary/common/paths'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'
import type { TableEncoder } from '../flush/table-encoder.ts'
import type { TableFile, TableJob, TableResult } from '../flush/table-writer.ts'
import { rowName } from './test-batches.ts'

export interface MemoryEncoderOptions {
  readonly fs: FileSystem
  /** Must exist. */
  readonly directory: string
  readonly clock: Clock
  readonly random: SeededRandom
  /** Least and most time of a table, milliseconds. */
  readonly delayMs?: readonly [min: number, max: number]
  /** A table fails although nothing is wrong with it. */
  readonly failureChance?: number
  /** Batches that can never be encoded. */
  readonly isPoison?: (batchId: Uint8Array) => boolean
}

export class MemoryEncoder implements TableEncoder {
  readonly #options: MemoryEncoderOptions
  #files = 0

  constructor(options: MemoryEncoderOptions) {
    this.#options = options
  }

  async run(job: TableJob, signal?: AbortSignal): Promise<TableResult> {
    const { clock, random, delayMs = [1, 1], failureChance = 0 } = this.#options
    if (signal?.aborted === true) throw new AppError('cancelled', 'the table is not written')
    await clock.sleep(delayMs[0] + random.below(delayMs[1] - delayMs[0] + 1))
    if (random.chance(failureChance)) throw new AppError('encode_failed', 'the encoder died')
    const rows: string[] = []
    let rowsIn = 0
    for (const { bytes, suppressed } of job.entries) {
      const { header } = decodeEnvelope(bytes)
      if (this.#options.isPoison?.(header.batchId) === true) {
        throw new AppError('encode_failed', 'the batch can not be encoded')
      }
      rowsIn += header.rowCount
      for (const { hash, rowStart, rowCount } of chunkEntries(header.chunks)) {
        for (let row = 0; row < rowCount; row++) {
          if (!isSuppressed(suppressed, rowStart + row)) rows.push(rowName(hash, row))
        }
      }
    }
    const files = rows.length === 0 ? [] : [await this.#writeOrUnavailable(rows)]
    return { files, rowsIn, rowsStored: rows.length, schemaVersion: 0, streams: 0 }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** As spool files do: a full or failing disk passes. */
  async #writeOrUnavailable(rows: readonly string[]): Promise<TableFile> {
    try {
      return await this.#write(rows)
    } catch (cause) {
      throw new AppError('store_unavailable', 'spool file can not be written', { cause })
    }
  }

  async #write(rows: readonly string[]): Promise<TableFile> {
    const { fs, directory } = this.#options
    const path = `${directory}/${this.#files++}.parquet`
    const body = Buffer.from(rows.join('\n'))
    // one of a process that died may be there
    await fs.unlink(path).catch(() => undefined)
    const handle = await fs.open(path, 'create')
    try {
      await writeFully(handle, [body], 0)
    } finally {
      await handle.close()
    }
    const sha256 = createHash('sha256').update(body).digest('hex')
    const hour = hourOf(Date.UTC(2027, 0, 15))
    return { path, bytes: body.length, sha256, rows: rows.length, hour, timeMin: '0', timeMax: '0' }
  }
}

/** The rows of a file of the memory encoder. */
export function rowsOfFile(body: Uint8Array): string[] {
  return Buffer.from(body).toString().split('\n')
}

function isSuppressed(ranges: Int32Array, row: number): boolean {
  for (let at = 0; at < ranges.length; at += 2) {
    if (row >= ranges[at]! && row < ranges[at + 1]!) return true
  }
  return false
}
