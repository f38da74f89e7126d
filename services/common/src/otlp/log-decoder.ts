/** A LogRecord into the columns of its batch. Field numbers: proto/opentelemetry/proto/logs/v1. */
import type { BatchBuilder } from '../columnar/batch-builder.ts'
import { LIMITS } from '../limits.ts'
import { decodeAttribute } from './attribute-decoder.ts'
import { Reason, type DecodeTally } from './decode-tally.ts'
import { ItemStatus } from './item-status.ts'
import { hasSubSecondPart, type TimeWindow } from './item-times.ts'
import { isNormalMessage } from './message-check.ts'
import { ANY_VALUE } from './message-schema.ts'
import { cursor, fixedEnd, readLength, readVarint, skipUnknown } from './protobuf-cursor.ts'

const FIELD_NUMBER_MAX = 12

/**
 * Decodes the LogRecord in [start, end) of the source as the next row; an `ItemStatus`. The caller
 * counts the row or undoes its values.
 */
export function decodeLogRecord(
  builder: BatchBuilder,
  start: number,
  end: number,
  window: TimeWindow,
  tally: DecodeTally,
): number {
  const { bytes, view } = cursor
  const columns = builder.logs
  const row = builder.rowCount
  let timeLow = 0
  let timeHigh = 0
  let observedLow = 0
  let observedHigh = 0
  let severityNumber = 0
  let severityStart = 0
  let severityEnd = 0
  let bodyStart = -1
  let bodyEnd = 0
  let droppedAttributesCount = 0
  let flags = 0
  let traceStart = 0
  let traceEnd = 0
  let spanStart = 0
  let spanEnd = 0
  let eventStart = 0
  let eventEnd = 0
  let attributeCount = 0
  tally.touched = 0
  let at = start
  while (at < end) {
    switch (bytes[at++]) {
      case 0x09: {
        const stop = fixedEnd(at, 8, end)
        timeLow = view.getInt32(at, true)
        timeHigh = view.getInt32(at + 4, true)
        at = stop
        break
      }
      case 0x59: {
        const stop = fixedEnd(at, 8, end)
        observedLow = view.getInt32(at, true)
        observedHigh = view.getInt32(at + 4, true)
        at = stop
        break
      }
      case 0x10:
        at = readVarint(at, end)
        severityNumber = cursor.low
        break
      case 0x1a:
        severityEnd = at = readLength(at, end)
        severityStart = cursor.start
        break
      case 0x2a:
        if (bodyStart >= 0) return ItemStatus.odd
        bodyEnd = at = readLength(at, end)
        bodyStart = cursor.start
        break
      case 0x32: {
        at = readLength(at, end)
        if (attributeCount === LIMITS.attributesPerItemMax) {
          return ItemStatus.rejected + Reason.tooManyAttributes
        }
        const isPlain = decodeAttribute(
          builder.attributes,
          row,
          attributeCount,
          cursor.start,
          at,
          tally,
        )
        if (!isPlain) return ItemStatus.odd
        attributeCount += 1
        tally.touched = attributeCount
        break
      }
      case 0x38:
        at = readVarint(at, end)
        droppedAttributesCount = cursor.low
        break
      case 0x45: {
        const stop = fixedEnd(at, 4, end)
        flags = view.getInt32(at, true)
        at = stop
        break
      }
      case 0x4a:
        traceEnd = at = readLength(at, end)
        traceStart = cursor.start
        break
      case 0x52:
        spanEnd = at = readLength(at, end)
        spanStart = cursor.start
        break
      case 0x62:
        eventEnd = at = readLength(at, end)
        eventStart = cursor.start
        break
      default:
        at = skipUnknown(at - 1, end, FIELD_NUMBER_MAX)
        if (at < 0) return ItemStatus.odd
    }
  }
  tally.valueCount += attributeCount
  const hasTime = timeLow !== 0 || timeHigh !== 0
  const effectiveLow = hasTime ? timeLow : observedLow
  const effectiveHigh = hasTime ? timeHigh : observedHigh
  const reason = window.admit(effectiveLow, effectiveHigh, tally)
  if (reason !== Reason.none) return ItemStatus.rejected + reason

  columns.time.append(row, timeLow, timeHigh)
  if (observedLow !== 0 || observedHigh !== 0) {
    columns.observedTime.append(row, observedLow, observedHigh)
  }
  if (severityNumber !== 0) columns.severityNumber.append(row, severityNumber)
  if (severityEnd > severityStart) {
    const column = columns.severityText
    if (isTooLong(severityStart, severityEnd)) return ItemStatus.odd
    if (!column.append(row, bytes, view, severityStart, severityEnd, true)) return ItemStatus.odd
  }
  if (bodyStart >= 0 && !decodeBody(builder, row, bodyStart, bodyEnd, tally)) return ItemStatus.odd
  const hasTrace = isValidId(traceStart, traceEnd, 16)
  const hasSpan = isValidId(spanStart, spanEnd, 8)
  if (hasTrace) columns.traceId.append(row, view, traceStart)
  else if (traceEnd > traceStart) tally.invalidIds += 1
  if (hasSpan) columns.spanId.append(row, view, spanStart)
  else if (spanEnd > spanStart) tally.invalidIds += 1
  if (flags !== 0) columns.flags.append(row, flags)
  if (eventEnd > eventStart) {
    const column = columns.eventName
    if (isTooLong(eventStart, eventEnd)) return ItemStatus.odd
    if (!column.append(row, bytes, view, eventStart, eventEnd, true)) return ItemStatus.odd
  }
  if (droppedAttributesCount !== 0) {
    columns.droppedAttributesCount.append(row, droppedAttributesCount)
  }
  tally.isRemovable = (hasTrace && hasSpan) || hasSubSecondPart(effectiveLow, effectiveHigh)
  return ItemStatus.stored
}

/** The body in [start, end), an AnyValue; false when it is odd. */
function decodeBody(
  builder: BatchBuilder,
  row: number,
  start: number,
  end: number,
  tally: DecodeTally,
): boolean {
  const { bytes, view } = cursor
  const columns = builder.logs
  if (start < end && bytes[start] === 0x0a) {
    if (readLength(start + 1, end) !== end) return false
    const from = cursor.start
    if (isTooLong(from, end)) return false
    return columns.bodyString.append(row, bytes, view, from, end, true)
  }
  if (!isNormalMessage(ANY_VALUE, start, end, 0, tally)) return false
  return columns.bodyAny.append(row, bytes, view, start, end, false)
}

export function isTooLong(start: number, end: number): boolean {
  return end - start > LIMITS.stringValueBytesMax
}

/** Whether [start, end) of the source has `width` bytes (8 or 16) that are not all zero. */
export function isValidId(start: number, end: number, width: number): boolean {
  if (end - start !== width) return false
  const { view } = cursor
  let bits = view.getInt32(start, true) | view.getInt32(start + 4, true)
  if (width === 16) bits |= view.getInt32(start + 8, true) | view.getInt32(start + 12, true)
  return bits !== 0
}
