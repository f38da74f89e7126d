/**
 * Typed JSON (docs/format/typed-json.md): AnyValue as JSON text that any JSON reader can query and
 * that gives every value back exactly, with its type.
 *
 * One scratch buffer is shared by the calls of a thread; what is returned is a copy of its own.
 */
import { JsonReader } from './json-reader.ts'
import { OutputBuffer } from './output-buffer.ts'
import { readAnyValue, readKeyValueFields } from './typed-json-reader.ts'
import { appendAnyValue, appendKeyValue, looksTagged } from './typed-json-writer.ts'

/** Deeper than any AnyValue that the door lets in: every level takes one level of text, an escaped map two. */
const DEPTH_MAX = 128

/** A scratch above this is given back after the call: one huge value must not stay for ever. */
const SCRATCH_BYTES_MAX = 1024 * 1024

let scratch = new OutputBuffer()

function takeText(): Uint8Array {
  const text = scratch.toBytes()
  if (scratch.bytes.length > SCRATCH_BYTES_MAX) scratch = new OutputBuffer()
  return text
}

/** The typed JSON text (UTF-8) of a normalized AnyValue message; no value at all is `null`. */
export function anyValueToJson(message: Uint8Array): Uint8Array {
  scratch.length = 0
  appendAnyValue(scratch, message, 0, message.length)
  return takeText()
}

/** The typed JSON object (UTF-8) of normalized KeyValue messages, in their order. */
export function keyValuesToJson(entries: readonly Uint8Array[]): Uint8Array {
  scratch.length = 0
  appendKeyValues(scratch, entries)
  return takeText()
}

/** Appends what keyValuesToJson() returns. */
function appendKeyValues(out: OutputBuffer, entries: readonly Uint8Array[]): void {
  const isEscaped = entries.length === 1 && looksTagged(entries[0]!, 0, entries[0]!.length)
  if (isEscaped) out.writeAscii('{"@map":')
  out.writeAscii('{')
  for (let index = 0; index < entries.length; index++) {
    if (index > 0) out.writeAscii(',')
    appendKeyValue(out, entries[index]!, 0, entries[index]!.length)
  }
  out.writeAscii(isEscaped ? '}}' : '}')
}

/**
 * Appends the content of the AnyValue message that a typed JSON text stands for.
 *
 * @throws AppError malformed_body when the text is no typed JSON
 */
export function appendAnyValueOfJson(out: OutputBuffer, text: Uint8Array): void {
  const reader = new JsonReader(text, DEPTH_MAX)
  readAnyValue(reader, out, 1)
  checkEnd(reader)
}

/** Appends the members of a typed JSON object as KeyValue fields, each under the wire tag `tag`. */
export function appendKeyValuesOfJson(out: OutputBuffer, text: Uint8Array, tag: number): void {
  const reader = new JsonReader(text, DEPTH_MAX)
  readKeyValueFields(reader, out, tag)
  checkEnd(reader)
}

function checkEnd(reader: JsonReader): void {
  reader.peek()
  if (reader.at < reader.end) reader.fail('text behind the value')
}

/** The AnyValue message of a typed JSON text: the inverse of anyValueToJson(). */
export function jsonToAnyValue(text: Uint8Array): Uint8Array {
  const out = new OutputBuffer(text.length)
  appendAnyValueOfJson(out, text)
  return out.toBytes()
}
