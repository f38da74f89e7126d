/**
 * The order of a file's rows. Rows arrive as runs (one group of one batch) that are nearly always
 * ascending in time, so ordering is a stable counting sort by group rank, and a merge of ascending
 * runs only inside groups where time goes backwards.
 */
import type { RowTimes } from './row-times.ts'

/**
 * Orders rows by the rank of their group, then time, then position.
 *
 * @param rows positions of the rows in ascending order
 * @param groupOfRow group of each position of the table
 * @param rankOfGroup rank of each group; groups that share a rank interleave by time
 * @param rankCount ranks are 0 to rankCount - 1
 * @returns the same positions in file order
 */
export function orderRows(
  rows: Int32Array,
  groupOfRow: Int32Array,
  rankOfGroup: Int32Array,
  rankCount: number,
  times: RowTimes,
): Int32Array {
  const starts = new Int32Array(rankCount + 1)
  countRanks(rows, groupOfRow, rankOfGroup, starts)
  for (let rank = 0; rank < rankCount; rank++) starts[rank + 1]! += starts[rank]!
  const order = new Int32Array(rows.length)
  const next = starts.slice(0, rankCount)
  placeByRank(rows, groupOfRow, rankOfGroup, next, order)
  let scratch: Int32Array | undefined
  for (let rank = 0; rank < rankCount; rank++) {
    const start = starts[rank]!
    const end = starts[rank + 1]!
    if (isAscending(order, start, end, times.high, times.low)) continue
    scratch ??= new Int32Array(rows.length)
    mergeRuns(order, start, end, scratch, times)
  }
  return order
}

function countRanks(
  rows: Int32Array,
  groupOfRow: Int32Array,
  rankOfGroup: Int32Array,
  starts: Int32Array,
): void {
  for (let index = 0; index < rows.length; index++) {
    starts[rankOfGroup[groupOfRow[rows[index]!]!]! + 1]! += 1
  }
}

function placeByRank(
  rows: Int32Array,
  groupOfRow: Int32Array,
  rankOfGroup: Int32Array,
  next: Int32Array,
  order: Int32Array,
): void {
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index]!
    const rank = rankOfGroup[groupOfRow[row]!]!
    const at = next[rank]!
    order[at] = row
    next[rank] = at + 1
  }
}

function isAscending(
  order: Int32Array,
  start: number,
  end: number,
  high: Uint32Array,
  low: Uint32Array,
): boolean {
  for (let index = start + 1; index < end; index++) {
    const before = order[index - 1]!
    const row = order[index]!
    if (high[row]! < high[before]!) return false
    if (high[row]! === high[before]! && low[row]! < low[before]!) return false
  }
  return true
}

/** Bottom-up merge of the ascending runs in order[start, end): stable, no comparator calls. */
function mergeRuns(
  order: Int32Array,
  start: number,
  end: number,
  scratch: Int32Array,
  times: RowTimes,
): void {
  let runs = findRuns(order, start, end, times)
  let from = order
  let to = scratch
  while (runs.length > 2) {
    const merged = [start]
    for (let index = 0; index + 1 < runs.length; index += 2) {
      const left = runs[index]!
      const middle = runs[index + 1]!
      const right = index + 2 < runs.length ? runs[index + 2]! : middle
      mergeTwo(from, left, middle, right, to, times.high, times.low)
      merged.push(right)
    }
    runs = merged
    const swap = from
    from = to
    to = swap
  }
  if (from !== order) order.set(from.subarray(start, end), start)
}

/** Boundaries of the maximal ascending runs: the first is `start`, the last is `end`. */
function findRuns(order: Int32Array, start: number, end: number, times: RowTimes): number[] {
  const { high, low } = times
  const runs = [start]
  for (let index = start + 1; index < end; index++) {
    const before = order[index - 1]!
    const row = order[index]!
    const isLess =
      high[row]! < high[before]! || (high[row]! === high[before]! && low[row]! < low[before]!)
    if (isLess) runs.push(index)
  }
  runs.push(end)
  return runs
}

function mergeTwo(
  from: Int32Array,
  left: number,
  middle: number,
  right: number,
  to: Int32Array,
  high: Uint32Array,
  low: Uint32Array,
): void {
  let a = left
  let b = middle
  for (let at = left; at < right; at++) {
    if (b >= right) {
      to[at] = from[a++]!
    } else if (a >= middle) {
      to[at] = from[b++]!
    } else {
      const rowA = from[a]!
      const rowB = from[b]!
      const takeB =
        high[rowB]! < high[rowA]! || (high[rowB]! === high[rowA]! && low[rowB]! < low[rowA]!)
      if (takeB) {
        to[at] = rowB
        b++
      } else {
        to[at] = rowA
        a++
      }
    }
  }
}
