/**
 * Reads typed JSON (docs/format/typed-json.md) back into AnyValue and KeyValue messages. It accepts
 * what any JSON writer may have made of our text (white space, escapes), but no unknown tags.
 */
import type { JsonReader } from './json-reader.ts'
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './json-reader.ts'
import { readDouble, readInteger, skipNumber } from './json-reader-numbers.ts'
import { OutputBuffer } from './output-buffer.ts'

const AT_SIGN = 0x40
const doubleBits = new DataView(new ArrayBuffer(8))

/** Bytes that the length of a message is expected to take: below 128 bytes of content. */
const LENGTH_BYTES = 1

/** Appends the value that starts here as the content of an AnyValue message. */
export function readAnyValue(reader: JsonReader, out: OutputBuffer, depth: number): void {
  switch (reader.peek()) {
    case QUOTE: {
      const start = openField(out, 0x0a)
      reader.readString(out)
      out.closeLength(start, LENGTH_BYTES)
      return
    }
    case OPEN_BRACKET:
      readArray(reader, out, depth)
      return
    case OPEN_BRACE:
      readObject(reader, out, depth)
      return
    case 0x74:
    case 0x66:
      out.writeByte(0x10)
      out.writeByte(reader.readBool() ? 1 : 0)
      return
    case 0x6e:
      reader.takesNull()
      return
    default:
      readNumber(reader, out)
  }
}

function openField(out: OutputBuffer, tag: number): number {
  out.writeVarint(tag)
  return out.openLength(LENGTH_BYTES)
}

function readNumber(reader: JsonReader, out: OutputBuffer): void {
  const start = reader.at
  skipNumber(reader)
  const isDouble = reader.text
    .subarray(start, reader.at)
    .some((byte) => byte === 0x2e || byte === 0x65 || byte === 0x45)
  reader.at = start
  if (isDouble) {
    writeDouble(out, readDouble(reader))
    return
  }
  readInteger(reader)
  const { low, high, isNegative } = reader
  const isMinimum = isNegative && high === 0x8000_0000 && low === 0
  if (high >= 0x8000_0000 && !isMinimum) reader.fail('number out of range', start)
  out.writeByte(0x18)
  if (isNegative) out.writeVarint64(-low >>> 0, (low === 0 ? -high : ~high) >>> 0)
  else out.writeVarint64(low, high)
}

function writeDouble(out: OutputBuffer, value: number): void {
  doubleBits.setFloat64(0, value)
  out.writeByte(0x21)
  out.writeFixed64(doubleBits.getUint32(4), doubleBits.getUint32(0))
}

function readArray(reader: JsonReader, out: OutputBuffer, depth: number): void {
  reader.checkDepth(depth)
  const array = openField(out, 0x2a)
  reader.expect(OPEN_BRACKET)
  if (reader.peek() === CLOSE_BRACKET) reader.at++
  else {
    do {
      const element = openField(out, 0x0a)
      readAnyValue(reader, out, depth + 1)
      out.closeLength(element, LENGTH_BYTES)
    } while (reader.hasNext(CLOSE_BRACKET))
  }
  out.closeLength(array, LENGTH_BYTES)
}

function readObject(reader: JsonReader, out: OutputBuffer, depth: number): void {
  reader.checkDepth(depth)
  const tag = readTag(reader)
  if (tag === undefined || tag === '@map') {
    const map = openField(out, 0x32)
    if (tag === undefined) readMembers(reader, out, 0x0a, depth)
    else {
      reader.peek()
      readMembers(reader, out, 0x0a, depth + 1)
      reader.expect(CLOSE_BRACE)
    }
    out.closeLength(map, LENGTH_BYTES)
    return
  }
  reader.peek()
  if (tag === '@bytes') {
    const start = openField(out, 0x3a)
    reader.readBase64(out)
    out.closeLength(start, LENGTH_BYTES)
  } else if (tag === '@double') readTaggedDouble(reader, out)
  else reader.fail('unknown tag')
  reader.expect(CLOSE_BRACE)
}

/**
 * Passes the opening brace, name and colon of a tagged object and returns the name; undefined, and
 * nothing passed, for any other object.
 */
function readTag(reader: JsonReader): string | undefined {
  const start = reader.at
  reader.at++
  const isCandidate = reader.peek() === QUOTE && startsWithAt(reader)
  if (!isCandidate) {
    reader.at = start
    return undefined
  }
  const name = new OutputBuffer()
  reader.readString(name)
  reader.expect(COLON)
  const valueAt = reader.at
  reader.skipValue(0, skipNumber)
  const isAlone = reader.peek() === CLOSE_BRACE
  reader.at = isAlone ? valueAt : start
  return isAlone ? Buffer.from(name.toBytes()).toString('latin1') : undefined
}

/** Whether the string here starts with an @, plain or escaped. */
function startsWithAt(reader: JsonReader): boolean {
  const byte = reader.text[reader.at + 1]
  return byte === AT_SIGN || byte === 0x5c
}

function readTaggedDouble(reader: JsonReader, out: OutputBuffer): void {
  const start = reader.at
  reader.skipString()
  const word = Buffer.from(reader.text.subarray(start + 1, reader.at - 1)).toString('latin1')
  const bits = /^NaN:([0-9a-f]{8})([0-9a-f]{8})$/.exec(word)
  if (bits !== null) {
    out.writeByte(0x21)
    out.writeFixed64(parseInt(bits[2]!, 16), parseInt(bits[1]!, 16))
    return
  }
  reader.at = start
  const value = readDouble(reader)
  if (!Number.isNaN(value)) writeDouble(out, value)
  else {
    out.writeByte(0x21)
    out.writeFixed64(0, 0x7ff8_0000)
  }
}

/** Appends the members of the object that starts here, each as a KeyValue under `tag`. */
function readMembers(reader: JsonReader, out: OutputBuffer, tag: number, depth: number): void {
  reader.expect(OPEN_BRACE)
  if (reader.peek() === CLOSE_BRACE) {
    reader.at++
    return
  }
  do {
    reader.peek()
    const entry = openField(out, tag)
    const key = openField(out, 0x0a)
    reader.readString(out)
    const isEmpty = out.length === key
    if (isEmpty) out.length = entry
    else out.closeLength(key, LENGTH_BYTES)
    reader.expect(COLON)
    const valueField = out.length
    const value = openField(out, 0x12)
    readAnyValue(reader, out, depth + 1)
    // an empty value is the same as none
    if (out.length === value) out.length = valueField
    else out.closeLength(value, LENGTH_BYTES)
    out.closeLength(entry, LENGTH_BYTES)
  } while (reader.hasNext(CLOSE_BRACE))
}

/** Appends the KeyValues of a whole object, which may be escaped as a map, under `tag`. */
export function readKeyValueFields(reader: JsonReader, out: OutputBuffer, tag: number): void {
  if (reader.peek() !== OPEN_BRACE) reader.fail('expected an object')
  const name = readTag(reader)
  if (name !== undefined && name !== '@map') reader.fail('unknown tag')
  reader.peek()
  readMembers(reader, out, tag, 1)
  if (name !== undefined) reader.expect(CLOSE_BRACE)
}
