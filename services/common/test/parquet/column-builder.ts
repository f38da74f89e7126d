/** Columns for the writer from plain row values, and the canonical text of what must be read back. */
import type {
  LeafColumn,
  LeafValues,
  ListColumn,
  ValueDictionary,
} from '../../src/parquet/column-values.ts'
import type { Field, LeafField } from '../../src/parquet/schema.ts'

/** int64 as bigint, BYTE_ARRAY as text or bytes. */
export type LeafValue = number | bigint | boolean | string | Uint8Array
/** A list holds values, or one array per struct element, in field order. */
export type RowValue =
  LeafValue | null | readonly (LeafValue | null)[] | readonly (readonly (LeafValue | null)[])[]

export type ValueShape = 'plain' | 'dictionary' | 'runs'

export interface SampleColumn {
  readonly field: Field
  readonly rows: readonly RowValue[]
  /** How the flush would hand the values over; default plain. */
  readonly shape?: ValueShape
}

export function buildColumn(column: SampleColumn, from: number, to: number) {
  const rows = column.rows.slice(from, to)
  const { field } = column
  if (field.kind === 'leaf') {
    return buildLeaf(field, rows as readonly (LeafValue | null)[], column.shape ?? 'plain')
  }
  return buildList(field, rows as readonly (readonly unknown[] | null)[], column.shape ?? 'plain')
}

function buildList(
  field: Extract<Field, { kind: 'list' }>,
  rows: readonly (readonly unknown[] | null)[],
  shape: ValueShape,
): ListColumn {
  const offsets = new Int32Array(rows.length + 1)
  for (const [row, list] of rows.entries()) offsets[row + 1] = offsets[row]! + (list?.length ?? 0)
  const elements = rows.flatMap((list) => list ?? [])
  const { element } = field
  const leaves =
    element.kind === 'leaf'
      ? [buildLeaf(element, elements as (LeafValue | null)[], shape)]
      : element.fields.map((leaf, i) =>
          buildLeaf(
            leaf,
            elements.map((struct) => (struct as (LeafValue | null)[])[i]!),
            shape,
          ),
        )
  const listPresence = rows.includes(null) ? bitmapOf(rows) : undefined
  return { offsets, leaves, listPresence }
}

export function buildLeaf(
  field: LeafField,
  rows: readonly (LeafValue | null)[],
  shape: ValueShape,
): LeafColumn {
  const present = rows.filter((value) => value !== null)
  const values =
    shape === 'runs'
      ? runsOf(field, rows)
      : shape === 'dictionary'
        ? dictionaryOf(field, present)
        : plainOf(field, present)
  const presence = present.length === rows.length ? undefined : bitmapOf(rows)
  return { values, count: present.length, ...(presence === undefined ? {} : { presence }) }
}

export function bitmapOf(rows: readonly unknown[]): Uint8Array {
  const bitmap = new Uint8Array((rows.length + 7) >>> 3)
  for (const [row, value] of rows.entries()) {
    if (value !== null) bitmap[row >>> 3]! |= 1 << (row & 7)
  }
  return bitmap
}

function plainOf(field: LeafField, present: readonly LeafValue[]): LeafValues {
  switch (field.physical) {
    case 'INT32':
      return { kind: 'int32', values: Int32Array.from(present as number[]) }
    case 'INT64':
      return {
        kind: 'int64',
        halves: new Int32Array(BigInt64Array.from(present as bigint[]).buffer),
      }
    case 'DOUBLE':
      return { kind: 'double', values: Float64Array.from(present as number[]) }
    case 'BOOLEAN':
      return { kind: 'boolean', values: Uint8Array.from(present, Number) }
    case 'BYTE_ARRAY': {
      const { data, offsets } = joinBytes(present.map((value) => plainBytes(field, value)))
      return { kind: 'bytes', data, offsets }
    }
  }
}

function joinBytes(parts: readonly Uint8Array[]): ValueDictionary {
  const offsets = new Int32Array(parts.length + 1)
  for (const [i, part] of parts.entries()) offsets[i + 1] = offsets[i]! + part.length
  return { data: new Uint8Array(Buffer.concat(parts)), offsets }
}

/** The bytes of a value as a dictionary holds them. */
export function plainBytes(field: LeafField, value: LeafValue): Uint8Array {
  switch (field.physical) {
    case 'INT32':
      return new Uint8Array(Int32Array.of(value as number).buffer)
    case 'INT64':
      return new Uint8Array(BigInt64Array.of(value as bigint).buffer)
    case 'DOUBLE':
      return new Uint8Array(Float64Array.of(value as number).buffer)
    case 'BOOLEAN':
      return Uint8Array.of(value === true ? 1 : 0)
    case 'BYTE_ARRAY':
      return typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array)
  }
}

/** With an entry that no row uses in front, and in reverse order of appearance. */
function numbered(field: LeafField, present: readonly LeafValue[]) {
  const unused = field.physical === 'BYTE_ARRAY' ? Buffer.from('\u{10ffff} unused') : undefined
  const parts = new Map<string, Uint8Array>()
  for (const value of present) {
    const bytes = plainBytes(field, value)
    parts.set(Buffer.from(bytes).toString('latin1'), bytes)
  }
  const keys = [...parts.keys()].reverse()
  const entries = keys.map((key) => parts.get(key)!)
  const shift = unused === undefined ? 0 : 1
  const dictionary = joinBytes(unused === undefined ? entries : [unused, ...entries])
  const ids = new Map(keys.map((key, i) => [key, i + shift]))
  const idOf = (value: LeafValue) =>
    ids.get(Buffer.from(plainBytes(field, value)).toString('latin1'))!
  return { dictionary, idOf }
}

function dictionaryOf(field: LeafField, present: readonly LeafValue[]): LeafValues {
  const { dictionary, idOf } = numbered(field, present)
  return { kind: 'dictionary', ids: Int32Array.from(present, idOf), dictionary }
}

function runsOf(field: LeafField, rows: readonly (LeafValue | null)[]): LeafValues {
  const { dictionary, idOf } = numbered(
    field,
    rows.filter((value) => value !== null),
  )
  const runIds: number[] = []
  const runLengths: number[] = []
  for (const value of rows) {
    const id = value === null ? -1 : idOf(value)
    if (runIds.at(-1) === id) runLengths[runLengths.length - 1]!++
    else {
      runIds.push(id)
      runLengths.push(1)
    }
  }
  return {
    kind: 'runs',
    runIds: Int32Array.from(runIds),
    runLengths: Int32Array.from(runLengths),
    dictionary,
  }
}

/** The text that the foreign readers' script prints for the same value. */
export function canonicalRow(field: Field, row: RowValue): unknown {
  if (row === null) return null
  if (field.kind === 'leaf') return canonicalLeaf(field, row as LeafValue)
  const { element } = field
  const list = row as readonly unknown[]
  if (element.kind === 'leaf') {
    return list.map((value) => canonicalLeaf(element, value as LeafValue | null))
  }
  return list.map((struct) =>
    element.fields.map((leaf, i) => canonicalLeaf(leaf, (struct as (LeafValue | null)[])[i]!)),
  )
}

function canonicalLeaf(field: LeafField, value: LeafValue | null): unknown {
  if (value === null) return null
  if (field.physical === 'BOOLEAN') return value
  if (field.physical === 'DOUBLE') return Buffer.from(plainBytes(field, value)).toString('hex')
  if (field.physical !== 'BYTE_ARRAY') return String(value)
  return Buffer.from(plainBytes(field, value)).toString('hex')
}
