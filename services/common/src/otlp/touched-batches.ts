/**
 * The open batches that one request writes into, each with the savepoint from before its first row:
 * all of them take the request, or none does. Nobody else may write into them, and none may close,
 * between the first `of` and `settle` or `rollback`; one synchronous run sees to that.
 */
import type { BatchBuilder, Savepoint } from '../columnar/batch-builder.ts'

export interface TouchedBatch {
  readonly partition: number
  readonly builder: BatchBuilder
  readonly savepoint: Savepoint
}

export class TouchedBatches {
  /** In the order of their first row. */
  readonly all: TouchedBatch[] = []
  readonly #open: (partition: number) => BatchBuilder

  /** `open` gives the open batch of a partition; what it throws ends the decode. */
  constructor(open: (partition: number) => BatchBuilder) {
    this.#open = open
  }

  /** The batch of a partition. A shard has few partitions: a look through the list is quick. */
  of(partition: number): BatchBuilder {
    for (const touched of this.all) if (touched.partition === partition) return touched.builder
    const builder = this.#open(partition)
    this.all.push({ partition, builder, savepoint: builder.savepoint() })
    return builder
  }

  /** Undoes the request in all batches, the last touched first. */
  rollback(): void {
    for (const { builder, savepoint } of this.all.toReversed()) builder.rollback(savepoint)
  }

  /** At the end of a good request: shares its bytes out by the items that each batch took. */
  settle(bodyBytes: number): number {
    const rows = this.all.map(rowsOf)
    const rowCount = rows.reduce((sum, count) => sum + count, 0)
    let bytesLeft = bodyBytes
    let rowsLeft = rowCount
    for (const [index, { builder }] of this.all.entries()) {
      if (rows[index] === 0) continue
      const bytes = Math.round((bytesLeft * rows[index]!) / rowsLeft)
      builder.otlpBytes += bytes
      builder.settle()
      bytesLeft -= bytes
      rowsLeft -= rows[index]!
    }
    return rowCount
  }
}

function rowsOf({ builder, savepoint }: TouchedBatch): number {
  return builder.rowCount - savepoint.rowCount
}
