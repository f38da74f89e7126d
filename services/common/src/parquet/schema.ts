/**
 * What a file's columns are called and typed, and the Parquet schema tree that follows from it.
 * Only the shapes that our tables have: flat leaves and standard three-level lists.
 */
import assert from 'node:assert/strict'
import {
  ConvertedType,
  FieldRepetitionType,
  jsonType,
  listType,
  SchemaElement,
  stringType,
  timestampMicrosType,
  Type,
} from './thrift.ts'

export type PhysicalType = 'BOOLEAN' | 'INT32' | 'INT64' | 'DOUBLE' | 'BYTE_ARRAY'

/** A BYTE_ARRAY without a logical type is a BLOB. */
export type LogicalType = 'STRING' | 'JSON' | 'TIMESTAMP_MICROS_UTC' | undefined

export interface LeafField {
  readonly kind: 'leaf'
  readonly name: string
  readonly physical: PhysicalType
  readonly logical?: LogicalType
  readonly optional: boolean
  /** Write a split-block bloom filter for this column (flat columns only). */
  readonly bloom?: boolean
}

/** A struct that is a list's element; each element is present, its fields may be null. */
export interface StructField {
  readonly kind: 'struct'
  readonly name: string
  readonly optional: boolean
  readonly fields: readonly LeafField[]
}

/** A standard LIST: group `name` (LIST), repeated group `list`, then `element`. */
export interface ListField {
  readonly kind: 'list'
  readonly name: string
  readonly optional: boolean
  readonly element: LeafField | StructField
}

export type Field = LeafField | ListField

/** One column chunk per row group: a leaf of the schema tree with its path and levels. */
export interface SchemaLeaf {
  readonly field: LeafField
  readonly path: readonly string[]
  readonly maxDefinitionLevel: number
  readonly maxRepetitionLevel: number
}

/** The leaves of each field, in the order of their column chunks. */
export function schemaLeaves(fields: readonly Field[]): readonly (readonly SchemaLeaf[])[] {
  return fields.map(leavesOf)
}

function leavesOf(field: Field): readonly SchemaLeaf[] {
  const own = field.optional ? 1 : 0
  if (field.kind === 'leaf') {
    return [{ field, path: [field.name], maxDefinitionLevel: own, maxRepetitionLevel: 0 }]
  }
  const { element } = field
  const path = [field.name, 'list', 'element']
  const level = own + 1 + (element.optional ? 1 : 0)
  if (element.kind === 'leaf') {
    return [{ field: element, path, maxDefinitionLevel: level, maxRepetitionLevel: 1 }]
  }
  return element.fields.map((leaf) => ({
    field: leaf,
    path: [...path, leaf.name],
    maxDefinitionLevel: level + (leaf.optional ? 1 : 0),
    maxRepetitionLevel: 1,
  }))
}

/** The schema tree in the depth-first order of FileMetaData.schema. */
export function schemaElements(fields: readonly Field[]): SchemaElement[] {
  const names = new Set(fields.map((field) => field.name))
  assert.equal(names.size, fields.length, 'column names are unique')
  const elements = [new SchemaElement({ name: 'schema', num_children: fields.length })]
  for (const field of fields) {
    if (field.kind === 'leaf') elements.push(leafElement(field, field.name))
    else pushListElements(elements, field)
  }
  return elements
}

function pushListElements(elements: SchemaElement[], field: ListField): void {
  const { element } = field
  elements.push(
    new SchemaElement({
      name: field.name,
      repetition_type: repetitionOf(field.optional),
      num_children: 1,
      converted_type: ConvertedType.LIST,
      logicalType: listType(),
    }),
    new SchemaElement({
      name: 'list',
      repetition_type: FieldRepetitionType.REPEATED,
      num_children: 1,
    }),
  )
  if (element.kind === 'leaf') {
    elements.push(leafElement(element, 'element'))
    return
  }
  elements.push(
    new SchemaElement({
      name: 'element',
      repetition_type: repetitionOf(element.optional),
      num_children: element.fields.length,
    }),
  )
  for (const leaf of element.fields) elements.push(leafElement(leaf, leaf.name))
}

function leafElement(field: LeafField, name: string): SchemaElement {
  const element = new SchemaElement({
    name,
    type: Type[field.physical],
    repetition_type: repetitionOf(field.optional),
  })
  switch (field.logical) {
    case 'STRING':
      element.converted_type = ConvertedType.UTF8
      element.logicalType = stringType()
      break
    case 'JSON':
      element.converted_type = ConvertedType.JSON
      element.logicalType = jsonType()
      break
    case 'TIMESTAMP_MICROS_UTC':
      element.converted_type = ConvertedType.TIMESTAMP_MICROS
      element.logicalType = timestampMicrosType()
      break
    case undefined:
      break
  }
  return element
}

function repetitionOf(optional: boolean): FieldRepetitionType {
  return optional ? FieldRepetitionType.OPTIONAL : FieldRepetitionType.REQUIRED
}
