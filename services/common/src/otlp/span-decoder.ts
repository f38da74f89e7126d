/** A Span into the columns of its batch. Field numbers: proto/opentelemetry/proto/trace/v1. */
import type { BatchBuilder } from '../columnar/batch-builder.ts'
import type { BytesColumn } from '../columnar/bytes-column.ts'
import { LIMITS } from '../limits.ts'
import { decodeAttribute } from './attribute-decoder.ts'
import { Reason, type DecodeTally } from './decode-tally.ts'
import { FieldRun } from './field-run.ts'
import { ItemStatus } from './item-status.ts'
import type { TimeWindow } from './item-times.ts'
import { isTooLong, isValidId } from './log-decoder.ts'
import { EVENT, LINK } from './message-schema.ts'
import {
  ODD_TAG,
  cursor,
  fixedEnd,
  malformed,
  readLength,
  readTag,
  readVarint,
  skipValue,
} from './protobuf-cursor.ts'

const FIELD_NUMBER_MAX = 16
/** fixed32 flags = 16: the only tag of two bytes. */
const FLAGS_TAG = 0x85

/** What the span at hand holds outside its attributes; one object for all of them. */
class SpanFields {
  traceStart = 0
  traceEnd = 0
  spanStart = 0
  spanEnd = 0
  parentStart = 0
  parentEnd = 0
  stateStart = 0
  stateEnd = 0
  nameStart = 0
  nameEnd = 0
  spanKind = 0
  startLow = 0
  startHigh = 0
  endLow = 0
  endHigh = 0
  flags = 0
  droppedAttributes = 0
  droppedEvents = 0
  droppedLinks = 0
  statusStart = -1
  statusEnd = 0
  statusCode = 0
  messageStart = 0
  messageEnd = 0
  readonly events = new FieldRun(EVENT)
  readonly links = new FieldRun(LINK)

  clear(): void {
    this.traceStart = this.traceEnd = 0
    this.spanStart = this.spanEnd = 0
    this.parentStart = this.parentEnd = 0
    this.stateStart = this.stateEnd = 0
    this.nameStart = this.nameEnd = 0
    this.spanKind = 0
    this.startLow = this.startHigh = 0
    this.endLow = this.endHigh = 0
    this.flags = 0
    this.droppedAttributes = this.droppedEvents = this.droppedLinks = 0
    this.statusStart = -1
    this.statusCode = 0
    this.messageStart = this.messageEnd = 0
    this.events.clear()
    this.links.clear()
  }
}

const fields = new SpanFields()

/** Decodes the Span in [start, end) of the source as the next row, as `decodeLogRecord` does. */
export function decodeSpan(
  builder: BatchBuilder,
  start: number,
  end: number,
  window: TimeWindow,
  tally: DecodeTally,
): number {
  const { bytes } = cursor
  const row = builder.rowCount
  let attributeCount = 0
  tally.touched = 0
  fields.clear()
  let at = start
  while (at < end) {
    const tagAt = at
    const tag = bytes[at]!
    if (tag === 0x4a) {
      at = readLength(at + 1, end)
      if (attributeCount === LIMITS.attributesPerItemMax) {
        return ItemStatus.rejected + Reason.tooManyAttributes
      }
      const from = cursor.start
      if (!decodeAttribute(builder.attributes, row, attributeCount, from, at, tally)) {
        return ItemStatus.odd
      }
      attributeCount += 1
      tally.touched = attributeCount
    } else if (tag === 0x5a) {
      at = readLength(at + 1, end)
      if (!fields.events.extend(tagAt, at, tally)) return ItemStatus.odd
    } else if (tag === 0x6a) {
      at = readLength(at + 1, end)
      if (!fields.links.extend(tagAt, at, tally)) return ItemStatus.odd
    } else {
      at = readField(tag, at, end)
      if (at < 0) return ItemStatus.odd
    }
  }
  tally.valueCount += attributeCount
  if (fields.statusStart >= 0) readStatus(fields.statusStart, fields.statusEnd)
  if (!hasValidIds()) return ItemStatus.rejected + Reason.invalidIds
  const reason = window.admit(fields.startLow, fields.startHigh, tally)
  if (reason !== Reason.none) return ItemStatus.rejected + reason
  tally.isRemovable = true
  return storeSpan(builder, row) ? ItemStatus.stored : ItemStatus.odd
}

