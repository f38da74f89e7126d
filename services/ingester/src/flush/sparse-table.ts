/**
 * The attributes that stand as pairs in their batches (docs/format/batch.md), turned into columns: a
 * counting sort of all pairs of the table by key and type. Every distinct value is read once per
 * flush and once per column that has it.
 *
 * Invariant: the rows of a column ascend, and a row stands in it at most once; no row has a key here
 * and in a column of its batch.
 */
import { openedPairs, type BatchPairs } from './batch-pairs.ts'
import type { TableAttribute } from './attribute-plan.ts'
import { DictionaryUnion } from './dictionary-union.ts'
import { IntList } from './int-list.ts'
import { SparseColumn, type SparseValues } from './sparse-column.ts'
import type { SourceTable } from './source-table.ts'
import { SPARSE_TYPES, typeCodeOf } from './sparse-value.ts'

export class SparseTable {
  /** In order of first appearance. */
  readonly columns: readonly SparseColumn[]
  readonly #byName: ReadonlyMap<string, SparseColumn>

  constructor(columns: readonly SparseColumn[]) {
    this.columns = columns
    this.#byName = new Map(columns.map((column) => [nameOf(column), column]))
  }

  column(attribute: TableAttribute): SparseColumn | undefined {
    return this.#byName.get(nameOf(attribute))
  }
}

function nameOf({ key, type }: { readonly key: string; readonly type: string }): string {
  return `${key}@${type}`
}

/** Collects the pairs of all batches; undefined where there are none. */
export function buildSparseTable(table: SourceTable): SparseTable | undefined {
  const batches = table.batches.map(({ view }) => openedPairs(view))
  if (batches.every((pairs) => pairs === undefined)) return undefined
  return new SparseTable(new SparseTableBuilder().build(table, batches))
}

/** A column while its pairs are counted. */
interface Counted {
  readonly keyId: number
  readonly typeCode: number
  readonly firstBatch: number
}

interface Remaps {
  readonly keys: Int32Array
  readonly values: Int32Array
}

/** Which column a pair belongs to, by its key and the type of its value. */
interface PairColumns {
  readonly columnOf: Int32Array
  readonly typeOfValue: Int32Array
}

class SparseTableBuilder {
  readonly #keys = new DictionaryUnion()
  readonly #values = new DictionaryUnion()
  readonly #typeOfValue = new IntList()
  readonly #columns: Counted[] = []
  /** By key and type: column + 1, 0 where there is none. */
  #columnOf = new Int32Array(SPARSE_TYPES.length * 64)
  readonly #counts = new IntList()

  build(table: SourceTable, batches: readonly (BatchPairs | undefined)[]): SparseColumn[] {
    const remaps = batches.map((pairs, batch) => pairs && this.#count(pairs, batch))
    const columnCount = this.#columns.length
    const starts = new Int32Array(columnCount + 1)
    for (let column = 0; column < columnCount; column++) {
      starts[column + 1] = starts[column]! + this.#counts.values[column]!
    }
    const next = starts.slice()
    const rows = new Int32Array(starts[columnCount]!)
    const ids = new Int32Array(starts[columnCount]!)
    batches.forEach((pairs, batch) => {
      if (pairs === undefined) return
      const { rowBase } = table.batches[batch]!
      placePairs(pairs, remaps[batch]!, this.#pairColumns(), rowBase, next, rows, ids)
    })
    const { data, offsets, count } = this.#values.finish()
    const shared: SparseValues = { data, offsets, seen: new Int32Array(count) }
    return this.#columns.map(({ keyId, typeCode, firstBatch }, column) => {
      const start = starts[column]!
      const end = starts[column + 1]!
      return new SparseColumn(
        Buffer.from(this.#keys.entry(keyId)).toString('utf8'),
        SPARSE_TYPES[typeCode]!,
        firstBatch,
        rows.subarray(start, end),
        ids.subarray(start, end),
        shared,
      )
    })
  }

  /** Unites the dictionaries of a batch with those before, and counts its pairs by column. */
  #count(pairs: BatchPairs, batch: number): Remaps {
    const { keyEntries, valueEntries } = pairs
    const keys = new Int32Array(keyEntries.length)
    for (let entry = 0; entry < keys.length; entry++) {
      const { offsets, values } = keyEntries
      keys[entry] = this.#keys.add(values, offsets![entry]!, offsets![entry + 1]!)
    }
    const values = new Int32Array(valueEntries.length)
    for (let entry = 0; entry < values.length; entry++) {
      const { offsets, values: bytes } = valueEntries
      const start = offsets![entry]!
      const end = offsets![entry + 1]!
      const known = this.#values.count
      const id = this.#values.add(bytes, start, end)
      if (id === known) this.#typeOfValue.push(typeCodeOf(bytes, start, end))
      values[entry] = id
    }
    this.#reserveKeys()
    const remaps = { keys, values }
    for (let item = 0; item < pairs.keys.length;) {
      item = countPairs(item, pairs, remaps, this.#pairColumns(), this.#counts.values)
      if (item < pairs.keys.length) this.#addColumnOf(item, pairs, remaps, batch)
    }
    return remaps
  }

  #pairColumns(): PairColumns {
    return { columnOf: this.#columnOf, typeOfValue: this.#typeOfValue.values }
  }

  #addColumnOf(item: number, pairs: BatchPairs, remaps: Remaps, firstBatch: number): void {
    const keyId = remaps.keys[pairs.keys[item]!]!
    const typeCode = this.#typeOfValue.values[remaps.values[pairs.values[item]!]!]!
    this.#columns.push({ keyId, typeCode, firstBatch })
    this.#counts.push(0)
    this.#columnOf[keyId * SPARSE_TYPES.length + typeCode] = this.#columns.length
  }

  #reserveKeys(): void {
    const needed = this.#keys.count * SPARSE_TYPES.length
    if (needed <= this.#columnOf.length) return
    const grown = new Int32Array(Math.max(needed, this.#columnOf.length * 2))
    grown.set(this.#columnOf)
    this.#columnOf = grown
  }
}

/** Counts pairs by column from `first` on; returns where one has no column yet, or where they end. */
function countPairs(
  first: number,
  pairs: BatchPairs,
  remaps: Remaps,
  { columnOf, typeOfValue }: PairColumns,
  counts: Int32Array,
): number {
  const types = SPARSE_TYPES.length
  for (let item = first; item < pairs.keys.length; item++) {
    const keyId = remaps.keys[pairs.keys[item]!]!
    const value = remaps.values[pairs.values[item]!]!
    const column = columnOf[keyId * types + typeOfValue[value]!]! - 1
    if (column < 0) return item
    counts[column]! += 1
  }
  return pairs.keys.length
}

/** Puts the pairs of a batch where `next` says for each column, and moves `next` on. */
function placePairs(
  pairs: BatchPairs,
  remaps: Remaps,
  { columnOf, typeOfValue }: PairColumns,
  rowBase: number,
  next: Int32Array,
  rows: Int32Array,
  ids: Int32Array,
): void {
  const types = SPARSE_TYPES.length
  const { lists } = pairs
  for (let row = 0; row < lists.length - 1; row++) {
    const end = lists[row + 1]!
    for (let item = lists[row]!; item < end; item++) {
      const keyId = remaps.keys[pairs.keys[item]!]!
      const value = remaps.values[pairs.values[item]!]!
      const column = columnOf[keyId * types + typeOfValue[value]!]! - 1
      const at = next[column]!
      next[column] = at + 1
      rows[at] = rowBase + row
      ids[at] = value
    }
  }
}
