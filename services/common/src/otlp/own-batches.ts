/**
 * The batches that a large request fills for itself, one after another per partition: a batch takes
 * chunks as long as as much as since the last look still fits.
 */
import type { BatchBuilder } from '../columnar/batch-builder.ts'
import { LIMITS } from '../limits.ts'
import { CHUNK_ITEMS_MAX } from './chunker.ts'

export interface OwnBatchesOptions {
  readonly newBatch: () => BatchBuilder
  readonly batchBytesMax?: number | undefined
  readonly batchRowsMax?: number | undefined
}

export interface OwnBatch {
  readonly partition: number
  readonly builder: BatchBuilder
}

interface Filling extends OwnBatch {
  /** Estimated size at the last look, and OTLP bytes of the chunks since. */
  bytesBefore: number
  unweighedBytes: number
}

/** A look costs as much as a small chunk: shares of a batch between two of them. */
const LOOKS_PER_BATCH = 16

export class OwnBatches {
  readonly all: OwnBatch[] = []
  readonly #options: OwnBatchesOptions
  readonly #filling = new Map<number, Filling>()
  /** That of the last `of`: nearly always the one that `next` asks about. */
  #last: Filling | undefined

  constructor(options: OwnBatchesOptions) {
    this.#options = options
  }

  /** The batch that takes the next chunk of a partition. */
  of(partition: number): BatchBuilder {
    this.#last = this.#filling.get(partition) ?? this.#begin(partition)
    return this.#last.builder
  }

  /** After a chunk of the batch: the one that takes the next, of the same partition. */
  next(current: BatchBuilder, chunkBytes: number): BatchBuilder {
    const filling = this.#last
    if (filling?.builder !== current || current.rowCount === 0) return current
    const bytesMax = this.#options.batchBytesMax ?? LIMITS.batchBytesMax
    const rowsMax = this.#options.batchRowsMax ?? LIMITS.batchRowsMax
    const hasRows = current.rowCount + CHUNK_ITEMS_MAX <= rowsMax
    filling.unweighedBytes += chunkBytes
    if (hasRows && filling.unweighedBytes < bytesMax / LOOKS_PER_BATCH) return current
    filling.unweighedBytes = 0
    current.settle()
    const bytes = current.estimatedBytes()
    const grownBytes = bytes - filling.bytesBefore
    filling.bytesBefore = bytes
    if (hasRows && bytes + grownBytes <= bytesMax) return current
    this.#last = this.#begin(filling.partition)
    return this.#last.builder
  }

  /** Those with rows. */
  get filled(): OwnBatch[] {
    return this.all.filter(({ builder }) => builder.rowCount > 0)
  }

  get rowCount(): number {
    return this.all.reduce((sum, { builder }) => sum + builder.rowCount, 0)
  }

  /** At the end of the request: shares its bytes out by rows. */
  settle(bodyBytes: number): void {
    const { filled, rowCount } = this
    for (const { builder } of filled) {
      builder.settle()
      builder.otlpBytes = Math.round((bodyBytes * builder.rowCount) / rowCount)
    }
  }

  #begin(partition: number): Filling {
    const filling = {
      partition,
      builder: this.#options.newBatch(),
      bytesBefore: 0,
      unweighedBytes: 0,
    }
    this.#filling.set(partition, filling)
    this.all.push(filling)
    return filling
  }
}
