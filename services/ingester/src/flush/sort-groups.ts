/**
 * The groups that a table is sorted by, and their ranks: resources for logs and spans, series for
 * metrics. Equal sort keys share a rank, so that rows of both interleave by time and the file's
 * `sorting_columns` stay true.
 */
import type { Group, GroupTable } from './group-table.ts'
import type { SeriesIds } from './series-id.ts'
import type { UnitedDictionary } from './united-dictionary.ts'

export interface SortGroups {
  readonly groupOfRow: Int32Array
  readonly rankOfGroup: Int32Array
  readonly rankCount: number
}

/** `resource.service.name` of a resource where it is a string: what most queries ask for. */
function serviceName(group: Group): Uint8Array | undefined {
  return group.attributes.find((entry) => entry.key === 'service.name' && entry.type === 'string')
    ?.bytes
}

/** Null first, then unsigned byte order, as Parquet compares strings. */
function compareBytes(left: Uint8Array | undefined, right: Uint8Array | undefined): number {
  if (left === undefined || right === undefined) {
    return (left === undefined ? 0 : 1) - (right === undefined ? 0 : 1)
  }
  return Buffer.compare(left, right)
}

/** Order of signed 64-bit integers in halves. */
function compareInt64(leftHigh: number, leftLow: number, rightHigh: number, rightLow: number) {
  return leftHigh - rightHigh || (leftLow >>> 0) - (rightLow >>> 0)
}

/** Ranks 0, 1, 2... of items in comparator order; items that compare equal share one. */
function rankItems(
  count: number,
  compare: (left: number, right: number) => number,
): { rankOf: Int32Array; rankCount: number } {
  const sorted = Int32Array.from({ length: count }, (_, index) => index)
  sorted.sort(compare)
  const rankOf = new Int32Array(count)
  let rank = -1
  for (let index = 0; index < count; index++) {
    if (index === 0 || compare(sorted[index - 1]!, sorted[index]!) !== 0) rank++
    rankOf[sorted[index]!] = rank
  }
  return { rankOf, rankCount: rank + 1 }
}

/** Logs and spans: by service name (unless it has no column of its own), then resource hash. */
export function resourceSortGroups(resources: GroupTable, byService: boolean): SortGroups {
  const { groups, groupOfRow } = resources
  const services = groups.map((group) => (byService ? serviceName(group) : undefined))
  const { rankOf, rankCount } = rankItems(groups.length, (left, right) => {
    const a = groups[left]!
    const b = groups[right]!
    return (
      compareBytes(services[left], services[right]) ||
      compareInt64(a.hashHigh, a.hashLow, b.hashHigh, b.hashLow)
    )
  })
  return { groupOfRow, rankOfGroup: rankOf, rankCount }
}

/** Metrics: by metric name, service name, series id. */
export function seriesSortGroups(
  resources: GroupTable,
  byService: boolean,
  metricNames: UnitedDictionary | undefined,
  nameOfRow: Int32Array,
  series: SeriesIds,
): SortGroups {
  const services = resources.groups.map((group) => (byService ? serviceName(group) : undefined))
  const serviceRanks = rankItems(services.length, (left, right) =>
    compareBytes(services[left], services[right]),
  ).rankOf
  const nameRanks = metricNames && rankNames(metricNames)
  const rowCount = nameOfRow.length
  const nameRankOfRow = new Int32Array(rowCount)
  const serviceRankOfRow = new Int32Array(rowCount)
  for (let row = 0; row < rowCount; row++) {
    const name = nameOfRow[row]!
    nameRankOfRow[row] = nameRanks === undefined || name < 0 ? -1 : nameRanks[name]!
    serviceRankOfRow[row] = serviceRanks[resources.groupOfRow[row]!]!
  }
  const { groupOfRow, firstRows } = groupSeries(series, nameRankOfRow, serviceRankOfRow)
  const { rankOf, rankCount } = rankItems(firstRows.length, (left, right) => {
    const a = firstRows[left]!
    const b = firstRows[right]!
    return (
      nameRankOfRow[a]! - nameRankOfRow[b]! ||
      serviceRankOfRow[a]! - serviceRankOfRow[b]! ||
      compareInt64(series.high[a]!, series.low[a]!, series.high[b]!, series.low[b]!)
    )
  })
  return { groupOfRow, rankOfGroup: rankOf, rankCount }
}

function rankNames(names: UnitedDictionary): Int32Array {
  const bytes = Array.from({ length: names.count }, (_, id) =>
    names.data.subarray(names.offsets[id], names.offsets[id + 1]),
  )
  return rankItems(names.count, (left, right) => Buffer.compare(bytes[left]!, bytes[right]!)).rankOf
}

/** Numbers the distinct (series id, name, service) of the rows by open addressing. */
function groupSeries(
  series: SeriesIds,
  nameRankOfRow: Int32Array,
  serviceRankOfRow: Int32Array,
): { groupOfRow: Int32Array; firstRows: Int32Array } {
  const rowCount = nameRankOfRow.length
  let capacity = 1024
  while (capacity < 2 * rowCount) capacity *= 2
  const slots = new Int32Array(capacity).fill(-1)
  const groupOfRow = new Int32Array(rowCount)
  const firstRows = new Int32Array(rowCount)
  let count = 0
  for (let row = 0; row < rowCount; row++) {
    let slot = series.low[row]! & (capacity - 1)
    for (;;) {
      const group = slots[slot]!
      if (group < 0) {
        slots[slot] = count
        firstRows[count] = row
        groupOfRow[row] = count++
        break
      }
      const first = firstRows[group]!
      if (
        series.low[first] === series.low[row] &&
        series.high[first] === series.high[row] &&
        nameRankOfRow[first] === nameRankOfRow[row] &&
        serviceRankOfRow[first] === serviceRankOfRow[row]
      ) {
        groupOfRow[row] = group
        break
      }
      slot = (slot + 1) & (capacity - 1)
    }
  }
  return { groupOfRow, firstRows: firstRows.slice(0, count) }
}
