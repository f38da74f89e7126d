/**
 * Appends AnyValue messages as typed JSON (docs/format/typed-json.md): the kernels of the flush.
 *
 * Input is protobuf that the door has normalized, so a malformed message is a broken invariant.
 * They recurse as deep as the value does, which LIMITS.anyValueDepthMax bounds at the door.
 */
import assert from 'node:assert/strict'

import type { OutputBuffer } from './output-buffer.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const AT_SIGN = 0x40
const BACKSLASH = 0x5c

const HEX_DIGITS = Buffer.from('0123456789abcdef')
const BASE64_DIGITS = Buffer.from(
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
)
/** Short escapes of JSON by the byte they stand for; 0: none. */
const SHORT_ESCAPES = new Uint8Array(256)
for (const [byte, letter] of [
  [0x08, 'b'],
  [0x09, 't'],
  [0x0a, 'n'],
  [0x0c, 'f'],
  [0x0d, 'r'],
  [QUOTE, '"'],
  [BACKSLASH, '\\'],
] as const) {
  SHORT_ESCAPES[byte] = letter.charCodeAt(0)
}

const doubleBits = new DataView(new ArrayBuffer(8))

/** Position behind the varint or tag that was read last; its value is returned. */
let cursor = 0
/** High half of the 64-bit varint read last. */
let highHalf = 0

function readVarint(bytes: Uint8Array, start: number): number {
  let at = start
  let byte = bytes[at++]!
  if (byte < 0x80) {
    cursor = at
    highHalf = 0
    return byte
  }
  let low = byte & 0x7f
  let high = 0
  for (let shift = 7; byte >= 0x80; shift += 7) {
    assert(shift < 70 && at < bytes.length, 'a varint of a normalized message ends')
    byte = bytes[at++]!
    const part = byte & 0x7f
    if (shift < 28) low |= part << shift
    else if (shift === 28) {
      low |= part << 28
      high |= part >>> 4
    } else high |= part << (shift - 32)
  }
  cursor = at
  highHalf = high >>> 0
  return low >>> 0
}

/** Sets `cursor` behind the field's value whose tag was just read. */
function skipValue(bytes: Uint8Array, tag: number): void {
  const wireType = tag & 7
  if (wireType === 0) readVarint(bytes, cursor)
  else if (wireType === 1) cursor += 8
  else if (wireType === 5) cursor += 4
  else {
    assert(wireType === 2, 'a normalized message has no groups')
    const length = readVarint(bytes, cursor)
    cursor += length
  }
}

/** Appends the AnyValue message bytes[start, end). */
export function appendAnyValue(
  out: OutputBuffer,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  let tag = 0
  let at = start
  // the last member of the oneof counts; a normalized message has one
  for (cursor = start; cursor < end;) {
    const fieldTag = readVarint(bytes, cursor)
    const valueAt = cursor
    skipValue(bytes, fieldTag)
    if (fieldTag >>> 3 <= 7) {
      tag = fieldTag
      at = valueAt
    }
  }
  assert(cursor <= end, 'a field of a normalized message ends inside it')
  switch (tag) {
    case 0:
      out.writeAscii('null')
      return
    case 0x10:
      out.writeAscii(readVarint(bytes, at) === 0 ? 'false' : 'true')
      return
    case 0x18: {
      const low = readVarint(bytes, at)
      appendInt(out, low, highHalf)
      return
    }
    case 0x21:
      appendDouble(out, bytes, at)
      return
  }
  const length = readVarint(bytes, at)
  const from = cursor
  switch (tag) {
    case 0x0a:
      appendString(out, bytes, from, from + length)
      return
    case 0x2a:
      appendArray(out, bytes, from, from + length)
      return
    case 0x32:
      appendMap(out, bytes, from, from + length)
      return
    default:
      assert(tag === 0x3a, 'a normalized AnyValue holds a known member')
      appendBytes(out, bytes, from, from + length)
  }
}

function appendArray(out: OutputBuffer, bytes: Uint8Array, start: number, end: number): void {
  out.writeByte(0x5b)
  let count = 0
  for (let at = start; at < end;) {
    readVarint(bytes, at)
    const length = readVarint(bytes, cursor)
    const from = cursor
    if (count++ > 0) out.writeByte(COMMA)
    appendAnyValue(out, bytes, from, from + length)
    at = from + length
  }
  out.writeByte(0x5d)
}

function appendMap(out: OutputBuffer, bytes: Uint8Array, start: number, end: number): void {
  if (start === end) {
    out.writeAscii('{}')
    return
  }
  readVarint(bytes, start)
  const firstLength = readVarint(bytes, cursor)
  const isSingle = cursor + firstLength === end
  const isEscaped = isSingle && looksTagged(bytes, cursor, end)
  if (isEscaped) out.writeAscii('{"@map":')
  out.writeByte(0x7b)
  let count = 0
  for (let at = start; at < end;) {
    readVarint(bytes, at)
    const length = readVarint(bytes, cursor)
    const from = cursor
    if (count++ > 0) out.writeByte(COMMA)
    appendKeyValue(out, bytes, from, from + length)
    at = from + length
  }
  out.writeByte(0x7d)
  if (isEscaped) out.writeByte(0x7d)
}

