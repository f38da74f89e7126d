/**
 * Rewrites a message into normal form (docs/format/batch.md): the slow half of the decoder, for
 * input that is legal but odd. It alone merges repeated messages, drops all but the last of equal
 * keys, replaces invalid UTF-8, cuts long strings and names the limit that rejects an item.
 *
 * Works on one level at a time: fields are gathered, then written in order. A level copies its
 * bytes once, so the cost is input times depth, and depth is bounded.
 */
import { isUtf8 } from 'node:buffer'
import { LIMITS } from '../limits.ts'
import { Reason, type DecodeTally } from './decode-tally.ts'
import { isNormalMessage } from './message-check.ts'
import { Kind, type FieldSchema, type MessageSchema } from './message-schema.ts'
import {
  cursor,
  malformed,
  openSource,
  readLength,
  readTag,
  readVarint,
  skipValue,
  viewOf,
} from './protobuf-cursor.ts'
import { ProtobufWriter } from './protobuf-writer.ts'

/** What one field of a message was found to hold. */
interface FoundField {
  /** The last scalar. */
  low: number
  high: number
  /** Payloads of strings, bytes and messages: all of them where they repeat or merge. */
  payloads: Uint8Array[]
  /** Halves of all values of a packed field. */
  words: number[]
}

interface Context {
  readonly tally: DecodeTally
  reason: Reason
}

export interface NormalizedMessage {
  /** The message in normal form; empty when it was rejected. */
  readonly bytes: Uint8Array
  readonly reason: Reason
}

/**
 * Normalizes `message`; `baseOffset` is where it stands in the request, for error messages. Leaves
 * the source of the cursor as it was. Throws AppError('malformed_body').
 */
export function normalizeMessage(
  schema: MessageSchema,
  message: Uint8Array,
  baseOffset: number,
  tally: DecodeTally,
): NormalizedMessage {
  const outer = { bytes: cursor.bytes, view: cursor.view, baseOffset: cursor.baseOffset }
  const context: Context = { tally, reason: Reason.none }
  cursor.baseOffset = baseOffset
  const bytes = rewrite(schema, message, 0, context)
  openSource(outer.bytes, outer.view, outer.baseOffset)
  return { bytes, reason: context.reason }
}

function rewrite(
  schema: MessageSchema,
  message: Uint8Array,
  depth: number,
  context: Context,
): Uint8Array {
  if (schema.isAnyValue && depth >= LIMITS.anyValueDepthMax) context.reason ||= Reason.tooDeep
  if (context.reason !== Reason.none) return message
  openSource(message, viewOf(message), cursor.baseOffset)
  // most parts of an odd message are normal: to see that costs a tenth of writing them anew
  const { valueCount } = context.tally
  if (isNormalMessage(schema, 0, message.length, depth, context.tally)) return message
  context.tally.valueCount = valueCount
  const found = gather(schema, message)
  const childDepth = schema.isAnyValue ? depth + 1 : depth
  const writer = new ProtobufWriter()
  for (const [number, value] of found.entries()) {
    if (value === undefined) continue
    writeField(writer, schema, number, value, childDepth, context)
    if (context.reason !== Reason.none) break
  }
  return writer.written
}

/** Reads all fields of the source, one level; errors name offsets within `message` and where that began. */
function gather(schema: MessageSchema, message: Uint8Array): (FoundField | undefined)[] {
  const found: (FoundField | undefined)[] = schema.fields.map(() => undefined)
  const end = message.length
  let choice = 0
  let at = 0
  while (at < end) {
    at = readTag(at, end)
    const tag = cursor.low >>> 0
    const number = tag >>> 3
    const field = schema.fields[number]
    if (field === undefined || !fitsWireType(field.kind, tag & 7)) {
      at = skipValue(tag, at, end)
      continue
    }
    if (field.isChoice && choice !== number) {
      found[choice] = undefined
      choice = number
    }
    const value = (found[number] ??= { low: 0, high: 0, payloads: [], words: [] })
    at = gatherValue(field, tag & 7, at, end, value)
  }
  return found
}

