/**
 * Which attributes of a table become columns, and which go to the overflow column of their
 * namespace: columns are bounded, keys that clients send are not, and nothing is dropped.
 */
import type { Namespace, AttributeType } from '@tributary/common/schema/column-name'
import type { GroupTable } from './group-table.ts'
import type { SourceTable } from './source-table.ts'
import type { SparseTable } from './sparse-table.ts'

export interface TableAttribute {
  readonly namespace: Namespace
  readonly key: string
  readonly type: AttributeType
}

export interface AttributePlan {
  /** Columns of their own, in order of first appearance: the first type of a key owns its name. */
  readonly columns: readonly TableAttribute[]
  /** What is left for `<namespace>._overflow`: the rarest. */
  readonly overflow: readonly TableAttribute[]
}

const ITEM_PREFIX = 'attributes.'

/** Key and type of an attribute column of a batch; undefined for a fixed column. */
function parseArrowName(name: string): { key: string; type: AttributeType } | undefined {
  if (!name.startsWith(ITEM_PREFIX)) return undefined
  const at = name.lastIndexOf('@')
  return { key: name.slice(ITEM_PREFIX.length, at), type: name.slice(at + 1) as AttributeType }
}

/** The Arrow name of an attribute column of a batch. */
export function arrowName(attribute: TableAttribute): string {
  return `${ITEM_PREFIX}${attribute.key}@${attribute.type}`
}

interface Counted extends TableAttribute {
  count: number
}

/** Plans the attribute columns of a table; at most `columnsMax` per namespace. */
export function planAttributes(
  table: SourceTable,
  resources: GroupTable,
  scopes: GroupTable,
  sparse: SparseTable | undefined,
  columnsMax: number,
): AttributePlan {
  const columns: TableAttribute[] = []
  const overflow: TableAttribute[] = []
  const namespaces = [
    countGroups(resources, 'resource'),
    countGroups(scopes, 'scope'),
    countItems(table, sparse),
  ]
  for (const counted of namespaces) {
    const all = [...counted.values()]
    const rarest = all
      .toSorted((left, right) => right.count - left.count || compareAttributes(left, right))
      .slice(columnsMax)
    const isRare = new Set(rarest)
    columns.push(...all.filter((attribute) => !isRare.has(attribute)))
    overflow.push(...rarest)
  }
  return { columns, overflow }
}

function compareAttributes(left: TableAttribute, right: TableAttribute): number {
  if (left.key !== right.key) return left.key < right.key ? -1 : 1
  return left.type < right.type ? -1 : left.type > right.type ? 1 : 0
}

/** Batch by batch, in each the columns before the pairs. */
function countItems(table: SourceTable, sparse: SparseTable | undefined): Map<string, Counted> {
  const counted = new Map<string, Counted>()
  const count = (key: string, type: AttributeType, rows: number): void => {
    const name = `${key}@${type}`
    const known = counted.get(name)
    if (known !== undefined) known.count += rows
    else counted.set(name, { namespace: 'attributes', key, type, count: rows })
  }
  const pairs = sparse?.columns ?? []
  let pair = 0
  table.batches.forEach(({ view }, batch) => {
    for (const column of view.columns) {
      const parsed = parseArrowName(column.name)
      if (parsed !== undefined) count(parsed.key, parsed.type, view.rowCount - column.nullCount)
    }
    for (; pair < pairs.length && pairs[pair]!.firstBatch === batch; pair++) {
      const { key, type, count: rows } = pairs[pair]!
      count(key, type, rows)
    }
  })
  return counted
}

function countGroups(table: GroupTable, namespace: 'resource' | 'scope'): Map<string, Counted> {
  const counted = new Map<string, Counted>()
  for (const { key, type, count } of table.attributes.columns) {
    counted.set(`${key}@${type}`, { namespace, key, type, count })
  }
  return counted
}
