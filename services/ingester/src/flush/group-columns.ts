/**
 * Columns that a row takes from its resource or scope, written as runs over the file's order.
 */
import type { LeafColumn } from '@tributary/common/parquet/column-values'
import type { AttributeType } from '@tributary/common/schema/attribute-type'
import { anyValueToJson } from '@tributary/common/otlp/typed-json'
import type { AttributeEntry } from './attribute-value.ts'
import type { Group, GroupTable } from './group-table.ts'
import type { GroupField } from './table-columns.ts'

/** Runs of equal groups over the rows of a row group. */
export interface GroupRuns {
  readonly runLengths: Int32Array
  readonly runGroups: Int32Array
  readonly rowCount: number
}

/** Finds the runs of groups in order[start, end). */
export function findGroupRuns(
  table: GroupTable,
  order: Int32Array,
  start: number,
  end: number,
): GroupRuns {
  const lengths = new Int32Array(end - start)
  const groups = new Int32Array(end - start)
  let runs = 0
  let previous = -1
  for (let index = start; index < end; index++) {
    const group = table.groupOfRow[order[index]!]!
    if (group !== previous) {
      groups[runs++] = group
      previous = group
    }
    lengths[runs - 1]! += 1
  }
  return {
    runLengths: lengths.slice(0, runs),
    runGroups: groups.slice(0, runs),
    rowCount: end - start,
  }
}

/** A value of each group: text (dictionary columns), 64 bits or a double (expanded), or null. */
type GroupValues =
  | { readonly kind: 'bytes'; readonly ofGroup: readonly (Uint8Array | undefined)[] }
  | {
      readonly kind: 'bits'
      readonly physical: 'int64' | 'double' | 'boolean'
      readonly low: Int32Array
      readonly high: Int32Array
      readonly present: Uint8Array
    }

/** The column of an attribute; the first entry of a key and type is the only one by the data rules. */
export function attributeValues(
  groups: readonly Group[],
  key: string,
  type: AttributeType,
): GroupValues {
  const entries = groups.map((group) =>
    group.attributes.find((entry) => entry.key === key && entry.type === type),
  )
  if (type === 'string' || type === 'bytes') {
    return { kind: 'bytes', ofGroup: entries.map((entry) => entry?.bytes) }
  }
  if (type === 'any') {
    return {
      kind: 'bytes',
      ofGroup: entries.map((entry) => entry && anyValueToJson(entry.bytes)),
    }
  }
  return bitsOf(entries, type === 'int' ? 'int64' : type === 'double' ? 'double' : 'boolean')
}

function bitsOf(
  entries: readonly (AttributeEntry | undefined)[],
  physical: 'int64' | 'double' | 'boolean',
): GroupValues {
  return {
    kind: 'bits',
    physical,
    low: Int32Array.from(entries, (entry) => (entry?.low ?? 0) | 0),
    high: Int32Array.from(entries, (entry) => (entry?.high ?? 0) | 0),
    present: Uint8Array.from(entries, (entry) => (entry === undefined ? 0 : 1)),
  }
}

/** The column of a field that every resource or scope has; its proto3 default is null. */
export function fieldValues(groups: readonly Group[], field: GroupField): GroupValues {
  if (field === 'dropped_attributes_count') {
    return {
      kind: 'bits',
      physical: 'int64',
      low: Int32Array.from(groups, (group) => group.droppedAttributesCount | 0),
      high: new Int32Array(groups.length),
      present: Uint8Array.from(groups, (group) => (group.droppedAttributesCount === 0 ? 0 : 1)),
    }
  }
  const bytes = groups.map((group) => {
    switch (field) {
      case 'schema_url':
        return group.schemaUrl
      case 'entity_refs':
        return group.entityRefs
      case 'name':
        return group.name
      case 'version':
        return group.version
    }
  })
  return { kind: 'bytes', ofGroup: bytes.map((value) => (value.length === 0 ? undefined : value)) }
}

/** The hash of each row's resource. */
export function hashValues(groups: readonly Group[]): GroupValues {
  return {
    kind: 'bits',
    physical: 'int64',
    low: Int32Array.from(groups, (group) => group.hashLow),
    high: Int32Array.from(groups, (group) => group.hashHigh),
    present: new Uint8Array(groups.length).fill(1),
  }
}

/** Lays the values of groups out over the runs of a row group. */
export function groupColumn(values: GroupValues, runs: GroupRuns): LeafColumn {
  return values.kind === 'bytes' ? runColumn(values.ofGroup, runs) : expandBits(values, runs)
}

function runColumn(ofGroup: readonly (Uint8Array | undefined)[], runs: GroupRuns): LeafColumn {
  const idOfValue = new Map<string, number>()
  const chunks: Uint8Array[] = []
  const idOfGroup = new Map<number, number>()
  const runIds = new Int32Array(runs.runGroups.length)
  let count = 0
  for (let run = 0; run < runIds.length; run++) {
    const group = runs.runGroups[run]!
    let id = idOfGroup.get(group)
    if (id === undefined) {
      id = valueId(ofGroup[group], idOfValue, chunks)
      idOfGroup.set(group, id)
    }
    runIds[run] = id
    if (id >= 0) count += runs.runLengths[run]!
  }
  const offsets = new Int32Array(chunks.length + 1)
  chunks.forEach((chunk, index) => (offsets[index + 1] = offsets[index]! + chunk.length))
  return {
    values: {
      kind: 'runs',
      runLengths: runs.runLengths,
      runIds,
      dictionary: { data: Buffer.concat(chunks), offsets },
    },
    count,
  }
}

function valueId(
  value: Uint8Array | undefined,
  idOfValue: Map<string, number>,
  chunks: Uint8Array[],
): number {
  if (value === undefined) return -1
  const key = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
  const known = idOfValue.get(key)
  if (known !== undefined) return known
  idOfValue.set(key, chunks.length)
  chunks.push(value)
  return chunks.length - 1
}

function expandBits(
  values: Extract<GroupValues, { kind: 'bits' }>,
  { runLengths, runGroups, rowCount }: GroupRuns,
): LeafColumn {
  const halves = new Int32Array(2 * rowCount)
  const presence = new Uint8Array((rowCount + 7) >>> 3)
  let count = 0
  let row = 0
  for (let run = 0; run < runLengths.length; run++) {
    const group = runGroups[run]!
    const end = row + runLengths[run]!
    if (values.present[group] === 0) {
      row = end
      continue
    }
    for (; row < end; row++) {
      presence[row >>> 3]! |= 1 << (row & 7)
      halves[2 * count] = values.low[group]!
      halves[2 * count + 1] = values.high[group]!
      count++
    }
  }
  const column = bitsColumn(values.physical, halves, count)
  return count === rowCount ? { values: column, count } : { values: column, count, presence }
}

function bitsColumn(
  physical: 'int64' | 'double' | 'boolean',
  halves: Int32Array,
  count: number,
): LeafColumn['values'] {
  switch (physical) {
    case 'int64':
      return { kind: 'int64', halves: halves.subarray(0, 2 * count) }
    case 'double':
      return { kind: 'double', values: new Float64Array(halves.buffer, 0, count) }
    case 'boolean': {
      const bits = new Uint8Array(count)
      for (let index = 0; index < count; index++) bits[index] = halves[2 * index]!
      return { kind: 'boolean', values: bits }
    }
  }
}
