/**
 * Typed JSON (docs/format/typed-json.md): AnyValue as JSON text that any JSON reader can query and
 * that gives every value back exactly, with its type.
 *
 * One scratch buffer is shared by the calls of a thread; what is returned is a copy of its own.
 */
import { OutputBuffer } from './output-buffer.ts'
import { appendAnyValue, appendKeyValue, looksTagged } from './typed-json-writer.ts'

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
export function appendKeyValues(out: OutputBuffer, entries: readonly Uint8Array[]): void {
  const isEscaped = entries.length === 1 && looksTagged(entries[0]!, 0, entries[0]!.length)
  if (isEscaped) out.writeAscii('{"@map":')
  out.writeAscii('{')
  for (let index = 0; index < entries.length; index++) {
    if (index > 0) out.writeAscii(',')
    appendKeyValue(out, entries[index]!, 0, entries[index]!.length)
  }
  out.writeAscii(isEscaped ? '}}' : '}')
}
