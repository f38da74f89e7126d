/**
 * Columns that a row takes from its resource or scope, written as runs over the file's order.
 */
import type { LeafColumn } from '@tributary/common/parquet/column-values'
import type { AttributeType } from '@tributary/common/schema/column-name'
import { anyValueToJson } from '@tributary/common/otlp/typed-json'
import type { AttributeEntry } from './attribute-value.ts'
import type { Group, GroupTable } from './group-table.ts'
import type { GroupField } from './table-columns.ts'

/** Runs of equal groups over the rows of a row group. */
export interface GroupRuns {
  readonly runLengths: Int32Array
  readonly runGroups: Int32Array
}

/** A dictionary entry for each group, in the layout of ValueDictionary; undefined is null. */
export type GroupValues = readonly (Uint8Array | undefined)[]

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
  return { runLengths: lengths.slice(0, runs), runGroups: groups.slice(0, runs) }
}

/** The column of an attribute; the data rules leave at most one entry per key. */
export function attributeValues(
  groups: readonly Group[],
  key: string,
  type: AttributeType,
): GroupValues {
  return groups.map((group) => {
    const entry = group.attributes.find((each) => each.key === key && each.type === type)
    return entry && entryBytes(entry)
  })
}

function entryBytes(entry: AttributeEntry): Uint8Array {
  switch (entry.type) {
    case 'string':
    case 'bytes':
      return entry.bytes
    case 'any':
      return anyValueToJson(entry.bytes)
    case 'bool':
      return Uint8Array.of(entry.low)
    case 'int':
    case 'double':
      return int64Bytes(entry.low, entry.high)
  }
}

function int64Bytes(low: number, high: number): Uint8Array {
  return new Uint8Array(Int32Array.of(low, high).buffer)
}

/** The column of a field that every resource or scope has; its proto3 default is null. */
export function fieldValues(groups: readonly Group[], field: GroupField): GroupValues {
  return groups.map((group) => {
    if (field === 'dropped_attributes_count') {
      const count = group.droppedAttributesCount
      return count === 0 ? undefined : int64Bytes(count, 0)
    }
    const bytes = fieldBytes(group, field)
    return bytes.length === 0 ? undefined : bytes
  })
}

function fieldBytes(
  group: Group,
  field: Exclude<GroupField, 'dropped_attributes_count'>,
): Uint8Array {
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
}

/** The hash of each row's resource. */
export function hashValues(groups: readonly Group[]): GroupValues {
  return groups.map((group) => int64Bytes(group.hashLow, group.hashHigh))
}

/** Lays the values of groups out over the runs of a row group. */
export function groupColumn(ofGroup: GroupValues, runs: GroupRuns): LeafColumn {
  const idOfValue = new Map<string, number>()
  const entries: Uint8Array[] = []
  const idOfGroup = new Map<number, number>()
  const runIds = new Int32Array(runs.runGroups.length)
  let count = 0
  for (let run = 0; run < runIds.length; run++) {
    const group = runs.runGroups[run]!
    let id = idOfGroup.get(group)
    if (id === undefined) {
      id = entryId(ofGroup[group], idOfValue, entries)
      idOfGroup.set(group, id)
    }
    runIds[run] = id
    if (id >= 0) count += runs.runLengths[run]!
  }
  const offsets = new Int32Array(entries.length + 1)
  for (let id = 0; id < entries.length; id++) offsets[id + 1] = offsets[id]! + entries[id]!.length
  return {
    values: {
      kind: 'runs',
      runLengths: runs.runLengths,
      runIds,
      dictionary: { data: Buffer.concat(entries), offsets },
    },
    count,
  }
}

function entryId(
  value: Uint8Array | undefined,
  idOfValue: Map<string, number>,
  entries: Uint8Array[],
): number {
  if (value === undefined) return -1
  const key = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
  const known = idOfValue.get(key)
  if (known !== undefined) return known
  idOfValue.set(key, entries.length)
  entries.push(value)
  return entries.length - 1
}
