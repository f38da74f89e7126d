/**
 * Gathers batch columns into the compact value arrays of one row group. First the slots (which
 * value position each picked row takes, -1 for a null), then one kernel per type that runs batch by
 * batch. Kernels are small functions at module level: loops in closures made anew per flush never stay
 * optimized, and took 2 to 3 times as long.
 */
import type { LeafColumn } from '@tributary/common/parquet/column-values'
import type { ColumnView } from '@tributary/common/columnar/batch-view'
import { takeBytes, takeInt32, takeZeroedBytes, takeZeroedInt32 } from './column-scratch.ts'
import type { RowPicks } from './row-picks.ts'
import type { TableColumnViews } from './source-table.ts'
import type { UnitedDictionary } from './united-dictionary.ts'

/** Where the present values of a column go. */
export interface Slots {
  /** Present values in the row group. */
  readonly count: number
  /** Per pick: the value's position among the present ones, or -1. */
  readonly pickSlot: Int32Array
  /** Rows that have a value, least significant bit first; undefined when all have. */
  readonly presence: Uint8Array | undefined
}

/** Finds the slots of a column in a row group. */
export function findSlots(views: TableColumnViews, picks: RowPicks): Slots {
  if (isComplete(views, picks)) {
    return { count: picks.rowCount, pickSlot: picks.pickTarget, presence: undefined }
  }
  const present = takeZeroedBytes(picks.rowCount)
  for (let batch = 0; batch < views.length; batch++) {
    const view = views[batch]
    const start = picks.batchStart[batch]!
    const end = picks.batchStart[batch + 1]!
    if (view === undefined || start === end) continue
    if (view.validity === undefined) markAll(picks.pickTarget, start, end, present)
    else markValid(view.validity, picks.pickRow, picks.pickTarget, start, end, present)
  }
  return slotsOfPresent(present, picks)
}

function isComplete(views: TableColumnViews, picks: RowPicks): boolean {
  for (let batch = 0; batch < views.length; batch++) {
    if (picks.batchStart[batch] === picks.batchStart[batch + 1]) continue
    const view = views[batch]
    if (view === undefined || view.validity !== undefined) return false
  }
  return true
}

/** Slots from one flag per row of the row group. */
function slotsOfPresent(present: Uint8Array, picks: RowPicks): Slots {
  const rowCount = picks.rowCount
  const slotOfRow = takeInt32(rowCount)
  const presence = takeZeroedBytes((rowCount + 7) >>> 3)
  const count = numberSlots(present, slotOfRow, presence)
  if (count === rowCount) return { count, pickSlot: picks.pickTarget, presence: undefined }
  const pickSlot = takeInt32(rowCount)
  for (let pick = 0; pick < rowCount; pick++) pickSlot[pick] = slotOfRow[picks.pickTarget[pick]!]!
  return { count, pickSlot, presence }
}

function numberSlots(present: Uint8Array, slotOfRow: Int32Array, presence: Uint8Array): number {
  let count = 0
  for (let row = 0; row < present.length; row++) {
    if (present[row] === 1) {
      slotOfRow[row] = count++
      presence[row >>> 3]! |= 1 << (row & 7)
    } else {
      slotOfRow[row] = -1
    }
  }
  return count
}

function markAll(target: Int32Array, start: number, end: number, present: Uint8Array): void {
  for (let pick = start; pick < end; pick++) present[target[pick]!] = 1
}

function markValid(
  validity: Uint8Array,
  pickRow: Int32Array,
  target: Int32Array,
  start: number,
  end: number,
  present: Uint8Array,
): void {
  for (let pick = start; pick < end; pick++) {
    const row = pickRow[pick]!
    present[target[pick]!] = (validity[row >>> 3]! >>> (row & 7)) & 1
  }
}

export function leafOf(slots: Slots, values: LeafColumn['values']): LeafColumn {
  return slots.presence === undefined
    ? { values, count: slots.count }
    : { values, count: slots.count, presence: slots.presence }
}

