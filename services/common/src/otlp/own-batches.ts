/**
 * The batches that a large request fills for itself, one after another per partition: a batch takes
 * chunks as long as one more like its last still fits.
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
  /** Estimated size before the last chunk. */
  bytesBefore: number
}

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
  next(current: BatchBuilder): BatchBuilder {
    const filling = this.#last
    if (filling?.builder !== current || current.rowCount === 0) return current
    const bytesMax = this.#options.batchBytesMax ?? LIMITS.batchBytesMax
    const rowsMax = this.#options.batchRowsMax ?? LIMITS.batchRowsMax
    current.settle()
    const bytes = current.estimatedBytes()
    const grownBytes = bytes - filling.bytesBefore
    filling.bytesBefore = bytes
    const hasRoom = bytes + grownBytes <= bytesMax && current.rowCount + CHUNK_ITEMS_MAX <= rowsMax
    if (hasRoom) return current
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
    const filling = { partition, builder: this.#options.newBatch(), bytesBefore: 0 }
    this.#filling.set(partition, filling)
    this.all.push(filling)
    return filling
  }
}
