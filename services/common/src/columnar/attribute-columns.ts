/**
 * The attributes of a batch: one `AttributeKey` per distinct key, each with at most one column per
 * value type, made when a value of that type first comes. Keys and columns outlive a batch (`reset`)
 * so that the next one starts warm; a column belongs to the current batch when it has values, and
 * then stands in `columns` in order of first appearance.
 *
 * A column costs about a byte in every row, values or not. So keys that few rows have (`isSparse`,
 * learned from the batch before) get none: their values stand in `sparse`, and so do those for which
 * the bytes that came in leave no room for another column (`hasRoom`).
 *
 * Keys are found by guessing: sets of attributes come in one order, so after a key there mostly comes
 * the one that followed it the last time, also where optional ones are left out or the records of
 * different sources take turns. `touched` holds the keys of the record at hand up to the position
 * reached: what a rejected record has to take back.
 */
import { LIMITS } from '../limits.ts'
import { equalBytes, hashBytes, hashKey } from './byte-kernels.ts'
import { BytesColumn } from './bytes-column.ts'
import { BoolColumn, Fixed64Column } from './fixed-columns.ts'
import { NO_BYTES } from './row-numbers.ts'
import { SparseAttributes } from './sparse-attributes.ts'

/** Keys kept from batch to batch; where more have come, all are dropped at the next reset. */
const POOLED_KEYS_MAX = 4096
/** The same for the memory that their columns reserve: 32 batches' worth. */
const POOLED_BYTES_MAX = 8 * 1024 * 1024
const TABLE_SLOTS_MIN = 64
/** A batch of fewer rows says nothing about how often a key comes. */
const LEARN_ROWS_MIN = 64
/** A key becomes sparse where at most one row in so many has it, and gets columns again ... */
const SPARSE_ROWS_PER_VALUE = 8
/** ... where one in so many has: in between it stays what it was. */
const DENSE_ROWS_PER_VALUE = 4
/** Keys that were found lately, by a quick hash; a power of two. */
const RECENT_SLOTS = 1024
/**
 * What a column takes in every row of an Arrow batch, values or not: 8 bytes for numbers, 4 for an
 * offset, 1 or 2 for a dictionary id. The columns of a batch may take this much together ...
 */
const ROW_WIDTH_FREE = 64
/** ... and this much for every byte of OTLP in the mean row: an int under a key of one letter takes 11. */
const ROW_WIDTH_PER_BYTE = 1

export type AttributeColumn = BytesColumn | Fixed64Column | BoolColumn

export class AttributeKey {
  readonly name: string
  readonly hash: number
  readonly bytes: Uint8Array
  readonly view: DataView
  /** The key that came after it in the last record that had it. */
  next: AttributeKey | undefined = undefined
  /** The last row with this key, to see a key that comes twice in one record. */
  lastRow = -1
  /** Whether its values stand in `sparse`, as far as the last batch can tell. */
  isSparse = false
  /** Its entry among the keys of `sparse`, -1 where it has none, and its pairs there. */
  sparseId = -1
  sparseCount = 0
  string: BytesColumn | undefined = undefined
  int: Fixed64Column | undefined = undefined
  double: Fixed64Column | undefined = undefined
  bool: BoolColumn | undefined = undefined
  binary: BytesColumn | undefined = undefined
  any: BytesColumn | undefined = undefined

