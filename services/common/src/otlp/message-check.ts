/**
 * Sees whether a message is already normalized (docs/format/batch.md), so that it can be copied as
 * it is. This is the fast half: it never rewrites, and answers false for anything out of order,
 * repeated, unknown, cut off or over a limit; the normalizer then repairs it or says what is wrong.
 */
import { equalBytes, hashKey, isValidUtf8 } from '../columnar/byte-kernels.ts'
import { LIMITS } from '../limits.ts'
import type { DecodeTally } from './decode-tally.ts'
import {
  ANY_VALUE,
  KEY_VALUE,
  Kind,
  type FieldSchema,
  type MessageSchema,
} from './message-schema.ts'
import { cursor } from './protobuf-cursor.ts'

/** Lists of attributes up to this length compare keys pairwise, longer ones by their hashes. */
const PAIRWISE_KEYS_MAX = 32
const NOT_NORMAL = -1

/** Starts and ends of the keys of all lists that are open, as a stack. */
let keyRanges = new Int32Array(256)
let keyRangesUsed = 0

/** Whether [start, end) of the source is `schema` in normal form; `depth` counts AnyValues. */
export function isNormalMessage(
  schema: MessageSchema,
  start: number,
  end: number,
  depth: number,
  tally: DecodeTally,
): boolean {
  const keysBase = keyRangesUsed
  const isNormal = checkMessage(schema, start, end, depth, tally)
  keyRangesUsed = keysBase
  return isNormal
}

function checkMessage(
  schema: MessageSchema,
  start: number,
  end: number,
  depth: number,
  tally: DecodeTally,
): boolean {
  if (schema === ANY_VALUE) return checkAnyValue(start, end, depth, tally)
  if (schema === KEY_VALUE) return checkKeyValue(start, end, depth, tally)
  const bytes = cursor.bytes
  let last = 0
  let choice = 0
  let at = start
  let keysBase = -1
  while (at < end) {
    const tag = bytes[at]!
    const number = tag >>> 3
    if (tag >= 0x80 || number < last) return false
    const field = schema.fields[number]
    if (field === undefined) return false
    if (number === last && !field.isRepeated) return false
    if (field.isChoice) {
      if (choice !== 0) return false
      choice = number
    }
    last = number
    if (field.isKeyed) {
      if (keysBase < 0) keysBase = keyRangesUsed
      at = checkKeyed(tag, at + 1, end, depth, tally)
    } else {
      at = checkField(field, tag & 7, at + 1, end, depth, tally)
    }
    if (at < 0) return false
    if (keysBase >= 0 && (at >= end || bytes[at] !== tag)) {
      if (!areKeysDistinct(keysBase, field.hasCountLimit)) return false
      keyRangesUsed = keysBase
      keysBase = -1
    }
  }
  return true
}

/** One value; returns the position behind it or NOT_NORMAL. */
function checkField(
  field: FieldSchema,
  wireType: number,
  from: number,
  end: number,
  depth: number,
  tally: DecodeTally,
): number {
  switch (field.kind) {
    case Kind.string:
    case Kind.bytes: {
      if (wireType !== 2) return NOT_NORMAL
      const stop = shortLength(from, end)
      if (stop < 0) return NOT_NORMAL
      const start = cursor.start
      if (start === stop) return field.keepsDefault || field.isRepeated ? stop : NOT_NORMAL
      if (field.kind === Kind.bytes) return stop
      if (stop - start > LIMITS.stringValueBytesMax) return NOT_NORMAL
      return isValidUtf8(cursor.bytes, cursor.view, start, stop) ? stop : NOT_NORMAL
    }
    case Kind.message: {
      if (wireType !== 2) return NOT_NORMAL
      const stop = shortLength(from, end)
      if (stop < 0) return NOT_NORMAL
      const start = cursor.start
      if (start === stop && !field.keepsDefault && !field.isRepeated) return NOT_NORMAL
      if (field.isRepeated && field.child === ANY_VALUE) tally.valueCount += 1
      return checkMessage(field.child!, start, stop, depth, tally) ? stop : NOT_NORMAL
    }
    case Kind.fixed64: {
      if (wireType !== 1 || end - from < 8) return NOT_NORMAL
      if (field.keepsDefault) return from + 8
      const bits = cursor.view.getInt32(from, true) | cursor.view.getInt32(from + 4, true)
      return bits === 0 ? NOT_NORMAL : from + 8
    }
    case Kind.fixed32:
      if (wireType !== 5 || end - from < 4) return NOT_NORMAL
      return cursor.view.getInt32(from, true) === 0 ? NOT_NORMAL : from + 4
    case Kind.uint32:
      return wireType === 0 ? checkUint32(from, end) : NOT_NORMAL
    default:
      // The rest stand only in items, which are not copied as they are, and in AnyValue.
      return NOT_NORMAL
  }
}

/** A KeyValue of a list; pushes its key's range. */
function checkKeyed(
  tag: number,
  from: number,
  end: number,
  depth: number,
  tally: DecodeTally,
): number {
  if ((tag & 7) !== 2) return NOT_NORMAL
  const stop = shortLength(from, end)
  if (stop < 0) return NOT_NORMAL
  tally.valueCount += 1
  return checkKeyValue(cursor.start, stop, depth, tally) ? stop : NOT_NORMAL
}

