/**
 * Reads the columns of a record batch: for each column a node (rows, nulls) and its buffers, in the
 * order of the schema (Arrow columnar format: validity, then offsets, then data; lists have a node
 * and buffers of their items behind their own). Every buffer is checked to be inside the body and
 * as long as its column needs; the promises of batch-view.ts are kept here.
 */
import { ALIGNMENT_BYTES, BUFFER_BYTES, FIELD_NODE_BYTES, RecordBatchSlot } from './arrow-format.ts'
import type { ColumnPlan, SchemaPlan } from './arrow-schema-reader.ts'
import type { ColumnView, DictionaryIndices } from './batch-view.ts'
import { envelopeDamage } from './envelope-damage.ts'
import type { FlatbufferReader } from './flatbuffer-reader.ts'
import { countSetBits, idsInRange, offsetsRise } from './arrow-checks.ts'

/** Rows and dictionary entries stay below this: ids and offsets are signed 32-bit. */
const LENGTH_MAX = 0x7fff_ffff

/** The values of a plain column or of a dictionary. */
export interface ColumnValues {
  readonly length: number
  readonly values: Uint8Array
  readonly offsets: Int32Array | undefined
}

const NO_BYTES = new Uint8Array(0)
const ONE_OFFSET = new Int32Array(1)
const NO_IDS = new Int8Array(0)

/** Reads the record batch whose table stands at `table`. */
export function readColumns(
  plan: SchemaPlan,
  dictionaries: ReadonlyMap<number, ColumnValues>,
  reader: FlatbufferReader,
  table: number,
  body: Uint8Array,
): { rowCount: number; columns: ColumnView[] } {
  const cursor = new BufferCursor(reader, table, body)
  const rowCount = cursor.rowCount
  if (plan.columns.length === 0 && rowCount > 0) {
    throw envelopeDamage('rows without columns', { rowCount })
  }
  const columns = plan.columns.map((column) => {
    if (column.indexBytes === 0) return readPlainColumn(cursor, column)
    const dictionary = dictionaries.get(column.dictionaryId) ?? emptyValues()
    return column.layout === 'id_list'
      ? readIdList(cursor, column, dictionary)
      : readDictionaryColumn(cursor, column, dictionary)
  })
  cursor.end()
  return { rowCount, columns }
}

/** The columns of a stream without a record batch. */
export function emptyColumns(plan: SchemaPlan): ColumnView[] {
  return plan.columns.map(({ name, type, layout }) => {
    const offsets = layout === 'fixed' || layout === 'bool' ? undefined : ONE_OFFSET
    const isIdList = layout === 'id_list'
    const indices = isIdList ? NO_IDS : undefined
    const lists = isIdList ? ONE_OFFSET : undefined
    return columnView(name, type, 0, undefined, indices, 0, NO_BYTES, offsets, lists)
  })
}

/** Reads the values of a dictionary batch: utf8 or binary, which are laid out alike. */
export function readDictionary(
  reader: FlatbufferReader,
  table: number,
  body: Uint8Array,
): ColumnValues {
  const cursor = new BufferCursor(reader, table, body)
  cursor.node(cursor.rowCount)
  if (cursor.validity() !== undefined) throw envelopeDamage('a null in a dictionary')
  const dictionary = readBytes(cursor, cursor.rowCount)
  cursor.end()
  return dictionary
}

function emptyValues(): ColumnValues {
  return { length: 0, values: NO_BYTES, offsets: ONE_OFFSET }
}

function readPlainColumn(cursor: BufferCursor, column: ColumnPlan): ColumnView {
  const rowCount = cursor.rowCount
  cursor.node(rowCount)
  const nullCount = cursor.nullCount
  const validity = cursor.validity()
  const { values, offsets } = readValues(cursor, column, rowCount)
  const { name, type } = column
  return columnView(name, type, nullCount, validity, undefined, rowCount, values, offsets)
}

function readValues(cursor: BufferCursor, column: ColumnPlan, rowCount: number): ColumnValues {
  switch (column.layout) {
    case 'fixed': {
      const values = cursor.buffer(rowCount * column.widthBytes)
      return { length: rowCount, values, offsets: undefined }
    }
    case 'bool':
      return { length: rowCount, values: cursor.buffer(bitmapBytes(rowCount)), offsets: undefined }
    case 'bytes':
      return readBytes(cursor, rowCount)
    case 'list':
    case 'id_list':
      return readList(cursor, rowCount, column.widthBytes)
  }
}

