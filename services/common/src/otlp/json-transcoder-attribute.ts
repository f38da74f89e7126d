/**
 * The attribute as nearly every client writes it, in one run: `{"key":"...","value":{"...":...}}`
 * with a scalar. Attributes are most of a request, so what they skip here is half of its time.
 */
import type { JsonReader } from './json-reader.ts'
import { CLOSE_BRACE } from './json-reader.ts'
import { ANY_VALUE, FieldKind, isTokenAt } from './json-transcoder-fields.ts'
import { writeScalar } from './json-transcoder-scalars.ts'
import type { OutputBuffer } from './output-buffer.ts'

function word(text: string): number {
  return Buffer.from(text).readInt32LE(0)
}

// {"key": and ,"value":{ as words; the last one of each overlaps its neighbour
const KEY_START = word('{"ke')
const KEY_END = word('ey":')
const KEY_BYTES = 7
const VALUE_START = word(',"va')
const VALUE_MIDDLE = word('lue"')
const VALUE_END = word('e":{')
const VALUE_BYTES = 10
const LETTER_N = 0x6e

/**
 * Appends the content of the KeyValue that starts here if it is a plain one; else appends nothing,
 * passes nothing and returns false.
 */
export function takesPlainAttribute(reader: JsonReader, out: OutputBuffer): boolean {
  const start = reader.at
  const outStart = out.length
  if (takesKey(reader, out) && takesValue(reader, out)) return true
  reader.at = start
  out.length = outStart
  return false
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

function takesValue(reader: JsonReader, out: OutputBuffer): boolean {
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
  reader.at = memberAt + field.tokenBytes
  const first = text[reader.at]!
  if (first <= 0x20 || first === LETTER_N) return false
  out.writeByte(0x12)
  const start = out.openLength(1)
  out.writeByte(field.tag)
  if (field.kind === FieldKind.string) {
    if (!reader.takesShortString(out)) return false
  } else if (field.kind >= FieldKind.bool && field.kind !== FieldKind.message) {
    writeScalar(reader, out, field)
  } else return false
  out.closeLength(start, 1)
  if (text[reader.at] !== CLOSE_BRACE || text[reader.at + 1] !== CLOSE_BRACE) return false
  reader.at += 2
  return true
}
