/**
 * The batches of one tenant and one signal that a flush turns into files. A row of the table is
 * known by its position in the log: `rowBase` of its batch plus its row in the batch, so ties of
 * the sort order break the same way whoever flushes.
 */
import type { BatchView, ColumnView } from '@tributary/common/columnar/batch-view'

export interface SourceBatch {
  readonly view: BatchView
  /** Position of the batch's first row in the table. */
  readonly rowBase: number
  /** Arrival of the batch in nanoseconds since 1970, as halves. */
  readonly arrivalHigh: number
  readonly arrivalLow: number
  /** Row ranges [start, end) in pairs that were stored before (client retries). */
  readonly suppressed: Int32Array
}

export interface SourceTable {
  readonly batches: readonly SourceBatch[]
  readonly rowCount: number
}

/** One batch column of the whole table: its view in each batch, or undefined where it is absent. */
export type TableColumnViews = readonly (ColumnView | undefined)[]

/** Collects a column of the table by its Arrow name; undefined where no batch has it. */
export function columnViews(table: SourceTable, name: string): TableColumnViews | undefined {
  let found = false
  const views = table.batches.map((batch) => {
    const view = batch.view.column(name)
    if (view !== undefined) found = true
    return view
  })
  return found ? views : undefined
}
