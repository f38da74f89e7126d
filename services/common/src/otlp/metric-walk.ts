/**
 * The Metric message at hand: its header, which every point of it repeats, and where its next data
 * point stands. A Metric may hold its data in several pieces that merge, the last member of the
 * oneof wins; so the header is read to the end before the first point.
 */
import { isValidUtf8 } from '../columnar/byte-kernels.ts'
import { LIMITS } from '../limits.ts'
import { Reason, type DecodeTally } from './decode-tally.ts'
import { isNormalKeyValues } from './message-check.ts'
import { METRIC_HEADER } from './message-schema.ts'
import { normalizeMessage } from './message-normalizer.ts'
import {
  cursor,
  isShortLength,
  openSource,
  readLength,
  readTag,
  readVarint,
  skipValue,
  viewOf,
} from './protobuf-cursor.ts'
import { ProtobufWriter } from './protobuf-writer.ts'

/** Field numbers of the data in `Metric`, as they stand in `metric_type`. */
export const MetricType = {
  none: 0,
  gauge: 5,
  sum: 7,
  histogram: 9,
  exponentialHistogram: 10,
  summary: 11,
} as const

const NAME_TAG = 0x0a
const DESCRIPTION_TAG = 0x12
const UNIT_TAG = 0x1a
const METADATA_TAG = 0x62
const POINT_TAG = 0x0a
const TEMPORALITY_TAG = 0x10
const MONOTONIC_TAG = 0x18

export class MetricWalk {
  isOpen = false
  /** Whether an item of it was taken into a chunk. */
  hasItems = false
  reason: Reason = Reason.none
  type = 0
  temporality = 0
  isMonotonic = false
  /** Where the strings below stand: the body, or the normalized header. */
  bytes: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(new ArrayBuffer(0))
  nameStart = 0
  nameEnd = 0
  descriptionStart = 0
  descriptionEnd = 0
  unitStart = 0
  unitEnd = 0
  /** All metadata fields with their tags. */
  metadataStart = 0
  metadataEnd = 0
  /** End of the Metric message. */
  end = 0
  /** Where the item begins in the body: for a first point, the metric's tag. */
  itemFrom = 0
  pointStart = 0
  pointEnd = 0
  #at = 0
  #dataEnd = -1

  /** Opens the Metric with its tag at `from` and its message in [start, end) of the source. */
  open(from: number, start: number, end: number, scopeReason: Reason, tally: DecodeTally): void {
    this.isOpen = true
    this.hasItems = false
    this.reason = scopeReason
    this.end = end
    this.itemFrom = from
    this.bytes = cursor.bytes
    this.view = cursor.view
    this.#at = start
    this.#dataEnd = -1
    const isPlain = this.#readHeader(start, end, tally)
    this.#findData(start, end)
    if (!isPlain && scopeReason === Reason.none) this.#normalizeHeader(start, end, tally)
    const headerBytes =
      this.nameEnd -
      this.nameStart +
      this.metadataEnd -
      this.metadataStart +
      this.descriptionEnd -
      this.descriptionStart
    if (headerBytes > LIMITS.itemBytesMax) this.reason ||= Reason.invalidMetric
  }

  close(): void {
    this.isOpen = false
    this.hasItems = false
  }

  /** Goes to the next data point; false when there is none. */
  nextPoint(): boolean {
    if (this.type === MetricType.none) return false
    const isFirst = !this.hasItems
    for (;;) {
      const isInside = this.#dataEnd >= 0
      const end = isInside ? this.#dataEnd : this.end
      const wanted = isInside ? POINT_TAG : this.type * 8 + 2
      const tagAt = this.#find(wanted, end)
      if (tagAt >= 0 && isInside) {
        if (!isFirst) this.itemFrom = tagAt
        this.pointStart = cursor.start
        this.pointEnd = this.#at
        return true
      }
      if (tagAt >= 0) {
        this.#dataEnd = this.#at
        this.#at = cursor.start
      } else if (isInside) {
        this.#dataEnd = -1
      } else {
        return false
      }
    }
  }

  /** What tells the points of this metric from others, while a chunk may end between them. */
  openIdentity(): Uint8Array | undefined {
    if (!this.isOpen || !this.hasItems) return undefined
    const writer = new ProtobufWriter()
    writer.bytesField(1, this.bytes.subarray(this.nameStart, this.nameEnd))
    writer.bytesField(2, this.bytes.subarray(this.descriptionStart, this.descriptionEnd))
    writer.bytesField(3, this.bytes.subarray(this.unitStart, this.unitEnd))
    writer.bytesField(12, this.bytes.subarray(this.metadataStart, this.metadataEnd))
    writer.byte(this.type)
    writer.varint(this.temporality)
    writer.byte(this.isMonotonic ? 1 : 0)
    return writer.take()
  }

