/**
 * The rows of a row group that have a value of a sparse column, found by the set bits of its
 * validity bitmaps: a table of sparse labels has hundreds of columns, and most rows lack each. What
 * follows goes over the present rows alone: they are given as picks, as if no other were picked.
 */
import { takeInt32, takeZeroedInt32 } from './column-scratch.ts'
import { findSlots, type Slots } from './gather.ts'
import type { RowPicks } from './row-picks.ts'
import type { TableColumnViews } from './source-table.ts'

interface PresentRows {
  readonly picks: RowPicks
  readonly slots: Slots
}

/** A column is sparse where at most one row in so many has a value. */
const ROWS_PER_VALUE_MIN = 4

/** The picks that a column has values of, and their slots; all picks where it is not sparse. */
export function findPresent(views: TableColumnViews, picks: RowPicks): PresentRows {
  const presentMax = countPresent(views, picks)
  if (presentMax * ROWS_PER_VALUE_MIN > picks.rowCount) {
    return { picks, slots: findSlots(views, picks) }
  }
  const pickRow = takeInt32(presentMax)
  const pickTarget = takeInt32(presentMax)
  const batchStart = takeZeroedInt32(views.length + 1)
  let count = 0
  for (let batch = 0; batch < views.length; batch++) {
    const view = views[batch]
    if (view !== undefined && picks.batchStart[batch] !== picks.batchStart[batch + 1]) {
      count =
        view.validity === undefined
          ? collectAll(batch, picks, pickRow, pickTarget, count)
          : collectValid(view.validity, batch, picks, pickRow, pickTarget, count)
    }
    batchStart[batch + 1] = count
  }
  const slots = slotsOfTargets(pickTarget, count, picks.rowCount)
  return { picks: { ...picks, batchStart, pickRow, pickTarget }, slots }
}

/** Values in the batches of the picks, whether their rows are picked or not. */
function countPresent(views: TableColumnViews, picks: RowPicks): number {
  const { batchStart, rowBases } = picks
  let present = 0
  for (let batch = 0; batch < views.length; batch++) {
    const view = views[batch]
    if (view === undefined || batchStart[batch] === batchStart[batch + 1]) continue
    present += rowBases[batch + 1]! - rowBases[batch]! - view.nullCount
  }
  return present
}

function collectAll(
  batch: number,
  picks: RowPicks,
  pickRow: Int32Array,
  pickTarget: Int32Array,
  before: number,
): number {
  const { batchStart } = picks
  let count = before
  for (let pick = batchStart[batch]!; pick < batchStart[batch + 1]!; pick++) {
    pickRow[count] = picks.pickRow[pick]!
    pickTarget[count++] = picks.pickTarget[pick]!
  }
  return count
}

function collectValid(
  validity: Uint8Array,
  batch: number,
  picks: RowPicks,
  pickRow: Int32Array,
  pickTarget: Int32Array,
  before: number,
): number {
  const { rowBases, positionOfRow, start, rowCount } = picks
  const base = rowBases[batch]!
  const rows = rowBases[batch + 1]! - base
  let count = before
  for (let first = 0; first < rows; first += 8) {
    let bits = validity[first >>> 3]!
    for (let row = first; bits !== 0 && row < rows; row++, bits >>>= 1) {
      if ((bits & 1) === 0) continue
      const target = positionOfRow[base + row]! - start
      if (target < 0 || target >= rowCount) continue
      pickRow[count] = row
      pickTarget[count++] = target
    }
  }
  return count
}

/** Slots of the first `count` targets: how many present rows stand before each. */
export function slotsOfTargets(targets: Int32Array, count: number, rowCount: number): Slots {
  const words = takeZeroedInt32((rowCount + 31) >>> 5)
  for (let index = 0; index < count; index++) {
    const target = targets[index]!
    words[target >>> 5]! |= 1 << (target & 31)
  }
  const before = takeInt32(words.length)
  let present = 0
  for (let word = 0; word < words.length; word++) {
    before[word] = present
    if (words[word] !== 0) present += bitsOf(words[word]!)
  }
  const pickSlot = takeInt32(count)
  for (let index = 0; index < count; index++) {
    const target = targets[index]!
    const word = target >>> 5
    pickSlot[index] = before[word]! + bitsOf(words[word]! & ((1 << (target & 31)) - 1))
  }
  // words are little-endian, so their bytes are the bitmap, least significant bit first
  const presence = new Uint8Array(words.buffer, words.byteOffset, (rowCount + 7) >>> 3)
  return { count, pickSlot, presence }
}

/** Set bits of a 32-bit word (Hacker's Delight, 5-1). */
function bitsOf(word: number): number {
  let rest = word - ((word >>> 1) & 0x55555555)
  rest = (rest & 0x33333333) + ((rest >>> 2) & 0x33333333)
  return Math.imul((rest + (rest >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
