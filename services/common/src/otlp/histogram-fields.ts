/**
 * The fields of HistogramDataPoint and ExponentialHistogramDataPoint, one at a time, into `point`;
 * the values of their lists go straight into the list columns, which close them when the point is
 * stored.
 */
import type { ListColumn } from '../columnar/fixed-columns.ts'
import type { MetricColumns } from '../columnar/metric-columns.ts'
import { point } from './data-point.ts'
import type { DecodeTally } from './decode-tally.ts'
import { readCount, readMax, readMin, readStart, readSum, readTime } from './number-fields.ts'
import {
  ODD_TAG,
  cursor,
  fixedEnd,
  malformed,
  readLength,
  readTag,
  readVarint,
  skipUnknown,
  skipValue,
} from './protobuf-cursor.ts'

const HISTOGRAM_FIELD_MAX = 12
const EXPONENTIAL_FIELD_MAX = 14

/** The field from its tag on; returns the position behind it or ODD_TAG. */
export function readHistogramField(
  columns: MetricColumns,
  tag: number,
  from: number,
  end: number,
  tally: DecodeTally,
): number {
  let at = from + 1
  switch (tag) {
    case 0x11:
      return readStart(at, end)
    case 0x19:
      return readTime(at, end)
    case 0x21:
      return readCount(at, end)
    case 0x29:
      return readSum(at, end)
    case 0x31:
    case 0x32:
      at = tag === 0x32 ? readLength(at, end) : pointAtFixed(at, end)
      point.bucketCount = pushFixed64(columns.bucketCounts, point.bucketCount, at)
      return at
    case 0x39:
    case 0x3a:
      at = tag === 0x3a ? readLength(at, end) : pointAtFixed(at, end)
      point.boundCount = pushFixed64(columns.explicitBounds, point.boundCount, at)
      return at
    case 0x42:
      at = readLength(at, end)
      return point.exemplars.extend(from, at, tally) ? at : ODD_TAG
    case 0x50:
      at = readVarint(at, end)
      point.flags = cursor.low
      return at
    case 0x59:
      return readMin(at, end)
    case 0x61:
      return readMax(at, end)
    default:
      return skipUnknown(from, end, HISTOGRAM_FIELD_MAX)
  }
}

/** A single fixed-width value as a payload of eight bytes. */
function pointAtFixed(from: number, end: number): number {
  cursor.start = from
  return fixedEnd(from, 8, end)
}

/** Pushes the values from `cursor.start` to `stop` behind `count` others; the new count. */
function pushFixed64(column: ListColumn, count: number, stop: number): number {
  const { view, start } = cursor
  if (((stop - start) & 7) !== 0) malformed('packed values cut off', start)
  let index = count
  for (let at = start; at < stop; at += 8) {
    column.push(index, view.getInt32(at, true), view.getInt32(at + 4, true))
    index += 1
  }
  return index
}

export function readExponentialField(
  columns: MetricColumns,
  tag: number,
  from: number,
  end: number,
  tally: DecodeTally,
): number {
  let at = from + 1
  switch (tag) {
    case 0x11:
      return readStart(at, end)
    case 0x19:
      return readTime(at, end)
    case 0x21:
      return readCount(at, end)
    case 0x29:
      return readSum(at, end)
    case 0x30:
      at = readVarint(at, end)
      point.scale = unZigzag(cursor.low)
      return at
    case 0x39:
      at = fixedEnd(at, 8, end)
      point.zeroCountLow = cursor.view.getInt32(at - 8, true)
      point.zeroCountHigh = cursor.view.getInt32(at - 4, true)
      return at
    case 0x42:
      if (point.hasPositive) return ODD_TAG
      at = readLength(at, end)
      point.hasPositive = true
      point.positiveCount = readBuckets(columns.positiveBucketCounts, cursor.start, at)
      point.positiveOffset = bucketsOffset
      return at
    case 0x4a:
      if (point.hasNegative) return ODD_TAG
      at = readLength(at, end)
      point.hasNegative = true
      point.negativeCount = readBuckets(columns.negativeBucketCounts, cursor.start, at)
      point.negativeOffset = bucketsOffset
      return at
    case 0x50:
      at = readVarint(at, end)
      point.flags = cursor.low
      return at
    case 0x5a:
      at = readLength(at, end)
      return point.exemplars.extend(from, at, tally) ? at : ODD_TAG
    case 0x61:
      return readMin(at, end)
    case 0x69:
      return readMax(at, end)
    case 0x71:
      at = fixedEnd(at, 8, end)
      point.zeroThresholdLow = cursor.view.getInt32(at - 8, true)
      point.zeroThresholdHigh = cursor.view.getInt32(at - 4, true)
      return at
    default:
      return skipUnknown(from, end, EXPONENTIAL_FIELD_MAX)
  }
}

/** The offset of the Buckets that `readBuckets` read last. */
let bucketsOffset = 0

/** Pushes the counts of the Buckets message in [start, end); how many. */
function readBuckets(column: ListColumn, start: number, end: number): number {
  bucketsOffset = 0
  let count = 0
  let at = start
  while (at < end) {
    at = readTag(at, end)
    const tag = cursor.low >>> 0
    if (tag === 0x08) {
      at = readVarint(at, end)
      bucketsOffset = unZigzag(cursor.low)
    } else if (tag === 0x10) {
      at = readVarint(at, end)
      column.push(count++, cursor.low, cursor.high)
    } else if (tag === 0x12) {
      const stop = readLength(at, end)
      at = cursor.start
      while (at < stop) {
        at = readVarint(at, stop)
        column.push(count++, cursor.low, cursor.high)
      }
    } else {
      at = skipValue(tag, at, end)
    }
  }
  return count
}

function unZigzag(value: number): number {
  return (value >>> 1) ^ -(value & 1)
}