/** A field that is no list, from its tag on; returns the position behind it or ODD_TAG. */
function readField(tag: number, from: number, end: number): number {
  const { view } = cursor
  let at = from + 1
  switch (tag) {
    case 0x0a:
      fields.traceEnd = at = readLength(at, end)
      fields.traceStart = cursor.start
      return at
    case 0x12:
      fields.spanEnd = at = readLength(at, end)
      fields.spanStart = cursor.start
      return at
    case 0x1a:
      fields.stateEnd = at = readLength(at, end)
      fields.stateStart = cursor.start
      return at
    case 0x22:
      fields.parentEnd = at = readLength(at, end)
      fields.parentStart = cursor.start
      return at
    case 0x2a:
      fields.nameEnd = at = readLength(at, end)
      fields.nameStart = cursor.start
      return at
    case 0x30:
      at = readVarint(at, end)
      fields.spanKind = cursor.low
      return at
    case 0x39:
      at = fixedEnd(at, 8, end)
      fields.startLow = view.getInt32(at - 8, true)
      fields.startHigh = view.getInt32(at - 4, true)
      return at
    case 0x41:
      at = fixedEnd(at, 8, end)
      fields.endLow = view.getInt32(at - 8, true)
      fields.endHigh = view.getInt32(at - 4, true)
      return at
    case 0x50:
      at = readVarint(at, end)
      fields.droppedAttributes = cursor.low
      return at
    case 0x60:
      at = readVarint(at, end)
      fields.droppedEvents = cursor.low
      return at
    case 0x70:
      at = readVarint(at, end)
      fields.droppedLinks = cursor.low
      return at
    case 0x7a:
      if (fields.statusStart >= 0) return ODD_TAG
      fields.statusEnd = at = readLength(at, end)
      fields.statusStart = cursor.start
      return at
    default:
      return readLongTag(tag, from, end)
  }
}

/** `flags`, or a field that is not known. */
function readLongTag(tag: number, from: number, end: number): number {
  const at = readTag(from, end)
  const wholeTag = cursor.low >>> 0
  if (tag === FLAGS_TAG && wholeTag === FLAGS_TAG && at === from + 2) {
    fields.flags = cursor.view.getInt32(fixedEnd(at, 4, end) - 4, true)
    return at + 4
  }
  if (tag >= 0x80 && wholeTag >>> 3 <= FIELD_NUMBER_MAX) return ODD_TAG
  return skipValue(wholeTag, at, end)
}

function readStatus(start: number, end: number): void {
  let at = start
  while (at < end) {
    at = readTag(at, end)
    const tag = cursor.low >>> 0
    if (tag === 0x12) {
      fields.messageEnd = at = readLength(at, end)
      fields.messageStart = cursor.start
    } else if (tag === 0x18) {
      at = readVarint(at, end)
      fields.statusCode = cursor.low
    } else {
      at = skipValue(tag, at, end)
    }
  }
  if (at !== end) malformed('status past its end', start)
}

/** The parent's id may be absent or, as some clients say "none", all zero. */
function hasValidIds(): boolean {
  const parentBytes = fields.parentEnd - fields.parentStart
  if (parentBytes !== 0 && parentBytes !== 8) return false
  return (
    isValidId(fields.traceStart, fields.traceEnd, 16) &&
    isValidId(fields.spanStart, fields.spanEnd, 8)
  )
}

function storeSpan(builder: BatchBuilder, row: number): boolean {
  const { view } = cursor
  const columns = builder.spans
  columns.traceId.append(row, view, fields.traceStart)
  columns.spanId.append(row, view, fields.spanStart)
  if (isValidId(fields.parentStart, fields.parentEnd, 8)) {
    columns.parentSpanId.append(row, view, fields.parentStart)
  }
  if (!storeString(columns.traceState, row, fields.stateStart, fields.stateEnd)) return false
  if (fields.flags !== 0) columns.flags.append(row, fields.flags)
  if (!storeString(columns.spanName, row, fields.nameStart, fields.nameEnd)) return false
  if (fields.spanKind !== 0) columns.spanKind.append(row, fields.spanKind)
  columns.startTime.append(row, fields.startLow, fields.startHigh)
  if (fields.endLow !== 0 || fields.endHigh !== 0) {
    columns.endTime.append(row, fields.endLow, fields.endHigh)
  }
  if (fields.droppedAttributes !== 0) {
    columns.droppedAttributesCount.append(row, fields.droppedAttributes)
  }
  if (fields.droppedEvents !== 0) columns.droppedEventsCount.append(row, fields.droppedEvents)
  if (fields.droppedLinks !== 0) columns.droppedLinksCount.append(row, fields.droppedLinks)
  if (fields.statusCode !== 0) columns.statusCode.append(row, fields.statusCode)
  if (!storeString(columns.statusMessage, row, fields.messageStart, fields.messageEnd)) return false
  storeRun(columns.events, row, fields.events)
  storeRun(columns.links, row, fields.links)
  return true
}

/** A string of the source where it is not empty; false when it is odd. */
function storeString(column: BytesColumn, row: number, start: number, end: number): boolean {
  if (start === end) return true
  if (isTooLong(start, end)) return false
  return column.append(row, cursor.bytes, cursor.view, start, end, true)
}

function storeRun(column: BytesColumn, row: number, run: FieldRun): void {
  if (run.start < 0) return
  column.append(row, cursor.bytes, cursor.view, run.start, run.end, false)
}
