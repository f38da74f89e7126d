/**
 * Event times of a table's rows as unsigned 64-bit nanoseconds in two halves: no BigInt is made
 * per row, and OTLP's full unsigned range (beyond 2262) keeps its order.
 */
import type { SignalName } from '@tributary/common/signal'
import type { SourceBatch } from './source-table.ts'
import { EVENT_TIME_COLUMN } from './table-columns.ts'

/** Where a row's `timestamp` comes from; the index into TIMESTAMP_SOURCES. */
export const TIMESTAMP_SOURCES = ['event', 'observed', 'arrival'] as const
const EVENT = 0
const OBSERVED = 1
const ARRIVAL = 2

export interface RowTimes {
  readonly high: Uint32Array
  readonly low: Uint32Array
  /** Index into TIMESTAMP_SOURCES per row. */
  readonly source: Uint8Array
}

/** Times of all rows of a table: event time, else observed time, else the batch's arrival. */
export function readRowTimes(
  batches: readonly SourceBatch[],
  rowCount: number,
  signal: SignalName,
): RowTimes {
  const times: RowTimes = {
    high: new Uint32Array(rowCount),
    low: new Uint32Array(rowCount),
    source: new Uint8Array(rowCount),
  }
  for (const batch of batches) {
    const event = batch.view.column(EVENT_TIME_COLUMN[signal])
    const observed = signal === 'logs' ? batch.view.column('observed_time_unix_nano') : undefined
    fillTimes(
      times,
      batch.rowBase,
      batch.view.rowCount,
      event === undefined ? undefined : halvesOf(event.values),
      observed === undefined ? undefined : halvesOf(observed.values),
      batch.arrivalHigh,
      batch.arrivalLow,
    )
  }
  return times
}

/** The two halves of each 64-bit value: element 2i is the low half, 2i + 1 the high one. */
function halvesOf(values: Uint8Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.byteLength >>> 2)
}

function fillTimes(
  times: RowTimes,
  rowBase: number,
  rowCount: number,
  event: Uint32Array | undefined,
  observed: Uint32Array | undefined,
  arrivalHigh: number,
  arrivalLow: number,
): void {
  const { high, low, source } = times
  for (let row = 0; row < rowCount; row++) {
    const at = rowBase + row
    let lowHalf = event === undefined ? 0 : event[2 * row]!
    let highHalf = event === undefined ? 0 : event[2 * row + 1]!
    let from: number = EVENT
    if (lowHalf === 0 && highHalf === 0 && observed !== undefined) {
      lowHalf = observed[2 * row]!
      highHalf = observed[2 * row + 1]!
      from = OBSERVED
    }
    if (lowHalf === 0 && highHalf === 0) {
      lowHalf = arrivalLow
      highHalf = arrivalHigh
      from = ARRIVAL
    }
    low[at] = lowHalf
    high[at] = highHalf
    source[at] = from
  }
}

/** The rows with the least and the greatest time among rows[start] to rows[end - 1], at least one. */
export function timeRange(
  rows: Int32Array,
  start: number,
  end: number,
  { high, low }: RowTimes,
): { readonly least: number; readonly greatest: number } {
  let least = rows[start]!
  let greatest = least
  for (let index = start + 1; index < end; index++) {
    const row = rows[index]!
    if (isEarlier(high, low, row, least)) least = row
    else if (isEarlier(high, low, greatest, row)) greatest = row
  }
  return { least, greatest }
}

function isEarlier(high: Uint32Array, low: Uint32Array, left: number, right: number): boolean {
  return high[left] === high[right] ? low[left]! < low[right]! : high[left]! < high[right]!
}

/** 2^32, the weight of a high half. */
const WEIGHT = 4_294_967_296

/**
 * Splits nanoseconds into microseconds (64 bits as two halves) and the 0-999 below them.
 * Exact over the whole unsigned range: every intermediate stays below 2^53.
 */
export function splitMicros(
  high: Uint32Array,
  low: Uint32Array,
  count: number,
  microsHalves: Int32Array,
  nanos: Int32Array,
): void {
  for (let index = 0; index < count; index++) {
    const highHalf = high[index]!
    const quotientHigh = Math.floor(highHalf / 1000)
    const rest = (highHalf - quotientHigh * 1000) * WEIGHT + low[index]!
    const quotientLow = Math.floor(rest / 1000)
    microsHalves[2 * index] = quotientLow | 0
    microsHalves[2 * index + 1] = quotientHigh
    nanos[index] = rest - quotientLow * 1000
  }
}

const MICROS_PER_MILLI = 1000
const MILLIS_PER_HOUR = 3_600_000

/** Hours since 1970 of a nanosecond time. */
export function hourOf(high: number, low: number): number {
  const microsHigh = Math.floor(high / 1000)
  const microsLow = Math.floor(((high - microsHigh * 1000) * WEIGHT + low) / 1000)
  const millisHigh = Math.floor(microsHigh / MICROS_PER_MILLI)
  const millisRest = (microsHigh - millisHigh * MICROS_PER_MILLI) * WEIGHT + microsLow
  const millis = millisHigh * WEIGHT + Math.floor(millisRest / MICROS_PER_MILLI)
  return Math.floor(millis / MILLIS_PER_HOUR)
}
