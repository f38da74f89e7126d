/** Log records and spans back from their rows (docs/format/tables.md). */
import { AppError } from '../errors.ts'
import type { OutputBuffer } from '../otlp/output-buffer.ts'
import { appendAnyValueOfJson } from '../otlp/typed-json.ts'
import {
  writeBytes,
  writeFixed32,
  writeFixed64,
  writeMessage,
  writePresentBytes,
  writePresentMessage,
  writeVarint,
} from './field-writer.ts'
import type { RowAttributes } from './row-attributes.ts'
import { writeJsonAttributes } from './row-attributes.ts'
import type { ReplayRow } from './row-value.ts'
import { integerOf, stringOf, structListOf, textOf, timeOf } from './row-value.ts'

/** The item's own time; 0 where `timestamp` came from somewhere else. */
export function eventTimeOf(row: ReplayRow): bigint {
  return stringOf(row, 'timestamp_source') === 'event' ? timeOf(row, 'timestamp') : 0n
}

/** Bytes of an id column, which holds hexadecimal text. */
export function idOf(row: ReplayRow, column: string): Uint8Array | undefined {
  const text = stringOf(row, column)
  if (text === undefined) return undefined
  const bytes = Buffer.from(text, 'hex')
  if (bytes.length * 2 !== text.length) {
    throw new AppError('invalid_file', 'an id is no hexadecimal text', { details: { column } })
  }
  return bytes
}

/** Appends the LogRecord of a row. */
export function writeLogRecord(out: OutputBuffer, row: ReplayRow, attributes: RowAttributes): void {
  writeFixed64(out, 1, eventTimeOf(row))
  writeVarint(out, 2, integerOf(row, 'severity_number'))
  writeBytes(out, 3, textOf(row, 'severity_text'))
  writeBody(out, row)
  attributes.write(out, 6, 'attributes', row)
  writeVarint(out, 7, integerOf(row, 'dropped_attributes_count'))
  writeFixed32(out, 8, integerOf(row, 'flags'))
  writeBytes(out, 9, idOf(row, 'trace_id'))
  writeBytes(out, 10, idOf(row, 'span_id'))
  writeFixed64(out, 11, timeOf(row, 'observed_timestamp'))
  writeBytes(out, 12, textOf(row, 'event_name'))
}

function writeBody(out: OutputBuffer, row: ReplayRow): void {
  const text = textOf(row, 'body')
  const json = textOf(row, 'body@json')
  if (text !== undefined) writePresentMessage(out, 5, () => writePresentBytes(out, 1, text))
  else if (json !== undefined) writePresentMessage(out, 5, () => appendAnyValueOfJson(out, json))
}

/** Appends the Span of a row. */
export function writeSpan(out: OutputBuffer, row: ReplayRow, attributes: RowAttributes): void {
  writeBytes(out, 1, idOf(row, 'trace_id'))
  writeBytes(out, 2, idOf(row, 'span_id'))
  writeBytes(out, 3, textOf(row, 'trace_state'))
  writeBytes(out, 4, idOf(row, 'parent_span_id'))
  writeBytes(out, 5, textOf(row, 'name'))
  writeVarint(out, 6, integerOf(row, 'kind'))
  writeFixed64(out, 7, eventTimeOf(row))
  writeFixed64(out, 8, timeOf(row, 'end_timestamp'))
  attributes.write(out, 9, 'attributes', row)
  writeVarint(out, 10, integerOf(row, 'dropped_attributes_count'))
  for (const event of structListOf(row, 'events')) {
    writePresentMessage(out, 11, () => writeEvent(out, event))
  }
  writeVarint(out, 12, integerOf(row, 'dropped_events_count'))
  for (const link of structListOf(row, 'links')) {
    writePresentMessage(out, 13, () => writeLink(out, link))
  }
  writeVarint(out, 14, integerOf(row, 'dropped_links_count'))
  writeMessage(out, 15, () => {
    writeBytes(out, 2, textOf(row, 'status_message'))
    writeVarint(out, 3, integerOf(row, 'status_code'))
  })
  writeFixed32(out, 16, integerOf(row, 'flags'))
}

function writeEvent(out: OutputBuffer, event: ReplayRow): void {
  writeFixed64(out, 1, timeOf(event, 'timestamp'))
  writeBytes(out, 2, textOf(event, 'name'))
  writeJsonAttributes(out, 3, textOf(event, 'attributes'))
  writeVarint(out, 4, integerOf(event, 'dropped_attributes_count'))
}

function writeLink(out: OutputBuffer, link: ReplayRow): void {
  writeBytes(out, 1, idOf(link, 'trace_id'))
  writeBytes(out, 2, idOf(link, 'span_id'))
  writeBytes(out, 3, textOf(link, 'trace_state'))
  writeJsonAttributes(out, 4, textOf(link, 'attributes'))
  writeVarint(out, 5, integerOf(link, 'dropped_attributes_count'))
  writeFixed32(out, 6, integerOf(link, 'flags'))
}