function fitsWireType(kind: Kind, wireType: number): boolean {
  switch (kind) {
    case Kind.string:
    case Kind.bytes:
    case Kind.message:
      return wireType === 2
    case Kind.fixed32:
      return wireType === 5
    case Kind.fixed64:
      return wireType === 1
    case Kind.packedFixed64:
      return wireType === 2 || wireType === 1
    case Kind.packedUint64:
      return wireType === 2 || wireType === 0
    case Kind.unknown:
      return false
    default:
      return wireType === 0
  }
}

function gatherValue(
  field: FieldSchema,
  wireType: number,
  from: number,
  end: number,
  value: FoundField,
): number {
  if (wireType === 2) {
    const stop = readLength(from, end)
    const start = cursor.start
    if (field.kind === Kind.packedFixed64 || field.kind === Kind.packedUint64) {
      gatherPacked(field.kind, start, stop, value.words)
      return stop
    }
    if (field.kind !== Kind.message && !field.isRepeated) value.payloads.length = 0
    value.payloads.push(cursor.bytes.subarray(start, stop))
    return stop
  }
  const at = readScalar(wireType, from, end)
  value.low = cursor.low
  value.high = cursor.high
  if (field.kind === Kind.packedFixed64 || field.kind === Kind.packedUint64) {
    value.words.push(value.low, value.high)
  }
  return at
}

function readScalar(wireType: number, from: number, end: number): number {
  if (wireType === 0) return readVarint(from, end)
  const width = wireType === 1 ? 8 : 4
  if (end - from < width) malformed('fixed-width value cut off', from)
  cursor.low = cursor.view.getInt32(from, true)
  cursor.high = width === 8 ? cursor.view.getInt32(from + 4, true) : 0
  return from + width
}

function gatherPacked(kind: Kind, start: number, stop: number, words: number[]): void {
  const wireType = kind === Kind.packedFixed64 ? 1 : 0
  let at = start
  while (at < stop) {
    at = readScalar(wireType, at, stop)
    words.push(cursor.low, cursor.high)
  }
}

function writeField(
  writer: ProtobufWriter,
  schema: MessageSchema,
  number: number,
  value: FoundField,
  depth: number,
  context: Context,
): void {
  const field = schema.fields[number]!
  switch (field.kind) {
    case Kind.message:
      if (field.isKeyed) writeKeyed(writer, field, number, value.payloads, depth, context)
      else if (field.isRepeated)
        writeRepeated(writer, field, number, value.payloads, depth, context)
      else writeMerged(writer, field, number, value.payloads, depth, context)
      return
    case Kind.string:
      for (const payload of value.payloads) {
        const text = repairString(payload, context.tally)
        if (schema.isKeyValue && text.length > LIMITS.attributeKeyBytesMax) {
          context.reason = Reason.keyTooLong
        }
        if (text.length > 0 || field.keepsDefault || field.isRepeated)
          writer.bytesField(number, text)
      }
      return
    case Kind.bytes:
      for (const payload of value.payloads) {
        if (payload.length > 0 || field.keepsDefault) writer.bytesField(number, payload)
      }
      return
    case Kind.packedFixed64:
    case Kind.packedUint64:
      writePacked(writer, field.kind, number, value.words)
      return
    default:
      writeScalar(writer, field, number, value.low, value.high)
  }
}

function writeScalar(
  writer: ProtobufWriter,
  field: FieldSchema,
  number: number,
  low: number,
  high: number,
): void {
  const isWide =
    field.kind === Kind.fixed64 || field.kind === Kind.int64 || field.kind === Kind.bool
  const isDefault = low === 0 && (!isWide || high === 0)
  if (isDefault && !field.keepsDefault) return
  switch (field.kind) {
    case Kind.fixed64:
      writer.tag(number, 1)
      writer.fixed32(low)
      writer.fixed32(high)
      return
    case Kind.fixed32:
      writer.tag(number, 5)
      writer.fixed32(low)
      return
    case Kind.bool:
      writer.tag(number, 0)
      writer.byte(isDefault ? 0 : 1)
      return
    case Kind.int64:
      writer.tag(number, 0)
      writer.varint64(low, high)
      return
    case Kind.int32:
      writer.tag(number, 0)
      writer.varint64(low, low >> 31)
      return
    default:
      writer.tag(number, 0)
      writer.varint(low)
  }
}

