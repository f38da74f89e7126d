/**
 * Reads the schema message of a batch into the plan by which its record batch is read. Most batches
 * of a process have one of few schemas, so plans are kept by the message's bytes.
 * Invariant: the cache holds at most SCHEMAS_MAX plans and keys of SCHEMA_BYTES_CACHED_MAX; when it
 * is full it starts over (the next batches fill it again).
 */
import {
  ArrowType,
  COLUMN_NAME_BYTES_MAX,
  DICTIONARY_KIND_DENSE,
  DictionaryEncodingSlot,
  ENDIANNESS_LITTLE,
  FLOAT_PRECISION_DOUBLE,
  FieldSlot,
  FixedSizeBinarySlot,
  FloatingPointSlot,
  IntSlot,
  SchemaSlot,
} from './arrow-format.ts'
import type { ColumnType } from './batch-view.ts'
import { envelopeDamage } from './envelope-damage.ts'
import type { FlatbufferReader } from './flatbuffer-reader.ts'

export interface ColumnPlan {
  readonly name: string
  readonly type: ColumnType
  readonly layout: ColumnLayout
  /** Bytes of a value, of a child value in lists, 0 for bool, utf8 and binary. */
  readonly widthBytes: number
  /** Bytes of a dictionary id, of an item's in an id list; 0 for a plain column. */
  readonly indexBytes: 0 | 1 | 2 | 4
  readonly dictionaryId: number
}

export type ColumnLayout = 'fixed' | 'bool' | 'bytes' | 'list' | 'id_list'

export interface SchemaPlan {
  readonly columns: readonly ColumnPlan[]
  readonly indexByName: ReadonlyMap<string, number>
  /** Dictionary id to the layout-giving column; ids are the stream's own numbers. */
  readonly dictionaryTypes: ReadonlyMap<number, ColumnType>
}

/** 256 schemas of a usual 3 KiB are 1 MiB of keys and a few MiB of plans; at worst 15 MiB. */
const SCHEMAS_MAX = 256
/** A schema of more than some 200 columns is rare and is read each time, 0.5 us a column. */
const SCHEMA_BYTES_CACHED_MAX = 16 * 1024

const cachedPlans = new Map<string, SchemaPlan>()

/** The plan of a schema message, from the cache when an equal message was read before. */
export function schemaPlan(
  metadata: Uint8Array,
  readSchemaTable: () => { reader: FlatbufferReader; table: number },
): SchemaPlan {
  if (metadata.byteLength > SCHEMA_BYTES_CACHED_MAX) return readSchema(readSchemaTable())
  const { buffer, byteOffset, byteLength } = metadata
  const key = Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
  const cached = cachedPlans.get(key)
  if (cached !== undefined) return cached
  const plan = readSchema(readSchemaTable())
  if (cachedPlans.size >= SCHEMAS_MAX) cachedPlans.clear()
  cachedPlans.set(key, plan)
  return plan
}

function readSchema({ reader, table }: { reader: FlatbufferReader; table: number }): SchemaPlan {
  if (reader.int16(table, SchemaSlot.endianness, 0) !== ENDIANNESS_LITTLE) {
    throw envelopeDamage('the batch is big-endian')
  }
  const first = reader.vector(table, SchemaSlot.fields, 4)
  const count = reader.vectorLength(first)
  const columns: ColumnPlan[] = []
  const indexByName = new Map<string, number>()
  const dictionaryTypes = new Map<number, ColumnType>()
  for (let index = 0; index < count; index++) {
    const column = readField(reader, reader.tableAt(first + 4 * index))
    if (indexByName.has(column.name)) {
      throw envelopeDamage('two columns have one name', { name: column.name })
    }
    indexByName.set(column.name, index)
    columns.push(column)
    if (column.indexBytes === 0) continue
    const type = VALUE_TYPES[column.type] ?? column.type
    const known = dictionaryTypes.get(column.dictionaryId)
    if (known !== undefined && known !== type) {
      throw envelopeDamage('a dictionary has two types', { name: column.name })
    }
    dictionaryTypes.set(column.dictionaryId, type)
  }
  return { columns, indexByName, dictionaryTypes }
}

/** What the dictionary of an id list holds. */
const VALUE_TYPES: Partial<Record<ColumnType, ColumnType>> = {
  list_utf8: 'utf8',
  list_binary: 'binary',
}

