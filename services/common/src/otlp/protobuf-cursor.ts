/**
 * The one source of bytes that the decoders read, and its primitive readers. Positions are plain
 * numbers that callers keep in locals (registers) and get back; what does not fit the return value
 * is left in the fields of `cursor`. A child message is an end position, never a subarray.
 *
 * Nothing here trusts a length: whatever would read past `end` is AppError('malformed_body') with
 * the byte offset. (Protocol Buffers encoding: protobuf.dev/programming-guides/encoding.)
 */
import { AppError } from '../errors.ts'

/** Wire types of the low three bits of a tag. */
const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const GROUP_START = 3
const GROUP_END = 4
const FIXED32 = 5

/** Unknown groups may nest this deep; protobuf's own parsers stop at 100. */
const GROUP_DEPTH_MAX = 64

class ProtobufCursor {
  bytes: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(new ArrayBuffer(0))
  /** Added to positions in error messages: where the source stands in the request. */
  baseOffset = 0
  /** The halves of the last varint. */
  low = 0
  high = 0
  /** Start of the last length-delimited payload. */
  start = 0
}

export const cursor = new ProtobufCursor()

/** Makes `bytes` the source of all readers. */
export function openSource(bytes: Uint8Array, view: DataView, baseOffset: number): void {
  cursor.bytes = bytes
  cursor.view = view
  cursor.baseOffset = baseOffset
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export function malformed(what: string, at: number): never {
  const offset = cursor.baseOffset + at
  throw new AppError('malformed_body', `${what} at byte ${offset}`, { details: { offset } })
}

/** Reads a varint into `cursor.low` and `cursor.high`; returns the position behind it. */
export function readVarint(from: number, end: number): number {
  const bytes = cursor.bytes
  let at = from
  let low = 0
  for (let shift = 0; shift < 28; shift += 7) {
    if (at >= end) malformed('varint cut off', from)
    const byte = bytes[at++]!
    low |= (byte & 0x7f) << shift
    if (byte < 0x80) {
      cursor.low = low
      cursor.high = 0
      return at
    }
  }
  return readLongVarint(from, at, end, low)
}

/** The rest of a varint of more than four bytes. */
function readLongVarint(from: number, rest: number, end: number, lowBits: number): number {
  const bytes = cursor.bytes
  let at = rest
  if (at >= end) malformed('varint cut off', from)
  let byte = bytes[at++]!
  const low = lowBits | ((byte & 0x0f) << 28)
  let high = (byte & 0x7f) >> 4
  for (let shift = 3; byte >= 0x80; shift += 7) {
    if (shift > 31) malformed('varint of more than ten bytes', from)
    if (at >= end) malformed('varint cut off', from)
    byte = bytes[at++]!
    high |= (byte & 0x7f) << shift
  }
  cursor.low = low
  cursor.high = high
  return at
}

/** Reads a tag; returns the position behind it, the tag in `cursor.low`. */
export function readTag(from: number, end: number): number {
  const at = readVarint(from, end)
  if (cursor.high !== 0 || cursor.low >>> 3 === 0) malformed('invalid field tag', from)
  return at
}

/** Reads a length; returns the end of the payload, its start in `cursor.start`. */
export function readLength(from: number, end: number): number {
  const first = from < end ? cursor.bytes[from]! : 0x80
  if (first < 0x80) {
    cursor.start = from + 1
    const stop = from + 1 + first
    if (stop > end) malformed('length past the end', from)
    return stop
  }
  const at = readVarint(from, end)
  const length = cursor.low >>> 0
  if (cursor.high !== 0 || length > end - at) malformed('length past the end', from)
  cursor.start = at
  return at + length
}

/** Skips the value of a field that nobody knows, groups included. */
export function skipValue(tag: number, from: number, end: number): number {
  const wireType = tag & 7
  if (wireType === GROUP_START) return skipGroup(tag, from, end)
  return skipPlainValue(wireType, from, end)
}

function skipPlainValue(wireType: number, from: number, end: number): number {
  switch (wireType) {
    case VARINT:
      return readVarint(from, end)
    case FIXED64:
      return skipFixed(from, end, 8)
    case FIXED32:
      return skipFixed(from, end, 4)
    case BYTES:
      return readLength(from, end)
    default:
      return malformed(wireType === GROUP_END ? 'end of no group' : 'invalid wire type', from)
  }
}

function skipFixed(from: number, end: number, width: number): number {
  if (end - from < width) malformed('fixed-width value cut off', from)
  return from + width
}

function skipGroup(tag: number, from: number, end: number): number {
  const open = [tag >>> 3]
  let at = from
  while (open.length > 0) {
    at = readTag(at, end)
    const inner = cursor.low >>> 0
    if ((inner & 7) === GROUP_START) {
      if (open.length === GROUP_DEPTH_MAX) malformed('groups nested too deep', at)
      open.push(inner >>> 3)
    } else if ((inner & 7) === GROUP_END) {
      if (open.pop() !== inner >>> 3) malformed('end of another group', at)
    } else {
      at = skipPlainValue(inner & 7, at, end)
    }
  }
  return at
}

/** What `skipUnknown` returns when the field is a known one under a tag of odd form. */
export const ODD_TAG = -1

/**
 * Skips a field that a decoder's switch does not know, from its tag on. Tags in their shortest form
 * are unknown when they are not in the switch; a longer form of a number up to `numberMax` may be a
 * known field and gives ODD_TAG.
 */
export function skipUnknown(tagStart: number, end: number, numberMax: number): number {
  const at = readTag(tagStart, end)
  const tag = cursor.low >>> 0
  if (cursor.bytes[tagStart]! >= 0x80 && tag >>> 3 <= numberMax) return ODD_TAG
  return skipValue(tag, at, end)
}

/** A fixed-width value must lie before `end`; returns the position behind it. */
export function fixedEnd(from: number, width: number, end: number): number {
  const stop = from + width
  if (stop > end) malformed('fixed-width value cut off', from)
  return stop
}

/** Whether the length before the payload [start, end), whose tag ends at `tagEnd`, is shortest. */
export function isShortLength(tagEnd: number, start: number, end: number): boolean {
  const length = end - start
  let size = 1
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) size += 1
  return start - tagEnd === size
}