/** Calls a kernel for every batch that has picks and the column. */
function eachBatch(
  views: TableColumnViews,
  picks: RowPicks,
  visit: (view: ColumnView, start: number, end: number, batch: number) => void,
): void {
  for (let batch = 0; batch < views.length; batch++) {
    const view = views[batch]
    const start = picks.batchStart[batch]!
    const end = picks.batchStart[batch + 1]!
    if (view !== undefined && start < end) visit(view, start, end, batch)
  }
}

/** Int32 and UInt32 columns, bits as they are. */
export function gatherInt32(views: TableColumnViews, picks: RowPicks, slots: Slots): Int32Array {
  const out = takeInt32(slots.count)
  eachBatch(views, picks, (view, start, end) => {
    copyInt32(int32Of(view), picks.pickRow, slots.pickSlot, start, end, out)
  })
  return out
}

/** 64-bit columns as little-endian halves, bits as they are. */
export function gatherInt64(
  views: TableColumnViews,
  picks: RowPicks,
  slots: Slots,
): Int32Array<ArrayBuffer> {
  const out = takeInt32(2 * slots.count)
  eachBatch(views, picks, (view, start, end) => {
    copyInt64(int32Of(view), picks.pickRow, slots.pickSlot, start, end, out)
  })
  return out
}

/** UInt32 columns widened to 64 bits: Parquet has no unsigned type that Spark reads. */
export function gatherWidened(views: TableColumnViews, picks: RowPicks, slots: Slots): Int32Array {
  const out = takeZeroedInt32(2 * slots.count)
  eachBatch(views, picks, (view, start, end) => {
    copyWidened(int32Of(view), picks.pickRow, slots.pickSlot, start, end, out)
  })
  return out
}

/** Doubles by their bits: a NaN's payload does not survive a pass through a JS number. */
export function gatherDouble(views: TableColumnViews, picks: RowPicks, slots: Slots): Float64Array {
  const halves = gatherInt64(views, picks, slots)
  return new Float64Array(halves.buffer, halves.byteOffset, slots.count)
}

export function gatherBoolean(views: TableColumnViews, picks: RowPicks, slots: Slots): Uint8Array {
  const out = takeBytes(slots.count)
  eachBatch(views, picks, (view, start, end) => {
    copyBits(view.values, picks.pickRow, slots.pickSlot, start, end, out)
  })
  return out
}

/** United dictionary ids of a utf8 or binary column. */
export function gatherIds(
  views: TableColumnViews,
  united: UnitedDictionary,
  picks: RowPicks,
  slots: Slots,
): Int32Array {
  const out = takeInt32(slots.count)
  eachBatch(views, picks, (view, start, end, batch) => {
    const remap = united.remaps[batch]!
    const { pickRow } = picks
    const indices = view.indices
    if (indices === undefined) copyInt32(remap, pickRow, slots.pickSlot, start, end, out)
    else if (indices instanceof Int8Array) {
      mapIds8(indices, remap, pickRow, slots.pickSlot, start, end, out)
    } else if (indices instanceof Int16Array) {
      mapIds16(indices, remap, pickRow, slots.pickSlot, start, end, out)
    } else mapIds32(indices, remap, pickRow, slots.pickSlot, start, end, out)
  })
  return out
}

/** Fixed-size ids as lower-case hex text: `width` bytes give 2 * width characters. */
export function gatherHex(
  views: TableColumnViews,
  width: number,
  picks: RowPicks,
  slots: Slots,
): { data: Uint8Array; offsets: Int32Array } {
  const data = takeBytes(slots.count * width * 2)
  const pairs = new Uint16Array(data.buffer, data.byteOffset, slots.count * width)
  eachBatch(views, picks, (view, start, end) => {
    copyHex(view.values, width, picks.pickRow, slots.pickSlot, start, end, pairs)
  })
  const offsets = takeInt32(slots.count + 1)
  offsets[0] = 0
  for (let index = 1; index <= slots.count; index++) offsets[index] = index * width * 2
  return { data, offsets }
}