function readField(reader: FlatbufferReader, field: number): ColumnPlan {
  const name = reader.string(field, FieldSlot.name, COLUMN_NAME_BYTES_MAX)
  const { type, layout, widthBytes } = readType(reader, field, name)
  const encoding = reader.table(
    layout === 'id_list' ? itemOf(reader, field, name) : field,
    FieldSlot.dictionary,
  )
  if (encoding === 0) return { name, type, layout, widthBytes, indexBytes: 0, dictionaryId: -1 }
  if (layout !== 'bytes' && layout !== 'id_list') {
    throw envelopeDamage('only utf8 and binary columns have dictionaries', { name, type })
  }
  const kind = reader.int16(encoding, DictionaryEncodingSlot.kind, DICTIONARY_KIND_DENSE)
  if (kind !== DICTIONARY_KIND_DENSE)
    throw envelopeDamage('unknown dictionary kind', { name, kind })
  const dictionaryId = reader.count(encoding, DictionaryEncodingSlot.id, 0)
  const indexBytes = readIndexBytes(reader, encoding, name)
  return { name, type, layout, widthBytes, indexBytes, dictionaryId }
}

/** An absent index type means Int32 (Schema.fbs). */
function readIndexBytes(reader: FlatbufferReader, encoding: number, name: string): 1 | 2 | 4 {
  const indexType = reader.table(encoding, DictionaryEncodingSlot.indexType)
  if (indexType === 0) return 4
  const bitWidth = reader.int32(indexType, IntSlot.bitWidth, 0)
  const isSigned = reader.uint8(indexType, IntSlot.isSigned, 0) !== 0
  if (isSigned && bitWidth === 8) return 1
  if (isSigned && bitWidth === 16) return 2
  if (isSigned && bitWidth === 32) return 4
  throw envelopeDamage('unsupported type of dictionary ids', { name, bitWidth, isSigned })
}

type PlannedType = Pick<ColumnPlan, 'type' | 'layout' | 'widthBytes'>

function readType(reader: FlatbufferReader, field: number, name: string): PlannedType {
  const planned = readFlatType(reader, field)
  if (planned !== undefined) return planned
  const typeType = reader.uint8(field, FieldSlot.typeType, 0)
  if (typeType !== ArrowType.list) throw envelopeDamage('unsupported type', { name, typeType })
  const item = itemOf(reader, field, name)
  const itemType = readFlatType(reader, item)?.type
  if (reader.table(item, FieldSlot.dictionary) === 0) {
    if (itemType === 'float64') return { type: 'list_float64', layout: 'list', widthBytes: 8 }
    if (itemType === 'uint64') return { type: 'list_uint64', layout: 'list', widthBytes: 8 }
  } else {
    if (itemType === 'utf8') return { type: 'list_utf8', layout: 'id_list', widthBytes: 0 }
    if (itemType === 'binary') return { type: 'list_binary', layout: 'id_list', widthBytes: 0 }
  }
  throw envelopeDamage('unsupported type of list items', { name, itemType })
}

/** The field of a list's items. */
function itemOf(reader: FlatbufferReader, field: number, name: string): number {
  const children = reader.vector(field, FieldSlot.children, 4)
  if (reader.vectorLength(children) !== 1) throw envelopeDamage('a list without its item', { name })
  return reader.tableAt(children)
}

/** The type of a field without children, undefined where it is none of ours. */
function readFlatType(reader: FlatbufferReader, field: number): PlannedType | undefined {
  const type = reader.table(field, FieldSlot.type)
  if (type === 0) return undefined
  switch (reader.uint8(field, FieldSlot.typeType, 0)) {
    case ArrowType.int:
      return readIntType(reader, type)
    case ArrowType.floatingPoint:
      return reader.int16(type, FloatingPointSlot.precision, 0) === FLOAT_PRECISION_DOUBLE
        ? { type: 'float64', layout: 'fixed', widthBytes: 8 }
        : undefined
    case ArrowType.binary:
      return { type: 'binary', layout: 'bytes', widthBytes: 0 }
    case ArrowType.utf8:
      return { type: 'utf8', layout: 'bytes', widthBytes: 0 }
    case ArrowType.bool:
      return { type: 'bool', layout: 'bool', widthBytes: 0 }
    case ArrowType.fixedSizeBinary:
      return readFixedSizeBinary(reader, type)
    default:
      return undefined
  }
}

function readIntType(reader: FlatbufferReader, type: number): PlannedType | undefined {
  const isSigned = reader.uint8(type, IntSlot.isSigned, 0) !== 0
  switch (reader.int32(type, IntSlot.bitWidth, 0)) {
    case 32:
      return { type: isSigned ? 'int32' : 'uint32', layout: 'fixed', widthBytes: 4 }
    case 64:
      return { type: isSigned ? 'int64' : 'uint64', layout: 'fixed', widthBytes: 8 }
    default:
      return undefined
  }
}

function readFixedSizeBinary(reader: FlatbufferReader, type: number): PlannedType | undefined {
  switch (reader.int32(type, FixedSizeBinarySlot.byteWidth, 0)) {
    case 16:
      return { type: 'fixed16', layout: 'fixed', widthBytes: 16 }
    case 8:
      return { type: 'fixed8', layout: 'fixed', widthBytes: 8 }
    default:
      return undefined
  }
}