  constructor(name: string, hash: number, bytes: Uint8Array) {
    this.name = name
    this.hash = hash
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  matches(view: DataView, start: number, end: number): boolean {
    const length = end - start
    return this.bytes.length === length && equalBytes(this.view, 0, view, start, length)
  }

  truncateRows(row: number): void {
    if (this.lastRow >= row) this.lastRow = -1
    this.string?.truncateRows(row)
    this.int?.truncateRows(row)
    this.double?.truncateRows(row)
    this.bool?.truncateRows(row)
    this.binary?.truncateRows(row)
    this.any?.truncateRows(row)
  }

  /** Values in the batch, whatever their type and form. */
  valueCount(): number {
    return (
      this.sparseCount +
      (this.string?.count ?? 0) +
      (this.int?.count ?? 0) +
      (this.double?.count ?? 0) +
      (this.bool?.count ?? 0) +
      (this.binary?.count ?? 0) +
      (this.any?.count ?? 0)
    )
  }

  /** Bytes that the columns reserve, roughly: a fixed-width value takes 8. */
  capacityBytes(): number {
    const fixed = (this.int?.values.length ?? 0) + (this.double?.values.length ?? 0)
    const strings = this.string?.capacityBytes() ?? 0
    return (
      strings + fixed * 4 + (this.binary?.capacityBytes() ?? 0) + (this.any?.capacityBytes() ?? 0)
    )
  }
}

export class AttributeColumns {
  /** Columns with values in this batch, in order of first appearance. */
  readonly columns: AttributeColumn[] = []
  /** Keys by position in the record at hand; what stands behind them is of records before. */
  readonly touched: AttributeKey[] = []
  /** What the first key of a record comes after; no attribute has it. */
  readonly start = new AttributeKey('', 0, NO_BYTES)
  /** Attributes without a column. */
  readonly sparse = new SparseAttributes()
  /** OTLP bytes of the items so far, for `hasRoom`. */
  itemBytes = 0
  #rowWidth = 0
  readonly #prefix: string
  #keys: AttributeKey[] = []
  /** Position in #keys + 1 per slot, 0 where free. */
  #table = new Int32Array(TABLE_SLOTS_MIN)
  #recent = new Array<AttributeKey | undefined>(RECENT_SLOTS)

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** The key with these bytes, made when unknown; the caller has checked that they are UTF-8. */
  key(bytes: Uint8Array, view: DataView, start: number, end: number): AttributeKey {
    const known = this.find(view, start, end)
    if (known !== undefined) return known
    // not slice: that of a Buffer is a view, of the request and of what its memory holds beside it
    const copy = new Uint8Array(bytes.subarray(start, end))
    const name = this.#prefix + Buffer.from(copy.buffer).toString('utf8')
    const key = new AttributeKey(name, hashKey(view, start, end), copy)
    this.#keys.push(key)
    if (this.#keys.length * 4 > this.#table.length) this.#rebuild(this.#table.length * 2)
    else this.#insert(key.hash, this.#keys.length)
    return key
  }

  find(view: DataView, start: number, end: number): AttributeKey | undefined {
    const slot = hashBytes(view, start, end) & (RECENT_SLOTS - 1)
    const recent = this.#recent[slot]
    if (recent?.matches(view, start, end) === true) return recent
    const found = this.#findSlowly(view, start, end)
    if (found !== undefined) this.#recent[slot] = found
    return found
  }

  #findSlowly(view: DataView, start: number, end: number): AttributeKey | undefined {
    const hash = hashKey(view, start, end)
    const mask = this.#table.length - 1
    let slot = hash & mask
    for (;;) {
      const index = this.#table[slot]! - 1
      if (index < 0) return undefined
      const key = this.#keys[index]!
      if (key.hash === hash && key.matches(view, start, end)) return key
      slot = (slot + 1) & mask
    }
  }