/** Whether the KeyValue bytes[start, end), alone in its map, could be read as a tagged value. */
export function looksTagged(bytes: Uint8Array, start: number, end: number): boolean {
  let isTagged = false
  const kept = cursor
  for (cursor = start; cursor < end;) {
    const tag = readVarint(bytes, cursor)
    const valueAt = cursor
    skipValue(bytes, tag)
    if (tag === 0x0a) isTagged = readVarint(bytes, valueAt) > 0 && bytes[cursor] === AT_SIGN
    if (tag === 0x0a) {
      cursor = valueAt
      skipValue(bytes, tag)
    }
  }
  cursor = kept
  return isTagged
}

/** Appends the KeyValue message bytes[start, end) as a member of an object. */
export function appendKeyValue(
  out: OutputBuffer,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  let keyStart = 0
  let keyEnd = 0
  let valueStart = 0
  let valueEnd = 0
  for (cursor = start; cursor < end;) {
    const tag = readVarint(bytes, cursor)
    if (tag !== 0x0a && tag !== 0x12) {
      skipValue(bytes, tag)
      continue
    }
    const length = readVarint(bytes, cursor)
    if (tag === 0x0a) {
      keyStart = cursor
      keyEnd = cursor + length
    } else {
      valueStart = cursor
      valueEnd = cursor + length
    }
    cursor += length
  }
  assert(cursor <= end, 'a field of a normalized message ends inside it')
  appendString(out, bytes, keyStart, keyEnd)
  out.writeByte(COLON)
  appendAnyValue(out, bytes, valueStart, valueEnd)
}

/** Appends UTF-8 bytes[start, end) as a JSON string; only what JSON demands is escaped. */
function appendString(out: OutputBuffer, source: Uint8Array, start: number, end: number): void {
  // at worst every byte becomes \u00XX
  out.reserve(6 * (end - start) + 2)
  const { bytes } = out
  let at = out.length
  bytes[at++] = QUOTE
  for (let from = start; from < end; from++) {
    const byte = source[from]!
    if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) {
      bytes[at++] = byte
      continue
    }
    bytes[at++] = BACKSLASH
    const letter = SHORT_ESCAPES[byte]!
    if (letter !== 0) {
      bytes[at++] = letter
      continue
    }
    bytes[at++] = 0x75
    bytes[at++] = 0x30
    bytes[at++] = 0x30
    bytes[at++] = HEX_DIGITS[byte >>> 4]!
    bytes[at++] = HEX_DIGITS[byte & 15]!
  }
  bytes[at++] = QUOTE
  out.length = at
}

/** Appends a signed 64-bit integer: digits without a point. */
function appendInt(out: OutputBuffer, low: number, high: number): void {
  const signedHigh = high | 0
  // 2^21 of the high half: the value stays below 2^53 and is exact as a double
  if (signedHigh >= -0x20_0000 && signedHigh < 0x20_0000) {
    out.writeAscii(String(signedHigh * 0x1_0000_0000 + low))
    return
  }
  out.writeAscii(String((BigInt(signedHigh) << 32n) | BigInt(low)))
}

/** Appends the little-endian double at bytes[at]: always with a point or an exponent, or tagged. */
function appendDouble(out: OutputBuffer, bytes: Uint8Array, at: number): void {
  for (let index = 0; index < 8; index++) doubleBits.setUint8(index, bytes[at + index]!)
  const value = doubleBits.getFloat64(0, true)
  if (Number.isFinite(value)) {
    const text = Object.is(value, -0) ? '-0' : String(value)
    out.writeAscii(text)
    if (!/[.e]/.test(text)) out.writeAscii('.0')
    return
  }
  out.writeAscii('{"@double":"')
  if (value === Infinity) out.writeAscii('Infinity')
  else if (value === -Infinity) out.writeAscii('-Infinity')
  else {
    const high = doubleBits.getUint32(4, true)
    const low = doubleBits.getUint32(0, true)
    out.writeAscii('NaN')
    // the quiet NaN that every runtime makes needs no bits
    if (high !== 0x7ff8_0000 || low !== 0) {
      out.writeByte(COLON)
      out.writeAscii(hex32(high))
      out.writeAscii(hex32(low))
    }
  }
  out.writeAscii('"}')
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, '0')
}

/** Appends bytes as standard, padded base64 in a tagged object. */
function appendBytes(out: OutputBuffer, source: Uint8Array, start: number, end: number): void {
  out.writeAscii('{"@bytes":"')
  out.reserve(4 * Math.ceil((end - start) / 3))
  const { bytes } = out
  let at = out.length
  let from = start
  for (; from + 2 < end; from += 3) {
    const group = (source[from]! << 16) | (source[from + 1]! << 8) | source[from + 2]!
    bytes[at++] = BASE64_DIGITS[group >>> 18]!
    bytes[at++] = BASE64_DIGITS[(group >>> 12) & 63]!
    bytes[at++] = BASE64_DIGITS[(group >>> 6) & 63]!
    bytes[at++] = BASE64_DIGITS[group & 63]!
  }
  if (from < end) {
    const second = from + 1 < end ? source[from + 1]! : 0
    const group = (source[from]! << 16) | (second << 8)
    bytes[at++] = BASE64_DIGITS[group >>> 18]!
    bytes[at++] = BASE64_DIGITS[(group >>> 12) & 63]!
    bytes[at++] = from + 1 < end ? BASE64_DIGITS[(group >>> 6) & 63]! : 0x3d
    bytes[at++] = 0x3d
  }
  out.length = at
  out.writeAscii('"}')
}
