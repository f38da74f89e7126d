/**
 * Rows of an opened batch as plain JS values: slow and clear, for tests and `inspect`. The data path
 * never makes rows.
 */
import type { BatchView, ColumnView } from './batch-view.ts'

/**
 * A value of a column: text; bytes for binary and fixed types; a bigint for 64-bit integers; null.
 */
export type Cell =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | readonly number[]
  | readonly bigint[]
  | readonly string[]
  | readonly Uint8Array[]

export type BatchRow = Record<string, Cell>

/** Yields every row with its non-null values, keyed by column name. */
export function* batchRows(view: BatchView): Generator<BatchRow> {
  const columns = view.columns.map((column) => ({ name: column.name, cells: columnCells(column) }))
  for (let row = 0; row < view.rowCount; row++) {
    // no prototype: a column may be named __proto__
    const values = Object.create(null) as BatchRow
    for (const { name, cells } of columns) {
      const cell = cells(row)
      if (cell !== null) values[name] = cell
    }
    yield values
  }
}

/** A function that gives a column's value in a row of the batch, null where it has none. */
export function columnCells(column: ColumnView): (row: number) => Cell {
  const valueAt = valueReader(column)
  const { validity, indices, lists } = column
  if (lists !== undefined) {
    return (row) =>
      itemRange(lists[row]!, lists[row + 1]!).map((item) => valueAt(indices![item]!)) as Cell
  }
  return (row) => {
    if (validity !== undefined && ((validity[row >>> 3]! >>> (row & 7)) & 1) === 0) return null
    return valueAt(indices === undefined ? row : indices[row]!)
  }
}

function valueReader({ type, values, offsets }: ColumnView): (index: number) => Cell {
  const data = new DataView(values.buffer, values.byteOffset, values.byteLength)
  const start = (index: number): number => offsets![index]!
  switch (type) {
    case 'utf8':
    case 'list_utf8':
      return (index) =>
        Buffer.from(values.subarray(start(index), start(index + 1))).toString('utf8')
    case 'binary':
    case 'list_binary':
      return (index) => values.slice(start(index), start(index + 1))
    case 'fixed16':
      return (index) => values.slice(16 * index, 16 * index + 16)
    case 'fixed8':
      return (index) => values.slice(8 * index, 8 * index + 8)
    case 'uint64':
      return (index) => data.getBigUint64(8 * index, true)
    case 'int64':
      return (index) => data.getBigInt64(8 * index, true)
    case 'int32':
      return (index) => data.getInt32(4 * index, true)
    case 'uint32':
      return (index) => data.getUint32(4 * index, true)
    case 'float64':
      return (index) => data.getFloat64(8 * index, true)
    case 'bool':
      return (index) => ((values[index >>> 3]! >>> (index & 7)) & 1) === 1
    case 'list_float64':
      return (index) =>
        itemRange(start(index), start(index + 1)).map((at) => data.getFloat64(8 * at, true))
    case 'list_uint64':
      return (index) =>
        itemRange(start(index), start(index + 1)).map((at) => data.getBigUint64(8 * at, true))
  }
}

function itemRange(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index)
}
