/**
 * Columns that a row takes from its resource or scope, written as runs over the file's order.
 */
import type { LeafColumn } from '@tributary/common/parquet/column-values'
import { takeInt32, takeZeroedInt32 } from './column-scratch.ts'
import { DictionaryUnion } from './dictionary-union.ts'
import type { GroupValues } from './group-attributes.ts'
import type { GroupTable } from './group-table.ts'

/** Runs of equal groups over the rows of a row group. */
export interface GroupRuns {
  readonly runLengths: Int32Array
  readonly runGroups: Int32Array
  /** Groups of the table. */
  readonly groupCount: number
}

/** Finds the runs of groups in order[start, end). */
export function findGroupRuns(
  table: GroupTable,
  order: Int32Array,
  start: number,
  end: number,
): GroupRuns {
  const { groupOfRow } = table
  const lengths = new Int32Array(end - start)
  const groups = new Int32Array(end - start)
  let runs = 0
  let previous = -1
  for (let index = start; index < end; index++) {
    const group = groupOfRow[order[index]!]!
    if (group !== previous) {
      groups[runs++] = group
      previous = group
    }
    lengths[runs - 1]! += 1
  }
  return {
    runLengths: lengths.slice(0, runs),
    runGroups: groups.slice(0, runs),
    groupCount: table.count,
  }
}

/** The hash of each group. */
export function hashValues({ count, hashLow, hashHigh }: GroupTable): GroupValues {
  const union = new DictionaryUnion()
  const groups = new Int32Array(count)
  const ids = new Int32Array(count)
  const halves = new Int32Array(2)
  const bytes = new Uint8Array(halves.buffer)
  for (let group = 0; group < count; group++) {
    halves[0] = hashLow[group]!
    halves[1] = hashHigh[group]!
    groups[group] = group
    ids[group] = union.add(bytes, 0, 8)
  }
  return { groups, ids, dictionary: union.finish() }
}

/** Lays the values of groups out over the runs of a row group; neighbours of one value are a run. */
export function groupColumn(values: GroupValues, runs: GroupRuns): LeafColumn {
  const idOfGroup = takeInt32(runs.groupCount).fill(-1)
  for (let index = 0; index < values.groups.length; index++) {
    idOfGroup[values.groups[index]!] = values.ids[index]!
  }
  const runLengths = takeZeroedInt32(runs.runGroups.length)
  const runIds = takeInt32(runs.runGroups.length)
  let length = 0
  let count = 0
  let previous = -2
  for (let run = 0; run < runs.runGroups.length; run++) {
    const id = idOfGroup[runs.runGroups[run]!]!
    const rows = runs.runLengths[run]!
    if (id >= 0) count += rows
    if (id !== previous) {
      runIds[length++] = id
      previous = id
    }
    runLengths[length - 1]! += rows
  }
  return {
    values: {
      kind: 'runs',
      runLengths: runLengths.subarray(0, length),
      runIds: runIds.subarray(0, length),
      dictionary: values.dictionary,
    },
    count,
  }
}
