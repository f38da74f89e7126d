/**
 * The groups that a table is sorted by, and their ranks: resources for logs and spans, series for
 * metrics. Equal sort keys share a rank, so that rows of both interleave by time and the file's
 * `sorting_columns` stay true.
 */
import type { ValueDictionary } from '@tributary/common/parquet/column-values'
import type { GroupTable } from './group-table.ts'
import { rankByKeys } from './radix-rank.ts'
import type { SeriesIds } from './series-id.ts'
import type { UnitedDictionary } from './united-dictionary.ts'

export interface SortGroups {
  readonly groupOfRow: Int32Array
  readonly rankOfGroup: Int32Array
  readonly rankCount: number
}

/**
 * Dictionary entries by rank: unsigned byte order, as Parquet compares strings. Entries may repeat a
 * text (two names that are equal once bad UTF-8 is replaced); they share a rank.
 */
function rankEntries({ data, offsets }: ValueDictionary): Int32Array {
  const count = offsets.length - 1
  const bytes = Array.from({ length: count }, (_, id) =>
    data.subarray(offsets[id], offsets[id + 1]),
  )
  const sorted = Int32Array.from({ length: count }, (_, id) => id)
  sorted.sort((left, right) => Buffer.compare(bytes[left]!, bytes[right]!))
  const ranks = new Int32Array(count)
  let rank = 0
  sorted.forEach((id, index) => {
    if (index > 0 && Buffer.compare(bytes[sorted[index - 1]!]!, bytes[id]!) !== 0) rank++
    ranks[id] = rank
  })
  return ranks
}

/**
 * Ranks of the resources by `service.name` where it is a string, which most queries ask for: 0
 * where there is none.
 */
function serviceRanks({ attributes, count }: GroupTable, byService: boolean): Uint32Array {
  const rankOfGroup = new Uint32Array(count)
  if (!byService) return rankOfGroup
  const { groups, ids, dictionary } = attributes.valuesOf('service.name', 'string')
  const ranks = rankEntries(dictionary)
  for (let index = 0; index < groups.length; index++) {
    rankOfGroup[groups[index]!] = ranks[ids[index]!]! + 1
  }
  return rankOfGroup
}

/** Signed high halves so that they rise as unsigned numbers do. */
function unsigned(high: Int32Array | Uint32Array): Uint32Array {
  const keys = new Uint32Array(high.length)
  for (let index = 0; index < high.length; index++) keys[index] = high[index]! ^ 0x80000000
  return keys
}

function pickKeys(values: Int32Array, rows: Int32Array): Uint32Array {
  const keys = new Uint32Array(rows.length)
  for (let index = 0; index < rows.length; index++) keys[index] = values[rows[index]!]!
  return keys
}

/** Logs and spans: by service name (unless it has no column of its own), then resource hash. */
export function resourceSortGroups(resources: GroupTable, byService: boolean): SortGroups {
  const { count, groupOfRow, hashLow, hashHigh } = resources
  const keys = [serviceRanks(resources, byService), unsigned(hashHigh), new Uint32Array(hashLow)]
  const { rankOf, rankCount } = rankByKeys(count, keys)
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
  const serviceRankOfGroup = serviceRanks(resources, byService)
  const nameRanks = metricNames && rankEntries(metricNames)
  const rowCount = nameOfRow.length
  const nameRankOfRow = new Int32Array(rowCount)
  const serviceRankOfRow = new Int32Array(rowCount)
  for (let row = 0; row < rowCount; row++) {
    const name = nameOfRow[row]!
    nameRankOfRow[row] = nameRanks === undefined || name < 0 ? 0 : nameRanks[name]! + 1
    serviceRankOfRow[row] = serviceRankOfGroup[resources.groupOfRow[row]!]!
  }
  const { groupOfRow, firstRows } = groupSeries(series, nameRankOfRow, serviceRankOfRow)
  const keys = [
    pickKeys(nameRankOfRow, firstRows),
    pickKeys(serviceRankOfRow, firstRows),
    unsigned(pickKeys(series.high, firstRows)),
    pickKeys(series.low, firstRows),
  ]
  const { rankOf, rankCount } = rankByKeys(firstRows.length, keys)
  return { groupOfRow, rankOfGroup: rankOf, rankCount }
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
