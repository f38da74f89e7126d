/** Producers of the attribute columns of a table: one per planned key and type, then overflow. */
import type { AttributeType } from '@tributary/common/schema/column-name'
import type { LeafColumn, ListColumn } from '@tributary/common/parquet/column-values'
import type { LeafField } from '@tributary/common/parquet/schema'
import type { SchemaState, WantedColumn } from '@tributary/common/schema/schema-state'
import assert from 'node:assert/strict'
import { arrowName, type AttributePlan, type TableAttribute } from './attribute-plan.ts'
import { batchColumnProducer, type ColumnProducer, type RowGroupRows } from './column-producers.ts'
import { groupColumn } from './group-columns.ts'
import { mergeColumns } from './merged-column.ts'
import { groupOverflow, itemOverflow } from './overflow-column.ts'
import { columnViews } from './source-table.ts'
import type { TableContext } from './table-context.ts'

export interface AttributeProducers {
  readonly producers: readonly ColumnProducer[]
  /** Stands in the footer: column to namespace, key and type. */
  readonly columnMap: Readonly<Record<string, WantedColumn>>
}

const PHYSICAL = {
  string: 'BYTE_ARRAY',
  bytes: 'BYTE_ARRAY',
  any: 'BYTE_ARRAY',
  int: 'INT64',
  double: 'DOUBLE',
  bool: 'BOOLEAN',
} as const satisfies Record<AttributeType, string>

const LOGICAL = { string: 'STRING', any: 'JSON' } as const

const SOURCE_KIND = {
  string: 'string',
  bytes: 'string',
  any: 'any-json',
  int: 'int64',
  double: 'double',
  bool: 'boolean',
} as const satisfies Record<AttributeType, string>

/** Builds the producers of all attribute columns, named by the schema. */
export function attributeProducers(
  plan: AttributePlan,
  schema: SchemaState,
  context: TableContext,
): AttributeProducers {
  const overflow = [...plan.overflow]
  const named: { readonly name: string; readonly attribute: TableAttribute }[] = []
  for (const attribute of plan.columns) {
    const name = schema.resolve(attribute.namespace, attribute.key, attribute.type)
    if (name === undefined) overflow.push(attribute)
    else named.push({ name, attribute })
  }
  named.sort((left, right) => (left.name < right.name ? -1 : 1))
  const producers = named.map(({ name, attribute }) =>
    attributeProducer(attribute, fieldOf(name, attribute.type), context),
  )
  producers.push(...overflowProducers(overflow, context))
  const columnMap = schema.columnMap(named.map(({ name }) => name))
  return { producers, columnMap }
}

function fieldOf(name: string, type: AttributeType): LeafField {
  const logical = type === 'string' || type === 'any' ? LOGICAL[type] : undefined
  return { kind: 'leaf', name, physical: PHYSICAL[type], logical, optional: true }
}

function attributeProducer(
  attribute: TableAttribute,
  field: LeafField,
  context: TableContext,
): ColumnProducer {
  const { namespace, key, type } = attribute
  if (namespace === 'resource') {
    const values = context.resources.attributes.valuesOf(key, type)
    return { field, produce: (rows) => groupColumn(values, rows.resourceRuns) }
  }
  if (namespace === 'scope') {
    const values = context.scopes.attributes.valuesOf(key, type)
    return { field, produce: (rows) => groupColumn(values, rows.scopeRuns) }
  }
  return { field, produce: itemProducer(attribute, context) }
}

/** Of an attribute of items, which stands in columns of batches, among their pairs, or in both. */
function itemProducer(
  attribute: TableAttribute,
  context: TableContext,
): (rows: RowGroupRows) => LeafColumn {
  const column = arrowName(attribute)
  const views = columnViews(context.source, column)
  const pairs = context.sparse?.column(attribute)
  const source = { kind: SOURCE_KIND[attribute.type], column }
  const produce = views && batchColumnProducer(source, views, context)
  if (pairs === undefined) {
    assert(produce !== undefined, 'a planned attribute stands in a batch')
    return (rows) => leaf(produce(rows))
  }
  if (produce === undefined) return ({ picks }) => pairs.produce(picks)
  return (rows) => mergeColumns(leaf(produce(rows)), pairs.produce(rows.picks))
}

function leaf(column: LeafColumn | ListColumn): LeafColumn {
  assert('values' in column, 'an attribute is no list')
  return column
}

function overflowProducers(
  overflow: readonly TableAttribute[],
  context: TableContext,
): ColumnProducer[] {
  const producers: ColumnProducer[] = []
  const ofNamespace = (namespace: string): TableAttribute[] =>
    overflow.filter((attribute) => attribute.namespace === namespace)
  const resource = ofNamespace('resource')
  if (resource.length > 0) {
    const values = groupOverflow(context.resources, resource)
    producers.push({
      field: fieldOf('resource._overflow', 'any'),
      produce: (rows) => groupColumn(values, rows.resourceRuns),
    })
  }
  const scope = ofNamespace('scope')
  if (scope.length > 0) {
    const values = groupOverflow(context.scopes, scope)
    producers.push({
      field: fieldOf('scope._overflow', 'any'),
      produce: (rows) => groupColumn(values, rows.scopeRuns),
    })
  }
  const items = ofNamespace('attributes')
  if (items.length > 0) {
    producers.push({
      field: fieldOf('attributes._overflow', 'any'),
      produce: (rows) => itemOverflow(context.source, context.sparse, rows.picks, items),
    })
  }
  return producers
}
