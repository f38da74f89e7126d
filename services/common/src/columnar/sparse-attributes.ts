/**
 * The attributes of a batch that have no column: most labels of most metrics are absent in most
 * rows, and a column of few values costs a dictionary, a field and room in every row. They stand row
 * by row instead, as pairs of a key and a value that are ids into one dictionary each; the flush
 * turns them into the columns of the file.
 *
 *     row 0: (k0, v0) (k1, v1)   row 1: -   row 2: (k0, v2) ...
 *
 * Invariant: `rows` never falls; everything a row brought (pairs, keys, values) leaves with it in
 * reverse order, as in all columns. Values are AnyValue messages in normal form.
 */
import type { AttributeKey } from './attribute-columns.ts'
import { ByteDictionary } from './byte-dictionary.ts'
import { NO_INTS, growInt32 } from './row-numbers.ts'

/** Schema fields, nodes, buffers and two dictionary messages in an Arrow stream. */
const OVERHEAD_BYTES = 800

/** One side of the pairs: a list of dictionary ids per row. */
export class IdListColumn {
  readonly kind = 'id_list'
  readonly name: string
  readonly type: 'list_utf8' | 'list_binary'
  readonly entries = new ByteDictionary()
  /** Row and entry of item i, for i < `pairs.count`. */
  readonly pairs: PairRows
  ids: Int32Array = NO_INTS

  constructor(name: string, type: 'list_utf8' | 'list_binary', pairs: PairRows) {
    this.name = name
    this.type = type
    this.pairs = pairs
  }
}

/** Which row each pair belongs to. */
export class PairRows {
  count = 0
  rows: Int32Array = NO_INTS
}

export class SparseAttributes {
  readonly #pairs = new PairRows()
  readonly keys = new IdListColumn('sparse_keys', 'list_utf8', this.#pairs)
  readonly values = new IdListColumn('sparse_values', 'list_binary', this.#pairs)
  /** The key of each entry of `keys`. */
  readonly #keys: AttributeKey[] = []

  /** Pairs in the batch. */
  get count(): number {
    return this.#pairs.count
  }

  /** The value equal to [start, end) of `view`, or -1: what is known has been checked. */
  find(view: DataView, start: number, end: number, hash: number): number {
    return this.values.entries.find(view, start, end, hash)
  }

  /** Takes a value that `find` did not find. */
  addValue(bytes: Uint8Array, view: DataView, start: number, end: number, hash: number): number {
    return this.values.entries.add(bytes, view, start, end, hash, this.#pairs.count)
  }

  /** Adds a pair to `row`, the last one or the one behind it. */
  push(row: number, key: AttributeKey, valueId: number): void {
    const pairs = this.#pairs
    const { count } = pairs
    if (count === pairs.rows.length) {
      pairs.rows = growInt32(pairs.rows, count + 1)
      this.keys.ids = growInt32(this.keys.ids, pairs.rows.length)
      this.values.ids = growInt32(this.values.ids, pairs.rows.length)
    }
    if (key.sparseId < 0) this.#addKey(key)
    pairs.rows[count] = row
    this.keys.ids[count] = key.sparseId
    this.values.ids[count] = valueId
    key.sparseCount += 1
    pairs.count = count + 1
  }

  #addKey(key: AttributeKey): void {
    const { entries } = this.keys
    key.sparseId = entries.size
    entries.append(key.bytes, key.view, 0, key.bytes.length)
    this.#keys.push(key)
  }

  /** Forgets the rows from `row` on. */
  truncateRows(row: number): void {
    const pairs = this.#pairs
    let { count } = pairs
    if (count > 0 && pairs.rows[count - 1]! >= row) {
      do {
        count -= 1
        this.#keys[this.keys.ids[count]!]!.sparseCount -= 1
      } while (count > 0 && pairs.rows[count - 1]! >= row)
      pairs.count = count
      this.#dropUnusedKeys()
    }
    // a value may have come for a pair that was never made
    this.values.entries.truncateUses(count)
  }

  /** Keys came in the order of their first pairs, so those without any stand last. */
  #dropUnusedKeys(): void {
    const keys = this.#keys
    while (keys.length > 0 && keys[keys.length - 1]!.sparseCount === 0) {
      keys[keys.length - 1]!.sparseId = -1
      keys.length -= 1
    }
    this.keys.entries.size = keys.length
  }

  reset(): void {
    for (const key of this.#keys) {
      key.sparseId = -1
      key.sparseCount = 0
    }
    this.#keys.length = 0
    this.#pairs.count = 0
    this.keys.entries.size = 0
    this.values.entries.clear()
  }

  /** Bytes in an Arrow stream of `rowCount` rows. */
  byteSize(rowCount: number): number {
    const { count } = this.#pairs
    if (count === 0) return 0
    const keys = this.keys.entries
    const values = this.values.entries
    const idBytes = count * (keys.idBytes() + values.idBytes())
    return OVERHEAD_BYTES + 8 * (rowCount + 1) + idBytes + keys.byteSize() + values.byteSize()
  }

  /** Bytes of memory reserved, used or not. */
  capacityBytes(): number {
    return this.values.entries.capacityBytes() + this.#pairs.rows.length * 12
  }
}
