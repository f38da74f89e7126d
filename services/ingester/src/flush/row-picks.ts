/**
 * Which rows of which batch land where in a row group. Gathering goes batch by batch through these
 * picks, so each inner loop reads one batch's arrays of one type (a loop that switched batches per
 * row would see every index width and leave V8's fast path).
 */
import type { SourceTable } from './source-table.ts'

export interface RowPicks {
  readonly rowCount: number
  /** Per batch: its picks are pickRow[batchStart[b], batchStart[b + 1]). */
  readonly batchStart: Int32Array
  /** Row inside its batch. */
  readonly pickRow: Int32Array
  /** Row inside the row group. */
  readonly pickTarget: Int32Array
  /** First position of each batch in the table, and one behind the last. */
  readonly rowBases: Int32Array
  /** Where each position of the table stands in the order of its file's hour; -1 in others. */
  readonly positionOfRow: Int32Array
  /** Where the row group begins in that order. */
  readonly start: number
}

/** Batch of every row of the table. */
export function batchOfRows(table: SourceTable): Int32Array {
  const batchOf = new Int32Array(table.rowCount)
  table.batches.forEach((batch, index) => {
    batchOf.fill(index, batch.rowBase, batch.rowBase + batch.view.rowCount)
  })
  return batchOf
}

/** The place of every position of the table in `order`, -1 for what is not in it. */
export function positionsOf(table: SourceTable, order: Int32Array): Int32Array {
  const positionOfRow = new Int32Array(table.rowCount).fill(-1)
  for (let index = 0; index < order.length; index++) positionOfRow[order[index]!] = index
  return positionOfRow
}

/** The picks for order[start, end): a counting sort of the row group's rows by batch. */
export function pickRows(
  table: SourceTable,
  batchOf: Int32Array,
  order: Int32Array,
  positionOfRow: Int32Array,
  start: number,
  end: number,
): RowPicks {
  const batchCount = table.batches.length
  const rowCount = end - start
  const batchStart = new Int32Array(batchCount + 1)
  for (let index = start; index < end; index++) batchStart[batchOf[order[index]!]! + 1]! += 1
  for (let batch = 0; batch < batchCount; batch++) batchStart[batch + 1]! += batchStart[batch]!
  const next = batchStart.slice(0, batchCount)
  const rowBases = new Int32Array(batchCount + 1)
  table.batches.forEach((batch, index) => (rowBases[index] = batch.rowBase))
  rowBases[batchCount] = table.rowCount
  const pickRow = new Int32Array(rowCount)
  const pickTarget = new Int32Array(rowCount)
  for (let index = start; index < end; index++) {
    const row = order[index]!
    const batch = batchOf[row]!
    const at = next[batch]!
    pickRow[at] = row - rowBases[batch]!
    pickTarget[at] = index - start
    next[batch] = at + 1
  }
  return { rowCount, batchStart, pickRow, pickTarget, rowBases, positionOfRow, start }
}
