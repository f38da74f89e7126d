/**
 * Which rows of a flush go to which file: one per hour of event time, and one `late` file for what
 * is past the bound of hours, so that a request of scattered hours cannot make thousands of files.
 */
import { hourOf, timeRange, type RowTimes } from './row-times.ts'
import type { TableContext } from './table-context.ts'

export interface HourRows {
  /** `2026-11-21T03`, or `late`. */
  readonly hour: string
  /** Positions in ascending order. */
  readonly rows: Int32Array
}

const LATE = 'late'

/**
 * Splits the rows that were not stored before by hour. The hours with the most rows keep a file of
 * their own (ties: the newer); the order is by hour, late last.
 */
export function splitByHour(context: TableContext, hoursMax: number): HourRows[] {
  const rows = keptRows(context)
  const onlyHour = commonHour(rows, context.times)
  if (onlyHour !== undefined) return [{ hour: hourText(onlyHour), rows }]
  const hourOfRow = new Float64Array(rows.length)
  const counts = new Map<number, number>()
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index]!
    const hour = hourOf(context.times.high[row]!, context.times.low[row]!)
    hourOfRow[index] = hour
    counts.set(hour, (counts.get(hour) ?? 0) + 1)
  }
  const kept = [...counts]
    .sort(([hourA, countA], [hourB, countB]) => countB - countA || hourB - hourA)
    .slice(0, hoursMax)
    .sort(([hourA], [hourB]) => hourA - hourB)
  const lateCount = rows.length - kept.reduce((sum, [, count]) => sum + count, 0)
  const files = kept.map(([hour, count]) => ({
    hour: hourText(hour),
    rows: new Int32Array(count),
  }))
  if (lateCount > 0) files.push({ hour: LATE, rows: new Int32Array(lateCount) })
  const fileOfHour = new Map(kept.map(([hour], index) => [hour, index]))
  const next = new Int32Array(files.length)
  for (let index = 0; index < rows.length; index++) {
    const file = fileOfHour.get(hourOfRow[index]!) ?? files.length - 1
    files[file]!.rows[next[file]!++] = rows[index]!
  }
  return files
}

/** The hour that all rows lie in, as nearly every flush has it; undefined where they differ. */
function commonHour(rows: Int32Array, times: RowTimes): number | undefined {
  if (rows.length === 0) return undefined
  const { high, low } = times
  const { least, greatest } = timeRange(rows, 0, rows.length, times)
  const hour = hourOf(high[least]!, low[least]!)
  return hour === hourOf(high[greatest]!, low[greatest]!) ? hour : undefined
}

/** All rows but those of suppressed chunks. */
function keptRows({ source }: TableContext): Int32Array {
  const rows = new Int32Array(source.rowCount)
  let count = 0
  for (const { view, rowBase, suppressed } of source.batches) {
    let range = 0
    for (let row = 0; row < view.rowCount; row++) {
      while (range < suppressed.length && row >= suppressed[range + 1]!) range += 2
      if (range < suppressed.length && row >= suppressed[range]!) continue
      rows[count++] = rowBase + row
    }
  }
  return rows.subarray(0, count)
}

function hourText(hour: number): string {
  return new Date(hour * 3_600_000).toISOString().slice(0, 13)
}
