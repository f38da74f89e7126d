/** The fields of NumberDataPoint and SummaryDataPoint, one at a time, into `point`. */
import { ValueType, point } from './data-point.ts'
import type { DecodeTally } from './decode-tally.ts'
import {
  ODD_TAG,
  cursor,
  fixedEnd,
  readLength,
  readVarint,
  skipUnknown,
} from './protobuf-cursor.ts'

const FIELD_NUMBER_MAX = 8

/** The field from its tag on; returns the position behind it or ODD_TAG. */
export function readNumberField(
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
    case 0x31:
      at = fixedEnd(at, 8, end)
      point.valueType = tag === 0x21 ? ValueType.double : ValueType.int
      point.valueLow = cursor.view.getInt32(at - 8, true)
      point.valueHigh = cursor.view.getInt32(at - 4, true)
      return at
    case 0x2a:
      at = readLength(at, end)
      return point.exemplars.extend(from, at, tally) ? at : ODD_TAG
    case 0x40:
      at = readVarint(at, end)
      point.flags = cursor.low
      return at
    default:
      return skipUnknown(from, end, FIELD_NUMBER_MAX)
  }
}

export function readSummaryField(
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
      at = readSum(at, end)
      // Not `optional` here: 0 is absent, -0.0 is not 0.
      point.hasSum = (point.sumLow | point.sumHigh) !== 0
      return at
    case 0x32:
      at = readLength(at, end)
      return point.quantiles.extend(from, at, tally) ? at : ODD_TAG
    case 0x40:
      at = readVarint(at, end)
      point.flags = cursor.low
      return at
    default:
      return skipUnknown(from, end, FIELD_NUMBER_MAX)
  }
}

export function readStart(from: number, end: number): number {
  const at = fixedEnd(from, 8, end)
  point.startLow = cursor.view.getInt32(from, true)
  point.startHigh = cursor.view.getInt32(from + 4, true)
  return at
}

export function readTime(from: number, end: number): number {
  const at = fixedEnd(from, 8, end)
  point.timeLow = cursor.view.getInt32(from, true)
  point.timeHigh = cursor.view.getInt32(from + 4, true)
  return at
}

export function readCount(from: number, end: number): number {
  const at = fixedEnd(from, 8, end)
  point.countLow = cursor.view.getInt32(from, true)
  point.countHigh = cursor.view.getInt32(from + 4, true)
  return at
}

export function readSum(from: number, end: number): number {
  const at = fixedEnd(from, 8, end)
  point.hasSum = true
  point.sumLow = cursor.view.getInt32(from, true)
  point.sumHigh = cursor.view.getInt32(from + 4, true)
  return at
}

export function readMin(from: number, end: number): number {
  const at = fixedEnd(from, 8, end)
  point.hasMin = true
  point.minLow = cursor.view.getInt32(from, true)
  point.minHigh = cursor.view.getInt32(from + 4, true)
  return at
}

export function readMax(from: number, end: number): number {
  const at = fixedEnd(from, 8, end)
  point.hasMax = true
  point.maxLow = cursor.view.getInt32(from, true)
  point.maxHigh = cursor.view.getInt32(from + 4, true)
  return at
}