/** A KeyValue in [start, end), written by hand because most of all fields are these. */
function checkKeyValue(start: number, end: number, depth: number, tally: DecodeTally): boolean {
  const { bytes, view } = cursor
  let at = start
  let keyStart = start
  let keyEnd = start
  if (at < end && bytes[at] === 0x0a) {
    keyEnd = shortLength(at + 1, end)
    if (keyEnd < 0) return false
    keyStart = cursor.start
    if (keyStart === keyEnd || keyEnd - keyStart > LIMITS.attributeKeyBytesMax) return false
    if (!isValidUtf8(bytes, view, keyStart, keyEnd)) return false
    at = keyEnd
  }
  pushKey(keyStart, keyEnd)
  if (at === end) return true
  if (bytes[at] !== 0x12) return false
  const stop = shortLength(at + 1, end)
  if (stop !== end || cursor.start === stop) return false
  return checkAnyValue(cursor.start, stop, depth, tally)
}

/** An AnyValue in [start, end): nothing, or exactly one member. */
function checkAnyValue(start: number, end: number, depth: number, tally: DecodeTally): boolean {
  if (depth >= LIMITS.anyValueDepthMax) return false
  if (start === end) return true
  const { bytes } = cursor
  const tag = bytes[start]!
  switch (tag) {
    case 0x0a: {
      const stop = shortLength(start + 1, end)
      if (stop !== end || stop - cursor.start > LIMITS.stringValueBytesMax) return false
      return isValidUtf8(bytes, cursor.view, cursor.start, stop)
    }
    case 0x10:
      return end - start === 2 && bytes[start + 1]! <= 1
    case 0x18:
      return checkVarint(start + 1, end) === end
    case 0x21:
      return end - start === 9
    case 0x2a:
    case 0x32:
      if (shortLength(start + 1, end) !== end) return false
      return checkMessage(ANY_VALUE.fields[tag >>> 3]!.child!, cursor.start, end, depth + 1, tally)
    case 0x3a:
      return shortLength(start + 1, end) === end
    default:
      return false
  }
}

/** A length in its shortest form: the payload's end, its start in `cursor.start`; or NOT_NORMAL. */
function shortLength(from: number, end: number): number {
  const { bytes } = cursor
  if (from >= end) return NOT_NORMAL
  let length = bytes[from]!
  let at = from + 1
  if (length >= 0x80) {
    length &= 0x7f
    for (let shift = 7; ; shift += 7) {
      if (at >= end || shift > 28) return NOT_NORMAL
      const byte = bytes[at++]!
      length += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (byte === 0) return NOT_NORMAL
        break
      }
    }
  }
  if (length > end - at) return NOT_NORMAL
  cursor.start = at
  return at + length
}

function checkUint32(from: number, end: number): number {
  const at = checkVarint(from, end)
  if (at < 0 || at - from > 5) return NOT_NORMAL
  if (at - from === 5 && cursor.bytes[at - 1]! > 0x0f) return NOT_NORMAL
  return cursor.bytes[from] === 0 ? NOT_NORMAL : at
}

/** A varint of at most ten bytes and 64 bits in its shortest form. */
function checkVarint(from: number, end: number): number {
  const { bytes } = cursor
  for (let at = from; at < end && at - from < 10; at++) {
    const byte = bytes[at]!
    if (byte < 0x80) {
      if (byte === 0 && at > from) return NOT_NORMAL
      return at - from === 9 && byte > 1 ? NOT_NORMAL : at + 1
    }
  }
  return NOT_NORMAL
}

function pushKey(start: number, end: number): void {
  if (keyRangesUsed + 2 > keyRanges.length) {
    const grown = new Int32Array(keyRanges.length * 2)
    grown.set(keyRanges)
    keyRanges = grown
  }
  keyRanges[keyRangesUsed] = start
  keyRanges[keyRangesUsed + 1] = end
  keyRangesUsed += 2
}

/** Whether the keys on the stack from `base` on differ and, where limited, are not too many. */
function areKeysDistinct(base: number, hasCountLimit: boolean): boolean {
  const count = (keyRangesUsed - base) >> 1
  if (hasCountLimit && count > LIMITS.attributesPerItemMax) return false
  if (count > PAIRWISE_KEYS_MAX) return areHashesDistinct(base)
  const { view } = cursor
  for (let i = base + 2; i < keyRangesUsed; i += 2) {
    const start = keyRanges[i]!
    const length = keyRanges[i + 1]! - start
    for (let j = base; j < i; j += 2) {
      const other = keyRanges[j]!
      if (keyRanges[j + 1]! - other !== length) continue
      if (equalBytes(view, start, view, other, length)) return false
    }
  }
  return true
}

/** Equal hashes of different keys only cost a rewrite. */
function areHashesDistinct(base: number): boolean {
  const hashes = new Set<number>()
  for (let i = base; i < keyRangesUsed; i += 2) {
    const hash = hashKey(cursor.view, keyRanges[i]!, keyRanges[i + 1]!)
    if (hashes.has(hash)) return false
    hashes.add(hash)
  }
  return true
}

/** Whether a list of KeyValue fields of `tag` that fills [start, end) is normal and distinct. */
export function isNormalKeyValues(
  tag: number,
  start: number,
  end: number,
  tally: DecodeTally,
): boolean {
  const base = keyRangesUsed
  let at = start
  while (at < end && at >= 0) {
    at = cursor.bytes[at] === tag ? checkKeyed(tag, at + 1, end, 0, tally) : NOT_NORMAL
  }
  const isNormal = at === end && areKeysDistinct(base, true)
  keyRangesUsed = base
  return isNormal
}
