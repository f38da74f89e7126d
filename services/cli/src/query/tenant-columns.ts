/**
 * One set of column names over tenants. Each tenant decides for itself which type owns the plain name
 * of an attribute, and which of the keys that differ only in case; where tenants decided differently,
 * a union by name would cast values, or put two keys into one column. There names are given again, by
 * the same rules: a plain name to the type that most tenants gave it to, a sibling to every other.
 */
import { foldKey, formatColumnName, parseColumnName } from '@tributary/common/schema/column-name'
import type { AttributeType, ColumnName } from '@tributary/common/schema/column-name'

export interface TenantColumns {
  readonly tenant: string
  /** As DuckDB names and types them. */
  readonly columns: readonly { readonly name: string; readonly type: string }[]
}

export interface Unification {
  /** New names of a tenant's columns; those that keep theirs are absent. */
  readonly renames: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** What was given new names: the plain name that it had, and where its values stand now. */
  readonly moved: readonly { readonly tenant: string; readonly from: string; readonly to: string }[]
}

const TYPES: Readonly<Record<string, AttributeType>> = {
  VARCHAR: 'string',
  BIGINT: 'int',
  DOUBLE: 'double',
  BOOLEAN: 'bool',
  BLOB: 'bytes',
  JSON: 'any',
}

interface AttributeColumn extends ColumnName {
  readonly tenant: string
  readonly column: string
  readonly holds: AttributeType
}

/** Tenants in the order of their names decide what nothing else does. */
export function unifyColumns(tenants: readonly TenantColumns[]): Unification {
  const sorted = tenants.toSorted((left, right) => (left.tenant < right.tenant ? -1 : 1))
  const attributes = sorted.flatMap((tenant) => attributeColumns(tenant))
  // what engines may take for the same name
  const groups = Map.groupBy(attributes, ({ namespace, key }) => `${namespace}.${foldKey(key)}`)
  const renames = new Map(sorted.map(({ tenant }) => [tenant, new Map<string, string>()]))
  const moved: Unification['moved'][number][] = []
  for (const group of groups.values()) {
    if (isAgreed(group)) continue
    for (const [attribute, to] of namesOf(group)) {
      const { tenant, column } = attribute
      if (to === column) continue
      renames.get(tenant)!.set(column, to)
      moved.push({ tenant, from: column, to })
    }
  }
  return { renames, moved }
}

function attributeColumns({ tenant, columns }: TenantColumns): AttributeColumn[] {
  return columns.flatMap(({ name, type }) => {
    const parsed = parseColumnName(name)
    const holds = TYPES[type]
    return parsed === undefined || holds === undefined
      ? []
      : [{ ...parsed, tenant, column: name, holds }]
  })
}

/** Whether every name stands for one key and one type. */
function isAgreed(group: readonly AttributeColumn[]): boolean {
  const meanings = new Map<string, string>()
  return group.every(({ column, key, holds }) => {
    const name = column.toLowerCase()
    const meaning = `${holds} ${key}`
    const known = meanings.get(name) ?? meaning
    meanings.set(name, known)
    return known === meaning
  })
}

function namesOf(group: readonly AttributeColumn[]): [AttributeColumn, string][] {
  const keys = [...Map.groupBy(group, ({ key }) => key)]
  return keys.flatMap(([, columns], index) => {
    const owner = ownerOf(columns)
    return columns.map((attribute): [AttributeColumn, string] => {
      const { namespace, key, holds } = attribute
      const type = holds === owner ? undefined : holds
      return [attribute, formatColumnName({ namespace, key, ordinal: index + 1, type })]
    })
  })
}

/** The type that owns the plain name for most tenants; undefined where it does for none. */
function ownerOf(columns: readonly AttributeColumn[]): AttributeType | undefined {
  const votes = new Map<AttributeType, number>()
  for (const { type, holds } of columns) {
    if (type === undefined) votes.set(holds, (votes.get(holds) ?? 0) + 1)
  }
  let owner: AttributeType | undefined
  for (const [type, count] of votes) {
    if (owner === undefined || count > votes.get(owner)!) owner = type
  }
  return owner
}
