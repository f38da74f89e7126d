/**
 * Writes the schema message of a batch. Types, dictionary encodings' index types and vtables are
 * stored once and shared by all fields: a small batch is mostly schema. Messages are kept per schema.
 * Invariant: the cache holds at most SCHEMAS_MAX messages of SCHEMA_BYTES_CACHED_MAX each and starts
 * over when it is full.
 */
import assert from 'node:assert/strict'

import {
  ALIGNMENT_BYTES,
  ArrowType,
  COLUMN_NAME_BYTES_MAX,
  CONTINUATION,
  FLOAT_PRECISION_DOUBLE,
  MESSAGE_PREFIX_BYTES,
  METADATA_VERSION_5,
  MessageHeader,
} from './arrow-format.ts'
import type { ColumnType } from './batch-view.ts'
import { FlatbufferWriter } from './flatbuffer-writer.ts'

export interface FieldPlan {
  readonly name: string
  readonly type: ColumnType
  /**
   * Bytes of a dictionary id, in lists of utf8 and binary of an item's; 0 for a plain column.
   * Dictionaries are numbered from 0 in the order of their columns.
   */
  readonly indexBytes: 0 | 1 | 2 | 4
}

/** 256 messages of a usual 3 KiB with their keys: about 1 MiB, at worst 8 MiB. */
const SCHEMAS_MAX = 256
/** A schema of more than some 200 columns is rare and is built each time, 1 us a column. */
const SCHEMA_BYTES_CACHED_MAX = 16 * 1024

const cachedMessages = new Map<string, Uint8Array>()

/** The whole schema message, prefix included; shared: never written to. */
export function schemaMessage(fields: readonly FieldPlan[]): Uint8Array {
  let key = ''
  // with its length before it, a name cannot pass for what follows it
  for (const { name, type, indexBytes } of fields) {
    key += `${name.length}:${name}${type}${indexBytes}`
  }
  const cached = cachedMessages.get(key)
  if (cached !== undefined) return cached
  const message = buildSchemaMessage(fields)
  if (message.byteLength > SCHEMA_BYTES_CACHED_MAX) return message
  if (cachedMessages.size >= SCHEMAS_MAX) cachedMessages.clear()
  cachedMessages.set(key, message)
  return message
}

function buildSchemaMessage(fields: readonly FieldPlan[]): Uint8Array {
  assertNames(fields)
  const metadata = new SchemaLayout(fields).finish()
  const message = new Uint8Array(MESSAGE_PREFIX_BYTES + metadata.byteLength)
  const view = new DataView(message.buffer)
  view.setUint32(0, CONTINUATION, true)
  view.setUint32(4, metadata.byteLength, true)
  message.set(metadata, MESSAGE_PREFIX_BYTES)
  return message
}

/** What a reader would refuse must not be acknowledged to a client. */
function assertNames(fields: readonly FieldPlan[]): void {
  const names = new Set<string>()
  for (const { name } of fields) {
    assert.ok(!names.has(name), 'two columns have one name')
    assert.ok(Buffer.byteLength(name) <= COLUMN_NAME_BYTES_MAX, 'a column name is too long')
    names.add(name)
  }
}

const INDEX_TYPES = { 1: 'index8', 2: 'index16', 4: 'index32' } as const

/** What a shared type table holds; index types are tables of their own beside the value types. */
type TypeKey = ColumnType | (typeof INDEX_TYPES)[1 | 2 | 4]

const TYPE_OF: Record<ColumnType, ArrowType> = {
  utf8: ArrowType.utf8,
  binary: ArrowType.binary,
  uint64: ArrowType.int,
  int64: ArrowType.int,
  int32: ArrowType.int,
  uint32: ArrowType.int,
  float64: ArrowType.floatingPoint,
  bool: ArrowType.bool,
  fixed16: ArrowType.fixedSizeBinary,
  fixed8: ArrowType.fixedSizeBinary,
  list_float64: ArrowType.list,
  list_uint64: ArrowType.list,
  list_utf8: ArrowType.list,
  list_binary: ArrowType.list,
}

const ITEM_TYPES: Partial<Record<ColumnType, ColumnType>> = {
  list_float64: 'float64',
  list_uint64: 'uint64',
  list_utf8: 'utf8',
  list_binary: 'binary',
}

const FIELD_BYTES = 16
const FIELD_WITH_REFERENCE_BYTES = 20
const TYPE_BYTES = 12
const EMPTY_TABLE_BYTES = 4

/**
 * One flatbuffer, front to back: vtables, Message, Schema, fields, list items, encodings, types,
 * names. Tables of fields: 4 name | 8 type | 12 dictionary or children | nullable, type_type.
 */
class SchemaLayout {
  readonly #out = new FlatbufferWriter()
  readonly #vtables: Vtables
  /** References to shared type tables, set when those are written. */
  readonly #typeReferences = new Map<TypeKey, number[]>()
  readonly #nameReferences: { at: number; name: string }[] = []