  /** Moves behind the next field with this tag; returns where the tag stands, or -1. */
  #find(wanted: number, end: number): number {
    let at = this.#at
    while (at < end) {
      const tagAt = at
      at = readTag(at, end)
      const tag = cursor.low >>> 0
      if (tag === wanted) {
        this.#at = readLength(at, end)
        return tagAt
      }
      at = skipValue(tag, at, end)
    }
    this.#at = at
    return -1
  }

  /** Reads the header fields in [start, end) of the source; false when they are odd. */
  #readHeader(start: number, end: number, tally: DecodeTally): boolean {
    this.nameStart = this.nameEnd = 0
    this.descriptionStart = this.descriptionEnd = 0
    this.unitStart = this.unitEnd = 0
    this.metadataStart = this.metadataEnd = 0
    let isPlain = true
    let at = start
    while (at < end) {
      const tagAt = at
      at = readTag(at, end)
      const tag = cursor.low >>> 0
      switch (tag) {
        case NAME_TAG:
          this.nameEnd = at = readLength(at, end)
          this.nameStart = cursor.start
          break
        case DESCRIPTION_TAG:
          this.descriptionEnd = at = readLength(at, end)
          this.descriptionStart = cursor.start
          break
        case UNIT_TAG:
          this.unitEnd = at = readLength(at, end)
          this.unitStart = cursor.start
          break
        case METADATA_TAG:
          at = readLength(at, end)
          isPlain &&= isShortLength(tagAt + 1, cursor.start, at)
          if (this.metadataEnd === 0) this.metadataStart = tagAt
          else if (this.metadataEnd !== tagAt) isPlain = false
          this.metadataEnd = at
          break
        default:
          at = skipValue(tag, at, end)
      }
    }
    if (!isPlain || !this.#areStringsPlain()) return false
    if (this.metadataEnd === 0) return true
    const { valueCount } = tally
    const { metadataStart, metadataEnd } = this
    const isNormal = isNormalKeyValues(METADATA_TAG, metadataStart, metadataEnd, tally)
    tally.valueCount = valueCount
    return isNormal
  }

  #areStringsPlain(): boolean {
    return (
      isPlainString(this.nameStart, this.nameEnd) &&
      isPlainString(this.descriptionStart, this.descriptionEnd) &&
      isPlainString(this.unitStart, this.unitEnd)
    )
  }

  #normalizeHeader(start: number, end: number, tally: DecodeTally): void {
    const { bytes, view, baseOffset } = cursor
    const { valueCount } = tally
    const message = bytes.subarray(start, end)
    const header = normalizeMessage(METRIC_HEADER, message, baseOffset + start, tally)
    this.bytes = header.bytes
    this.view = viewOf(header.bytes)
    if (header.reason !== Reason.none) {
      this.reason = Reason.invalidMetric
    } else {
      openSource(this.bytes, this.view, baseOffset + start)
      this.#readHeader(0, header.bytes.length, tally)
      openSource(bytes, view, baseOffset)
    }
    tally.valueCount = valueCount
  }

  /** Finds which data the metric holds, where it begins, and its scalars. */
  #findData(start: number, end: number): void {
    this.type = MetricType.none
    let at = start
    while (at < end) {
      const tagAt = at
      at = readTag(at, end)
      const tag = cursor.low >>> 0
      if (!isDataTag(tag)) {
        at = skipValue(tag, at, end)
        continue
      }
      at = readLength(at, end)
      if (tag >>> 3 !== this.type) {
        this.type = tag >>> 3
        this.temporality = 0
        this.isMonotonic = false
        this.#at = tagAt
      }
      this.#readScalars(cursor.start, at)
    }
  }

  #readScalars(start: number, end: number): void {
    const hasTemporality = this.type !== MetricType.gauge && this.type !== MetricType.summary
    let at = start
    while (at < end) {
      at = readTag(at, end)
      const tag = cursor.low >>> 0
      if (tag === TEMPORALITY_TAG && hasTemporality) {
        at = readVarint(at, end)
        this.temporality = cursor.low
      } else if (tag === MONOTONIC_TAG && this.type === MetricType.sum) {
        at = readVarint(at, end)
        this.isMonotonic = (cursor.low | cursor.high) !== 0
      } else {
        at = skipValue(tag, at, end)
      }
    }
  }
}

function isDataTag(tag: number): boolean {
  return tag === 0x2a || tag === 0x3a || tag === 0x4a || tag === 0x52 || tag === 0x5a
}

/** Whether [start, end) of the source can be stored as it is. */
function isPlainString(start: number, end: number): boolean {
  if (end - start > LIMITS.stringValueBytesMax) return false
  return isValidUtf8(cursor.bytes, cursor.view, start, end)
}