function writePacked(
  writer: ProtobufWriter,
  kind: Kind,
  number: number,
  words: readonly number[],
): void {
  if (words.length === 0) return
  const packed = new ProtobufWriter()
  for (let i = 0; i < words.length; i += 2) {
    if (kind === Kind.packedUint64) {
      packed.varint64(words[i]!, words[i + 1]!)
    } else {
      packed.fixed32(words[i]!)
      packed.fixed32(words[i + 1]!)
    }
  }
  writer.bytesField(number, packed.written)
}

/** A message that may occur once: all occurrences merge, which is what concatenating them means. */
function writeMerged(
  writer: ProtobufWriter,
  field: FieldSchema,
  number: number,
  payloads: readonly Uint8Array[],
  depth: number,
  context: Context,
): void {
  const merged = payloads.length === 1 ? payloads[0]! : Buffer.concat(payloads)
  const bytes = rewrite(field.child!, merged, depth, context)
  if (bytes.length > 0 || field.keepsDefault) writer.bytesField(number, bytes)
}

function writeRepeated(
  writer: ProtobufWriter,
  field: FieldSchema,
  number: number,
  payloads: readonly Uint8Array[],
  depth: number,
  context: Context,
): void {
  if (field.child!.isAnyValue) context.tally.valueCount += payloads.length
  for (const payload of payloads) {
    writer.bytesField(number, rewrite(field.child!, payload, depth, context))
    if (context.reason !== Reason.none) return
  }
}

/** A list of KeyValue: each key keeps its last value, in the place of that. */
function writeKeyed(
  writer: ProtobufWriter,
  field: FieldSchema,
  number: number,
  payloads: readonly Uint8Array[],
  depth: number,
  context: Context,
): void {
  if (field.hasCountLimit && payloads.length > LIMITS.attributesPerItemMax) {
    context.reason = Reason.tooManyAttributes
    return
  }
  context.tally.valueCount += payloads.length
  const byKey = new Map<string, Uint8Array>()
  for (const payload of payloads) {
    const bytes = rewrite(field.child!, payload, depth, context)
    if (context.reason !== Reason.none) return
    const key = keyOf(bytes)
    if (byKey.delete(key)) context.tally.duplicateKeys += 1
    byKey.set(key, bytes)
  }
  for (const bytes of byKey.values()) writer.bytesField(number, bytes)
}

/** The key of a normalized KeyValue, one character per byte. */
function keyOf(keyValue: Uint8Array): string {
  if (keyValue.length === 0 || keyValue[0] !== 0x0a) return ''
  const short = keyValue[1]! < 0x80
  const length = short ? keyValue[1]! : (keyValue[1]! & 0x7f) | (keyValue[2]! << 7)
  const start = short ? 2 : 3
  return Buffer.from(keyValue.buffer, keyValue.byteOffset + start, length).toString('latin1')
}

/** The string as it is stored: valid UTF-8 and not over the limit. */
function repairString(payload: Uint8Array, tally: DecodeTally): Uint8Array {
  let text = payload
  if (!isUtf8(text)) {
    tally.invalidStrings += 1
    const source = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
    text = Buffer.from(source.toString('utf8'), 'utf8')
  }
  if (text.length <= LIMITS.stringValueBytesMax) return text
  tally.truncatedStrings += 1
  let end: number = LIMITS.stringValueBytesMax
  while (end > 0 && (text[end]! & 0xc0) === 0x80) end -= 1
  return text.subarray(0, end)
}
