/**
 * Attributes as nearly every client writes them: `{"key":"...","value":{"...":...}}` with a scalar
 * and no white space. They are most of a request, so they are taken in one run, and what stands
 * before the value is remembered: the n-th attribute of a record mostly has the key and type of the
 * n-th one before it, and then a comparison replaces the reading.
 *
 * Invariant: what is remembered is compared in full with the text, so it never changes the output.
 */
import type { JsonReader } from './json-reader.ts'
import { CLOSE_BRACE } from './json-reader.ts'
import type { TranscoderField } from './json-transcoder-fields.ts'
import { ANY_VALUE, FieldKind, isTokenAt } from './json-transcoder-fields.ts'
import { writeScalar } from './json-transcoder-scalars.ts'
import type { OutputBuffer } from './output-buffer.ts'

function wordOf(text: string): number {
  return Buffer.from(text).readInt32LE(0)
}

// {"key": and ,"value":{ as words; the last one of each overlaps its neighbour
const KEY_START = wordOf('{"ke')
const KEY_END = wordOf('ey":')
const KEY_BYTES = 7
const VALUE_START = wordOf(',"va')
const VALUE_MIDDLE = wordOf('lue"')
const VALUE_END = wordOf('e":{')
const VALUE_BYTES = 10
const LETTER_N = 0x6e

/** Room for the 38 bytes around a key of a hundred; longer prefixes are read each time. */
const PREFIX_BYTES_MAX = 144
/** A prefix is replaced after so many misses in a row: rare keys must not push the usual ones out. */
const MISSES_MAX = 16

/** The start of an attribute, up to its value, in the text and in the output. */
export class AttributePrefix {
  /** 0 until something is remembered. */
  textBytes = 0
  readonly textWords = new Int32Array(PREFIX_BYTES_MAX / 4)
  outBytes = 0
  readonly outWords = new Int32Array(PREFIX_BYTES_MAX / 4)
  /** Member of AnyValue whose value follows. */
  field: TranscoderField | undefined
  misses = MISSES_MAX
}

/** Where the value began in the attribute that takesPlainAttribute() took last. */
let valueTextAt = 0
let valueOutAt = 0
let valueField: TranscoderField | undefined

/**
 * Appends the content of the KeyValue that starts here if it is a plain one; else appends nothing,
 * passes nothing and returns false.
 */
export function takesAttribute(
  reader: JsonReader,
  out: OutputBuffer,
  prefix: AttributePrefix,
): boolean {
  const start = reader.at
  const outStart = out.length
  if (takesKnownPrefix(reader, out, prefix)) {
    if (takesValue(reader, out, prefix.field!)) return true
  } else if (takesKey(reader, out) && takesType(reader, out)) {
    const field = valueField!
    if (takesValue(reader, out, field)) {
      if (++prefix.misses > MISSES_MAX) remember(prefix, reader, start, out, outStart)
      return true
    }
  }
  reader.at = start
  out.length = outStart
  return false
}

function takesKnownPrefix(reader: JsonReader, out: OutputBuffer, prefix: AttributePrefix): boolean {
  const { textBytes, textWords, outBytes, outWords } = prefix
  const { view, at } = reader
  if (textBytes === 0 || at + textBytes > reader.end) return false
  const last = textBytes - 4
  // the last word first: it holds the end of the key and the type
  if (view.getInt32(at + last, true) !== textWords[(textBytes + 3) >>> 2]) return false
  for (let offset = 0; offset < last; offset += 4) {
    if (view.getInt32(at + offset, true) !== textWords[offset >>> 2]) return false
  }
  out.reserve(PREFIX_BYTES_MAX)
  const { view: outView, length } = out
  for (let offset = 0; offset < outBytes; offset += 4) {
    outView.setInt32(length + offset, outWords[offset >>> 2]!, true)
  }
  out.length = length + outBytes
  reader.at = at + textBytes
  prefix.misses = 0
  return true
}

/** Keeps the attribute that was just taken; what is behind the prefix in the words is never used. */
function remember(
  prefix: AttributePrefix,
  reader: JsonReader,
  start: number,
  out: OutputBuffer,
  outStart: number,
): void {
  const textBytes = valueTextAt - start
  const outBytes = valueOutAt - outStart
  // one word more: the last one overlaps the one before
  if (textBytes > PREFIX_BYTES_MAX - 8 || outBytes > PREFIX_BYTES_MAX - 4) return
  const { textWords, outWords } = prefix
  for (let offset = 0; offset < textBytes - 4; offset += 4) {
    textWords[offset >>> 2] = reader.view.getInt32(start + offset, true)
  }
  textWords[(textBytes + 3) >>> 2] = reader.view.getInt32(valueTextAt - 4, true)
  out.reserve(4)
  for (let offset = 0; offset < outBytes; offset += 4) {
    outWords[offset >>> 2] = out.view.getInt32(outStart + offset, true)
  }
  prefix.textBytes = textBytes
  prefix.outBytes = outBytes
  prefix.field = valueField
  prefix.misses = 0
}

function takesKey(reader: JsonReader, out: OutputBuffer): boolean {
  const { view, at } = reader
  const isKey =
    at + KEY_BYTES < reader.end &&
    view.getInt32(at, true) === KEY_START &&
    view.getInt32(at + KEY_BYTES - 4, true) === KEY_END
  if (!isKey) return false
  reader.at = at + KEY_BYTES
  out.writeByte(0x0a)
  const lengthAt = out.length
  // an empty key is left out, elsewhere
  return reader.takesShortString(out) && out.bytes[lengthAt] !== 0
}

/** Passes what stands between the key and the value; leaves room for the value's length. */
function takesType(reader: JsonReader, out: OutputBuffer): boolean {
  const { text, view, at } = reader
  const isValue =
    at + VALUE_BYTES + 1 < reader.end &&
    view.getInt32(at, true) === VALUE_START &&
    view.getInt32(at + 4, true) === VALUE_MIDDLE &&
    view.getInt32(at + VALUE_BYTES - 4, true) === VALUE_END
  if (!isValue) return false
  const memberAt = at + VALUE_BYTES
  const field = ANY_VALUE.byLetter![text[memberAt + 1]!]
  if (field === undefined || !isTokenAt(view, memberAt, field)) return false
  const isScalar = field.kind === FieldKind.string || field.kind >= FieldKind.bool
  if (!isScalar || field.kind === FieldKind.message) return false
  reader.at = memberAt + field.tokenBytes
  out.writeByte(0x12)
  valueTextAt = reader.at
  valueOutAt = out.openLength(1)
  valueField = field
  return true
}

/** Takes the value and both closing braces; the room for its length is the last byte of the output. */
function takesValue(reader: JsonReader, out: OutputBuffer, field: TranscoderField): boolean {
  const { text } = reader
  const first = text[reader.at]!
  if (first <= 0x20 || first === LETTER_N) return false
  const start = out.length
  out.writeByte(field.tag)
  if (field.kind === FieldKind.string) {
    if (!reader.takesShortString(out)) return false
  } else writeScalar(reader, out, field)
  out.closeLength(start, 1)
  if (text[reader.at] !== CLOSE_BRACE || text[reader.at + 1] !== CLOSE_BRACE) return false
  reader.at += 2
  return true
}