  /** Whether a column of `key` that this batch does not have yet may come in at `row`. */
  hasRoom(key: AttributeKey, row: number): boolean {
    if (key.isSparse) return false
    if (this.#rowWidth < ROW_WIDTH_FREE) return true
    if (this.columns.length >= LIMITS.attributeColumnsMax) return false
    const rowBytes = this.itemBytes / (row + 1)
    return this.#rowWidth < ROW_WIDTH_FREE + rowBytes * ROW_WIDTH_PER_BYTE
  }

  /** The column of `key` for strings, counted in as one of this batch; so the others below. */
  stringColumn(key: AttributeKey): BytesColumn {
    const column = (key.string ??= new BytesColumn(`${key.name}@string`, 'utf8', true))
    if (column.rows.count === 0) this.#include(column)
    return column
  }

  intColumn(key: AttributeKey): Fixed64Column {
    const column = (key.int ??= new Fixed64Column(`${key.name}@int`, 'int64'))
    if (column.rows.count === 0) this.#include(column)
    return column
  }

  doubleColumn(key: AttributeKey): Fixed64Column {
    const column = (key.double ??= new Fixed64Column(`${key.name}@double`, 'float64'))
    if (column.rows.count === 0) this.#include(column)
    return column
  }

  boolColumn(key: AttributeKey): BoolColumn {
    const column = (key.bool ??= new BoolColumn(`${key.name}@bool`))
    if (column.rows.count === 0) this.#include(column)
    return column
  }

  bytesColumn(key: AttributeKey): BytesColumn {
    const column = (key.binary ??= new BytesColumn(`${key.name}@bytes`, 'binary', false))
    if (column.rows.count === 0) this.#include(column)
    return column
  }

  anyColumn(key: AttributeKey): BytesColumn {
    const column = (key.any ??= new BytesColumn(`${key.name}@any`, 'binary', false))
    if (column.rows.count === 0) this.#include(column)
    return column
  }

  /** Undoes `row`, whose record has keys at the first `touched` positions. */
  undoRow(row: number, touched: number): void {
    for (let i = 0; i < touched; i++) this.touched[i]!.truncateRows(row)
    this.sparse.truncateRows(row)
    this.#dropEmptyColumns()
  }

  /** Forgets the rows from `row` on. */
  truncateRows(row: number): void {
    for (const key of this.#keys) key.truncateRows(row)
    this.sparse.truncateRows(row)
    this.#dropEmptyColumns()
  }

  /** Empties the batch, of `rowCount` rows; what it knew of the keys stays. */
  reset(rowCount: number): void {
    if (rowCount >= LEARN_ROWS_MIN) this.#learn(rowCount)
    for (const column of this.columns) column.reset()
    this.columns.length = 0
    this.#rowWidth = 0
    this.touched.length = 0
    this.sparse.reset()
    this.itemBytes = 0
    let capacityBytes = this.sparse.capacityBytes()
    for (const key of this.#keys) {
      key.lastRow = -1
      capacityBytes += key.capacityBytes()
    }
    if (this.#keys.length > POOLED_KEYS_MAX || capacityBytes > POOLED_BYTES_MAX) {
      this.#keys = []
      this.#table = new Int32Array(TABLE_SLOTS_MIN)
      this.#recent.fill(undefined)
      this.start.next = undefined
    }
  }

  /** Whether each key that came gets columns in the next batch. */
  #learn(rowCount: number): void {
    for (const key of this.#keys) {
      const count = key.valueCount()
      if (count === 0) continue
      if (count * SPARSE_ROWS_PER_VALUE <= rowCount) key.isSparse = true
      else if (count * DENSE_ROWS_PER_VALUE >= rowCount) key.isSparse = false
    }
  }

  #include(column: AttributeColumn): void {
    this.columns.push(column)
    this.#rowWidth += rowWidth(column)
  }

  /** New columns stand last, so the empty ones after a cut do too. */
  #dropEmptyColumns(): void {
    const columns = this.columns
    while (columns.length > 0 && columns[columns.length - 1]!.count === 0) {
      this.#rowWidth -= rowWidth(columns[columns.length - 1]!)
      columns.length -= 1
    }
  }

  #insert(hash: number, entry: number): void {
    const mask = this.#table.length - 1
    let slot = hash & mask
    while (this.#table[slot] !== 0) slot = (slot + 1) & mask
    this.#table[slot] = entry
  }

  #rebuild(slots: number): void {
    this.#table = new Int32Array(slots)
    for (const [index, key] of this.#keys.entries()) this.#insert(key.hash, index + 1)
  }
}

function rowWidth(column: AttributeColumn): number {
  if (column.kind === 'fixed64') return 8
  if (column.kind === 'bool') return 1
  return column.mayShare ? 2 : 4
}
