/**
 * Series of metric points: a fixed 64-bit hash of metric name, resource, scope and attributes.
 *
 * Each (key, type, value) contributes a hash of its own and a row adds up the contributions of its
 * attributes, so the order in which they were sent plays no part and a dictionary's value is hashed
 * once, not once per point. The sum of two 32-bit lanes is then mixed with the rest.
 */
import type { ColumnView } from '@tributary/common/columnar/batch-view'
import { hashBytes, hashSecond, hashText, mix } from './content-hash.ts'
import type { UnitedDictionary } from './united-dictionary.ts'
import type { SourceTable, TableColumnViews } from './source-table.ts'
import type { GroupTable } from './group-table.ts'
import { int32Of } from './gather.ts'
import { arrowName } from './attribute-plan.ts'
import type { SparseColumn } from './sparse-column.ts'

export interface SeriesColumn {
  /** Arrow name, which holds namespace, key and type. */
  readonly name: string
  readonly views: TableColumnViews
  /** For utf8 and binary columns. */
  readonly united: UnitedDictionary | undefined
}

export interface SeriesIds {
  readonly low: Int32Array
  readonly high: Int32Array
}

/** Series id of every position of the table. */
export function computeSeriesIds(
  table: SourceTable,
  metricName: SeriesColumn | undefined,
  attributes: readonly SeriesColumn[],
  pairs: readonly SparseColumn[],
  resources: GroupTable,
  scopes: GroupTable,
): SeriesIds {
  const low = new Int32Array(table.rowCount)
  const high = new Int32Array(table.rowCount)
  for (const column of attributes) addColumn(table, column, low, high)
  for (const column of pairs) {
    const { key, type } = column
    column.addToSeries(arrowName({ namespace: 'attributes', key, type }), low, high)
  }
  if (metricName !== undefined) addColumn(table, metricName, low, high)
  addGroups(resources, low, high, 0x51ed270b)
  addGroups(scopes, low, high, 0x2545f491)
  finish(low, high)
  return { low, high }
}

function addColumn(
  table: SourceTable,
  column: SeriesColumn,
  low: Int32Array,
  high: Int32Array,
): void {
  const seed = hashText(column.name)
  const contributions = column.united && hashEntries(column.united, seed)
  table.batches.forEach((batch, index) => {
    const view = column.views[index]
    if (view === undefined) return
    const { rowBase } = batch
    const remap = column.united?.remaps[index]
    if (remap !== undefined && contributions !== undefined) {
      addDictionary(view, remap, contributions, rowBase, batch.view.rowCount, low, high)
    } else {
      addFixed(view, seed, rowBase, batch.view.rowCount, low, high)
    }
  })
}

/** Two lanes of hash per united entry. */
function hashEntries(united: UnitedDictionary, seed: number): Int32Array {
  const hashes = new Int32Array(2 * united.count)
  for (let id = 0; id < united.count; id++) {
    const start = united.offsets[id]!
    const end = united.offsets[id + 1]!
    const first = hashBytes(united.data, start, end)
    hashes[2 * id] = mix(first ^ seed, end - start)
    hashes[2 * id + 1] = mix(hashSecond(united.data, start, end), seed)
  }
  return hashes
}

function addDictionary(
  view: ColumnView,
  remap: Int32Array,
  contributions: Int32Array,
  rowBase: number,
  rowCount: number,
  low: Int32Array,
  high: Int32Array,
): void {
  const { indices, validity } = view
  for (let row = 0; row < rowCount; row++) {
    if (validity !== undefined && (validity[row >>> 3]! & (1 << (row & 7))) === 0) {
      // eight rows at once: most rows lack a sparse label
      if ((row & 7) === 0 && validity[row >>> 3] === 0) row += 7
      continue
    }
    const id = remap[indices === undefined ? row : indices[row]!]!
    low[rowBase + row] = (low[rowBase + row]! + contributions[2 * id]!) | 0
    high[rowBase + row] = (high[rowBase + row]! + contributions[2 * id + 1]!) | 0
  }
}

/** Ints, doubles and bools: the value's bits are hashed per row. */
function addFixed(
  view: ColumnView,
  seed: number,
  rowBase: number,
  rowCount: number,
  low: Int32Array,
  high: Int32Array,
): void {
  const { validity } = view
  const isBool = view.type === 'bool'
  const halves = isBool ? undefined : int32Of(view)
  for (let row = 0; row < rowCount; row++) {
    if (validity !== undefined && (validity[row >>> 3]! & (1 << (row & 7))) === 0) {
      // eight rows at once: most rows lack a sparse label
      if ((row & 7) === 0 && validity[row >>> 3] === 0) row += 7
      continue
    }
    const first =
      halves === undefined ? (view.values[row >>> 3]! >>> (row & 7)) & 1 : halves[2 * row]!
    const second = halves === undefined ? 0 : halves[2 * row + 1]!
    low[rowBase + row] = (low[rowBase + row]! + mix(first ^ seed, second)) | 0
    high[rowBase + row] = (high[rowBase + row]! + mix(second ^ 0x3c6ef372, mix(first, seed))) | 0
  }
}

function addGroups(groups: GroupTable, low: Int32Array, high: Int32Array, seed: number): void {
  const { count, hashLow, hashHigh } = groups
  const lowOf = new Int32Array(count)
  const highOf = new Int32Array(count)
  for (let group = 0; group < count; group++) {
    lowOf[group] = mix(hashLow[group]! ^ seed, hashHigh[group]!)
    highOf[group] = mix(hashHigh[group]!, hashLow[group]! ^ seed)
  }
  const { groupOfRow } = groups
  for (let row = 0; row < low.length; row++) {
    low[row] = (low[row]! + lowOf[groupOfRow[row]!]!) | 0
    high[row] = (high[row]! + highOf[groupOfRow[row]!]!) | 0
  }
}

function finish(low: Int32Array, high: Int32Array): void {
  for (let row = 0; row < low.length; row++) {
    const first = low[row]!
    const second = high[row]!
    low[row] = mix(first, second)
    high[row] = mix(second ^ 0x27d4eb2f, first)
  }
}