export function int32Of(view: ColumnView): Int32Array {
  return new Int32Array(view.values.buffer, view.values.byteOffset, view.values.byteLength >>> 2)
}

function copyInt32(
  values: Int32Array,
  pickRow: Int32Array,
  pickSlot: Int32Array,
  start: number,
  end: number,
  out: Int32Array,
): void {
  for (let pick = start; pick < end; pick++) {
    const slot = pickSlot[pick]!
    if (slot >= 0) out[slot] = values[pickRow[pick]!]!
  }
}

function copyInt64(
  values: Int32Array,
  pickRow: Int32Array,
  pickSlot: Int32Array,
  start: number,
  end: number,
  out: Int32Array,
): void {
  for (let pick = start; pick < end; pick++) {
    const slot = pickSlot[pick]!
    if (slot < 0) continue
    const row = pickRow[pick]!
    out[2 * slot] = values[2 * row]!
    out[2 * slot + 1] = values[2 * row + 1]!
  }
}

function copyWidened(
  values: Int32Array,
  pickRow: Int32Array,
  pickSlot: Int32Array,
  start: number,
  end: number,
  out: Int32Array,
): void {
  for (let pick = start; pick < end; pick++) {
    const slot = pickSlot[pick]!
    if (slot >= 0) out[2 * slot] = values[pickRow[pick]!]!
  }
}

function copyBits(
  bits: Uint8Array,
  pickRow: Int32Array,
  pickSlot: Int32Array,
  start: number,
  end: number,
  out: Uint8Array,
): void {
  for (let pick = start; pick < end; pick++) {
    const slot = pickSlot[pick]!
    if (slot < 0) continue
    const row = pickRow[pick]!
    out[slot] = (bits[row >>> 3]! >>> (row & 7)) & 1
  }
}

function mapIds8(
  indices: Int8Array,
  remap: Int32Array,
  pickRow: Int32Array,
  pickSlot: Int32Array,
  start: number,
  end: number,
  out: Int32Array,
): void {
  for (let pick = start; pick < end; pick++) {
    const slot = pickSlot[pick]!
    if (slot >= 0) out[slot] = remap[indices[pickRow[pick]!]!]!
  }
}

function mapIds16(
  indices: Int16Array,
  remap: Int32Array,
  pickRow: Int32Array,
  pickSlot: Int32Array,
  start: number,
  end: number,
  out: Int32Array,
): void {
  for (let pick = start; pick < end; pick++) {
    const slot = pickSlot[pick]!
    if (slot >= 0) out[slot] = remap[indices[pickRow[pick]!]!]!
  }
}

function mapIds32(
  indices: Int32Array,
  remap: Int32Array,
  pickRow: Int32Array,
  pickSlot: Int32Array,
  start: number,
  end: number,
  out: Int32Array,
): void {
  for (let pick = start; pick < end; pick++) {
    const slot = pickSlot[pick]!
    if (slot >= 0) out[slot] = remap[indices[pickRow[pick]!]!]!
  }
}

/** Two hex characters per byte as one 16-bit store. */
const HEX_PAIRS = (() => {
  const pairs = new Uint16Array(256)
  const bytes = new Uint8Array(pairs.buffer)
  for (let value = 0; value < 256; value++) {
    const text = value.toString(16).padStart(2, '0')
    bytes[2 * value] = text.charCodeAt(0)
    bytes[2 * value + 1] = text.charCodeAt(1)
  }
  return pairs
})()

function copyHex(
  values: Uint8Array,
  width: number,
  pickRow: Int32Array,
  pickSlot: Int32Array,
  start: number,
  end: number,
  pairs: Uint16Array,
): void {
  for (let pick = start; pick < end; pick++) {
    const slot = pickSlot[pick]!
    if (slot < 0) continue
    const from = pickRow[pick]! * width
    const to = slot * width
    for (let index = 0; index < width; index++) {
      pairs[to + index] = HEX_PAIRS[values[from + index]!]!
    }
  }
}