function readBytes(cursor: BufferCursor, length: number): ColumnValues {
  const offsets = readOffsets(cursor, length)
  return { length, values: cursor.buffer(offsets[length]!), offsets }
}

function readList(cursor: BufferCursor, length: number, widthBytes: number): ColumnValues {
  const offsets = readOffsets(cursor, length)
  const itemCount = offsets[length]!
  cursor.node(undefined)
  if (cursor.nodeLength < itemCount) throw envelopeDamage('a list ends outside its items')
  if (cursor.validity() !== undefined) throw envelopeDamage('a null in a list')
  return { length, values: cursor.buffer(itemCount * widthBytes), offsets }
}

/** Arrow allows a column without entries to leave its offsets out. */
function readOffsets(cursor: BufferCursor, length: number): Int32Array {
  const bytes = cursor.buffer(length === 0 ? 0 : 4 * (length + 1))
  if (length === 0) return ONE_OFFSET
  const offsets = new Int32Array(bytes.buffer, bytes.byteOffset, length + 1)
  if (offsets[0] !== 0 || !offsetsRise(offsets)) throw envelopeDamage('offsets out of order')
  return offsets
}

function readDictionaryColumn(
  cursor: BufferCursor,
  column: ColumnPlan,
  dictionary: ColumnValues,
): ColumnView {
  const { name, type, indexBytes } = column
  const rowCount = cursor.rowCount
  cursor.node(rowCount)
  const nullCount = cursor.nullCount
  const validity = cursor.validity()
  const bytes = cursor.buffer(rowCount * indexBytes)
  const { length, values, offsets } = dictionary
  if (length === 0) {
    // no id is in range: only nulls can use an empty dictionary, as a plain column of nulls
    if (nullCount !== rowCount) throw envelopeDamage('an id of an empty dictionary', { name })
    const zeros = new Int32Array(rowCount + 1)
    return columnView(name, type, nullCount, validity, undefined, rowCount, NO_BYTES, zeros)
  }
  const stored = indexArray(bytes, indexBytes, rowCount)
  const indices = idsInRange(stored, length)
    ? stored
    : withoutNullIds(stored, validity, length, name)
  return columnView(name, type, nullCount, validity, indices, length, values, offsets)
}

/** A list of dictionary ids per row; an id list has a dictionary by its schema. */
function readIdList(
  cursor: BufferCursor,
  column: ColumnPlan,
  dictionary: ColumnValues,
): ColumnView {
  const { name, type, indexBytes } = column
  const rowCount = cursor.rowCount
  cursor.node(rowCount)
  const nullCount = cursor.nullCount
  const validity = cursor.validity()
  const lists = readOffsets(cursor, rowCount)
  const itemCount = lists[rowCount]!
  cursor.node(undefined)
  if (cursor.nodeLength < itemCount) throw envelopeDamage('a list ends outside its items')
  if (cursor.validity() !== undefined) throw envelopeDamage('a null in a list')
  const indices = indexArray(cursor.buffer(itemCount * indexBytes), indexBytes, itemCount)
  const { length, values, offsets } = dictionary
  if (!idsInRange(indices, length)) throw envelopeDamage('a dictionary id out of range', { name })
  return columnView(name, type, nullCount, validity, indices, length, values, offsets, lists)
}

function indexArray(bytes: Uint8Array, indexBytes: number, rowCount: number): DictionaryIndices {
  if (indexBytes === 1) return new Int8Array(bytes.buffer, bytes.byteOffset, rowCount)
  if (indexBytes === 2) return new Int16Array(bytes.buffer, bytes.byteOffset, rowCount)
  return new Int32Array(bytes.buffer, bytes.byteOffset, rowCount)
}

/** Arrow leaves ids of null rows open: foreign writers may put anything there, we make it 0. */
function withoutNullIds(
  stored: DictionaryIndices,
  validity: Uint8Array | undefined,
  length: number,
  name: string,
): DictionaryIndices {
  const indices = stored.slice()
  for (let row = 0; row < indices.length; row++) {
    const id = indices[row]!
    if (id >= 0 && id < length) continue
    const isNull = validity !== undefined && ((validity[row >>> 3]! >>> (row & 7)) & 1) === 0
    if (!isNull) throw envelopeDamage('a dictionary id out of range', { name, row, id, length })
    indices[row] = 0
  }
  return indices
}