  constructor(fields: readonly FieldPlan[]) {
    const out = this.#out
    out.reserve(4)
    this.#vtables = writeVtables(out)
    this.#writeMessage()
    const vector = out.referenceVector(fields.length)
    const references = fields.map((field, index) => this.#writeField(field, vector + 4 * index))
    this.#writeListItems(fields, references)
    this.#writeEncodings(fields, references)
    for (const [key, ats] of this.#typeReferences) this.#writeType(key, ats)
    for (const { at, name } of this.#nameReferences) {
      out.align(4)
      out.pointHere(at)
      out.string(name)
    }
  }

  finish(): Uint8Array {
    return this.#out.finish(ALIGNMENT_BYTES)
  }

  #writeMessage(): void {
    const out = this.#out
    const message = out.table(this.#vtables.message, 12)
    out.pointTo(0, message)
    out.setInt16(message + 8, METADATA_VERSION_5)
    out.setUint8(message + 10, MessageHeader.schema)
    const schema = out.table(this.#vtables.schema, 8)
    out.pointTo(message + 4, schema)
    // the vector of fields follows at once
    out.pointHere(schema + 4)
  }

  /** Writes a field and gives the place of its reference to its dictionary or children. */
  #writeField(field: FieldPlan, reference: number): number {
    const isList = ITEM_TYPES[field.type] !== undefined
    const hasReference = isList || field.indexBytes > 0
    const { listField, dictionaryField, plainField } = this.#vtables
    const vtable = isList ? listField : field.indexBytes > 0 ? dictionaryField : plainField
    const table = this.#out.table(vtable, hasReference ? FIELD_WITH_REFERENCE_BYTES : FIELD_BYTES)
    this.#out.pointTo(reference, table)
    this.#nameReferences.push({ at: table + 4, name: field.name })
    this.#referToType(field.type, table + 8)
    const flags = table + (hasReference ? 16 : 12)
    this.#out.setUint8(flags, 1)
    this.#out.setUint8(flags + 1, TYPE_OF[field.type])
    return table + 12
  }

  #writeEncodings(fields: readonly FieldPlan[], references: readonly number[]): void {
    let id = 0
    fields.forEach(({ indexBytes }, index) => {
      if (indexBytes === 0) return
      this.#out.align(8)
      const encoding = this.#out.table(this.#vtables.encoding, 16)
      this.#out.pointTo(references[index]!, encoding)
      this.#referToType(INDEX_TYPES[indexBytes], encoding + 4)
      this.#out.setInt32(encoding + 8, id++)
    })
  }

  /** Writes the item of every list; the place of its reference to a dictionary replaces the list's. */
  #writeListItems(fields: readonly FieldPlan[], references: number[]): void {
    const { plainField, dictionaryField } = this.#vtables
    fields.forEach(({ type, indexBytes }, index) => {
      const itemType = ITEM_TYPES[type]
      if (itemType === undefined) return
      this.#out.pointHere(references[index]!)
      const vector = this.#out.referenceVector(1)
      const item =
        indexBytes === 0
          ? this.#out.table(plainField, FIELD_BYTES)
          : this.#out.table(dictionaryField, FIELD_WITH_REFERENCE_BYTES)
      this.#out.pointTo(vector, item)
      this.#nameReferences.push({ at: item + 4, name: 'item' })
      this.#referToType(itemType, item + 8)
      this.#out.setUint8(item + (indexBytes === 0 ? 13 : 17), TYPE_OF[itemType])
      references[index] = item + 12
    })
  }

  #referToType(key: TypeKey, at: number): void {
    const references = this.#typeReferences.get(key)
    if (references === undefined) this.#typeReferences.set(key, [at])
    else references.push(at)
  }

  #writeType(key: TypeKey, references: readonly number[]): void {
    const { int, float, fixed, empty } = this.#vtables
    const scalar = SCALARS[key]
    const vtable = scalar === undefined ? empty : { int, float, fixed }[scalar.kind]
    const table = this.#out.table(vtable, scalar === undefined ? EMPTY_TABLE_BYTES : TYPE_BYTES)
    for (const at of references) this.#out.pointTo(at, table)
    if (scalar === undefined) return
    if (scalar.kind === 'float') this.#out.setInt16(table + 4, FLOAT_PRECISION_DOUBLE)
    else this.#out.setInt32(table + 4, scalar.size)
    if (scalar.kind === 'int' && scalar.isSigned) this.#out.setUint8(table + 8, 1)
  }
}

type Scalar =
  | { readonly kind: 'int'; readonly size: number; readonly isSigned: boolean }
  | { readonly kind: 'float' | 'fixed'; readonly size: number }

/** Bits of integers, bytes of fixed-size values; types that are not here have no fields. */
const SCALARS: Partial<Record<TypeKey, Scalar>> = {
  uint64: { kind: 'int', size: 64, isSigned: false },
  int64: { kind: 'int', size: 64, isSigned: true },
  int32: { kind: 'int', size: 32, isSigned: true },
  uint32: { kind: 'int', size: 32, isSigned: false },
  index8: { kind: 'int', size: 8, isSigned: true },
  index16: { kind: 'int', size: 16, isSigned: true },
  index32: { kind: 'int', size: 32, isSigned: true },
  float64: { kind: 'float', size: 64 },
  fixed16: { kind: 'fixed', size: 16 },
  fixed8: { kind: 'fixed', size: 8 },
}

type Vtables = ReturnType<typeof writeVtables>

/** Positions of fields in their tables by slot (arrow-format.ts), 0 where a table lacks one. */
function writeVtables(out: FlatbufferWriter) {
  return {
    message: out.vtable(12, [8, 10, 4]),
    schema: out.vtable(8, [0, 4]),
    plainField: out.vtable(FIELD_BYTES, [4, 12, 13, 8]),
    dictionaryField: out.vtable(FIELD_WITH_REFERENCE_BYTES, [4, 16, 17, 8, 12]),
    listField: out.vtable(FIELD_WITH_REFERENCE_BYTES, [4, 16, 17, 8, 0, 12]),
    encoding: out.vtable(16, [8, 4]),
    int: out.vtable(TYPE_BYTES, [4, 8]),
    float: out.vtable(TYPE_BYTES, [4]),
    fixed: out.vtable(TYPE_BYTES, [4]),
    empty: out.vtable(EMPTY_TABLE_BYTES, []),
  }
}
