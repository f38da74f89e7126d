/**
 * Attributes of rows back from their columns: which column is which attribute stands in the file's
 * footer (`tributary.columns`), so no column name is parsed here.
 */
import { AppError } from '../errors.ts'
import type { OutputBuffer } from '../otlp/output-buffer.ts'
import { appendAnyValueOfJson, appendKeyValuesOfJson } from '../otlp/typed-json.ts'
import type { AttributeType, Namespace } from '../schema/column-name.ts'
import { ATTRIBUTE_TYPES, NAMESPACES } from '../schema/column-name.ts'
import {
  writeBytes,
  writePresentBytes,
  writePresentFixed64,
  writePresentMessage,
  writePresentVarint,
} from './field-writer.ts'
import type { ReplayRow } from './row-value.ts'
import { booleanOf, bytesOf, doubleBitsOf, integerOf, textOf } from './row-value.ts'

/** What an attribute column holds. */
export interface AttributeColumn {
  readonly namespace: Namespace
  readonly key: string
  readonly type: AttributeType
}

/** The column map of a footer: attribute columns by name. */
export type ColumnMap = Readonly<Record<string, AttributeColumn>>

/**
 * The column map in the text of the footer entry `tributary.columns`.
 *
 * @throws AppError invalid_file
 */
export function parseColumnMap(text: string): ColumnMap {
  let map: unknown
  try {
    map = JSON.parse(text)
  } catch (cause) {
    throw new AppError('invalid_file', 'the column map is no JSON', { cause })
  }
  if (typeof map !== 'object' || map === null) {
    throw new AppError('invalid_file', 'the column map is no object')
  }
  for (const [column, attribute] of Object.entries(map)) {
    if (!isAttributeColumn(attribute)) {
      throw new AppError('invalid_file', 'bad entry in the column map', { details: { column } })
    }
  }
  return map as ColumnMap
}

function isAttributeColumn(value: unknown): value is AttributeColumn {
  if (typeof value !== 'object' || value === null) return false
  const { namespace, key, type } = value as Partial<Record<keyof AttributeColumn, unknown>>
  return (
    typeof key === 'string' &&
    NAMESPACES.some((known) => known === namespace) &&
    ATTRIBUTE_TYPES.some((known) => known === type)
  )
}

interface NamedAttribute {
  readonly column: string
  readonly keyBytes: Uint8Array
  readonly type: AttributeType
}

export class RowAttributes {
  readonly #ofNamespace: ReadonlyMap<Namespace, readonly NamedAttribute[]>

  constructor(columns: ColumnMap) {
    const entries = Object.entries(columns)
    this.#ofNamespace = new Map(
      NAMESPACES.map((namespace) => [
        namespace,
        entries
          .filter(([, attribute]) => attribute.namespace === namespace)
          .map(([column, { key, type }]) => ({ column, keyBytes: Buffer.from(key), type })),
      ]),
    )
  }

  /** Appends the attributes that a row has in a namespace as KeyValue fields. */
  write(out: OutputBuffer, field: number, namespace: Namespace, row: ReplayRow): void {
    for (const attribute of this.#ofNamespace.get(namespace)!) {
      const value = row[attribute.column]
      if (value !== null && value !== undefined) writeAttribute(out, field, attribute, row)
    }
    writeJsonAttributes(out, field, textOf(row, `${namespace}._overflow`))
  }
}

/** Appends the members of a JSON attributes column as KeyValue fields. */
export function writeJsonAttributes(
  out: OutputBuffer,
  field: number,
  text: Uint8Array | undefined,
): void {
  if (text !== undefined) appendKeyValuesOfJson(out, text, (field << 3) | 2)
}

function writeAttribute(
  out: OutputBuffer,
  field: number,
  attribute: NamedAttribute,
  row: ReplayRow,
): void {
  writePresentMessage(out, field, () => {
    writeBytes(out, 1, attribute.keyBytes)
    writePresentMessage(out, 2, () => writeValue(out, attribute, row))
  })
}

/** The AnyValue of a column that is not null in the row. */
function writeValue(out: OutputBuffer, attribute: NamedAttribute, row: ReplayRow): void {
  const { column, type } = attribute
  switch (type) {
    case 'string':
      writePresentBytes(out, 1, textOf(row, column)!)
      return
    case 'bool':
      writePresentVarint(out, 2, booleanOf(row, column)! ? 1n : 0n)
      return
    case 'int':
      writePresentVarint(out, 3, integerOf(row, column)!)
      return
    case 'double':
      writePresentFixed64(out, 4, doubleBitsOf(row, column)!)
      return
    case 'bytes':
      writePresentBytes(out, 7, bytesOf(row, column)!)
      return
    case 'any':
      appendAnyValueOfJson(out, textOf(row, column)!)
  }
}