function bitmapBytes(rowCount: number): number {
  return (rowCount + 7) >>> 3
}

/** One shape for all views, so that readers of them stay monomorphic. */
function columnView(
  name: string,
  type: ColumnView['type'],
  nullCount: number,
  validity: Uint8Array | undefined,
  indices: DictionaryIndices | undefined,
  length: number,
  values: Uint8Array,
  offsets: Int32Array | undefined,
  lists: Int32Array | undefined = undefined,
): ColumnView {
  return { name, type, nullCount, validity, indices, length, values, offsets, lists }
}

/** Hands out the nodes and buffers of a record batch one after the other. */
class BufferCursor {
  readonly rowCount: number
  nodeLength = 0
  nullCount = 0
  readonly #reader: FlatbufferReader
  readonly #body: Uint8Array
  #node: number
  #nodesLeft: number
  #buffer: number
  #buffersLeft: number

  constructor(reader: FlatbufferReader, table: number, body: Uint8Array) {
    if (reader.field(table, RecordBatchSlot.compression) !== 0) {
      throw envelopeDamage('the body is compressed')
    }
    this.rowCount = reader.count(table, RecordBatchSlot.length, 0)
    if (this.rowCount >= LENGTH_MAX) throw envelopeDamage('too many rows', { rows: this.rowCount })
    this.#reader = reader
    this.#body = body
    this.#node = reader.vector(table, RecordBatchSlot.nodes, FIELD_NODE_BYTES)
    this.#nodesLeft = reader.vectorLength(this.#node)
    this.#buffer = reader.vector(table, RecordBatchSlot.buffers, BUFFER_BYTES)
    this.#buffersLeft = reader.vectorLength(this.#buffer)
  }

  /** Steps to the next node, which must have the length given. */
  node(length: number | undefined): void {
    if (this.#nodesLeft === 0) throw envelopeDamage('the batch has fewer columns than its schema')
    this.nodeLength = this.#reader.countAt(this.#node)
    this.nullCount = this.#reader.countAt(this.#node + 8)
    this.#node += FIELD_NODE_BYTES
    this.#nodesLeft--
    if (length !== undefined && this.nodeLength !== length) {
      throw envelopeDamage('a column of a wrong length', { length: this.nodeLength, rows: length })
    }
    if (this.nodeLength >= LENGTH_MAX || this.nullCount > this.nodeLength) {
      throw envelopeDamage('impossible counts', { rows: this.nodeLength, nulls: this.nullCount })
    }
  }

  /** The node's bitmap, undefined without nulls; the bitmap and the null count must agree. */
  validity(): Uint8Array | undefined {
    const hasBitmap = this.#reader.countAt(this.#needBuffer() + 8) > 0
    const bitmap = this.buffer(hasBitmap ? bitmapBytes(this.nodeLength) : 0)
    const present = hasBitmap ? countSetBits(bitmap, this.nodeLength) : this.nodeLength
    if (present + this.nullCount !== this.nodeLength) {
      throw envelopeDamage('a null count differs from its bitmap', { nulls: this.nullCount })
    }
    return this.nullCount === 0 ? undefined : bitmap
  }

  /** The first `byteCount` bytes of the next buffer, which may be longer. */
  buffer(byteCount: number): Uint8Array {
    const at = this.#needBuffer()
    const offset = this.#reader.countAt(at)
    const length = this.#reader.countAt(at + 8)
    this.#buffer += BUFFER_BYTES
    this.#buffersLeft--
    const isInside = offset % ALIGNMENT_BYTES === 0 && offset + length <= this.#body.byteLength
    if (!isInside || length < byteCount) {
      throw envelopeDamage('a buffer is too short or outside', { offset, length, byteCount })
    }
    return new Uint8Array(this.#body.buffer, this.#body.byteOffset + offset, byteCount)
  }

  end(): void {
    if (this.#nodesLeft > 0 || this.#buffersLeft > 0) {
      throw envelopeDamage('the batch has more columns than its schema')
    }
  }

  #needBuffer(): number {
    if (this.#buffersLeft === 0) throw envelopeDamage('the batch has too few buffers')
    return this.#buffer
  }
}
