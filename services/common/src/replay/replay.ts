/**
 * Replay: the rows of our Parquet files back to OTLP export requests (docs/format/tables.md). The requests
 * are equal to those that made the rows: the same items under the same resources and scopes. Derived
 * columns (hashes, series ids, durations) are ignored.
 */
import { AppError, toAppError } from '../errors.ts'
import { OutputBuffer } from '../otlp/output-buffer.ts'
import type { SignalName } from '../signal.ts'
import { writeBytes, writeMessage, writePresentMessage, writeVarint } from './field-writer.ts'
import { writeLogRecord, writeSpan } from './item-replay.ts'
import { metricTypeOf, writeDataFields, writeMetricFields } from './point-replay.ts'
import type { GroupStep } from './request-builder.ts'
import { RequestBuilder } from './request-builder.ts'
import type { ColumnMap } from './row-attributes.ts'
import { RowAttributes } from './row-attributes.ts'
import type { ReplayRow } from './row-value.ts'
import { integerOf, stringOf, textOf } from './row-value.ts'

export interface ReplayOptions {
  /** A request is handed over when it passes this, so it may be larger by one item. */
  readonly requestBytesMax?: number
  readonly requestItemsMax?: number
}

export interface ReplayedRequest {
  /** ExportXServiceRequest, protobuf. */
  readonly body: Uint8Array
  readonly items: number
}

/** With the largest item (768 KiB) still below the 4 MiB that gRPC servers take by default. */
const REQUEST_BYTES_MAX = 1024 * 1024
/** Small items: 8,192 is the batch that collectors are used to. */
const REQUEST_ITEMS_MAX = 8192
/** Items are field 2 of logs and spans scopes, points field 1 of every kind of metric data. */
const ITEM_FIELDS: Readonly<Record<SignalName, number>> = { logs: 2, spans: 2, metrics: 1 }

/**
 * Turns rows of one file into requests. Rows come in any order (the file's own keeps resources
 * together); `columns` is the file's column map (parseColumnMap), values are as in row-value.ts.
 *
 * @throws AppError invalid_file, with the row, where a value does not fit its column
 */
export async function* replayRequests(
  signal: SignalName,
  columns: ColumnMap,
  rows: AsyncIterable<ReplayRow> | Iterable<ReplayRow>,
  options: ReplayOptions = {},
): AsyncGenerator<ReplayedRequest> {
  const bytesMax = options.requestBytesMax ?? REQUEST_BYTES_MAX
  const itemsMax = options.requestItemsMax ?? REQUEST_ITEMS_MAX
  const replay = new RowReplay(signal, columns)
  let rowNumber = 0
  for await (const row of rows) {
    try {
      replay.add(row)
    } catch (error) {
      const cause = toAppError(error)
      const details = { ...cause.details, row: rowNumber }
      throw new AppError('invalid_file', `cannot replay a row: ${cause.message}`, {
        cause,
        details,
      })
    }
    rowNumber++
    if (replay.byteCount >= bytesMax || replay.itemCount >= itemsMax) yield replay.finish()
  }
  if (replay.itemCount > 0) yield replay.finish()
}

class RowReplay {
  readonly #signal: SignalName
  readonly #attributes: RowAttributes
  readonly #builder = new RequestBuilder()
  readonly #scratch = new OutputBuffer()

  constructor(signal: SignalName, columns: ColumnMap) {
    this.#signal = signal
    this.#attributes = new RowAttributes(columns)
  }

  get byteCount(): number {
    return this.#builder.byteCount
  }

  get itemCount(): number {
    return this.#builder.itemCount
  }

  finish(): ReplayedRequest {
    const items = this.#builder.itemCount
    return { items, body: this.#builder.build(ITEM_FIELDS[this.#signal]) }
  }

  add(row: ReplayRow): void {
    const attributes = this.#attributes
    const path: GroupStep[] = [
      { field: 1, fields: this.#encode((out) => this.#writeResource(out, row)) },
      { field: 2, fields: this.#encode((out) => this.#writeScope(out, row)) },
    ]
    switch (this.#signal) {
      case 'logs':
        this.#builder.add(
          path,
          this.#encode((out) => writeLogRecord(out, row, attributes)),
        )
        return
      case 'spans':
        this.#builder.add(
          path,
          this.#encode((out) => writeSpan(out, row, attributes)),
        )
        return
      case 'metrics': {
        const type = metricTypeOf(row)
        const fields = this.#encode((out) => writeMetricFields(out, row))
        const dataFields = this.#encode((out) => writeDataFields(out, row))
        // a metric has one kind of data, so metrics of equal names and other data stay apart
        const identity = Buffer.concat([Uint8Array.of(type.field), dataFields, fields])
        path.push({ field: 2, fields, identity }, { field: type.field, fields: dataFields })
        this.#builder.add(
          path,
          this.#encode((out) => type.writePoint(out, row, attributes)),
        )
      }
    }
  }

  #encode(write: (out: OutputBuffer) => void): Uint8Array {
    const out = this.#scratch
    out.length = 0
    write(out)
    return out.toBytes()
  }

  /** ResourceX without its scopes: the resource and its schema URL. */
  #writeResource(out: OutputBuffer, row: ReplayRow): void {
    writeMessage(out, 1, () => {
      this.#attributes.write(out, 1, 'resource', row)
      writeVarint(out, 2, integerOf(row, 'resource_dropped_attributes_count'))
      writeEntityRefs(out, 3, stringOf(row, 'resource_entity_refs'))
    })
    writeBytes(out, 3, textOf(row, 'resource_schema_url'))
  }

  /** ScopeX without its items. */
  #writeScope(out: OutputBuffer, row: ReplayRow): void {
    writeMessage(out, 1, () => {
      writeBytes(out, 1, textOf(row, 'scope_name'))
      writeBytes(out, 2, textOf(row, 'scope_version'))
      this.#attributes.write(out, 3, 'scope', row)
      writeVarint(out, 4, integerOf(row, 'scope_dropped_attributes_count'))
    })
    writeBytes(out, 3, textOf(row, 'scope_schema_url'))
  }
}

/** Entity references stand in their column as a JSON array of OTLP/JSON objects. */
function writeEntityRefs(out: OutputBuffer, field: number, text: string | undefined): void {
  if (text === undefined) return
  const problem = (cause?: unknown): AppError =>
    new AppError('invalid_file', 'bad entity references', { cause })
  let refs: unknown
  try {
    refs = JSON.parse(text)
  } catch (cause) {
    throw problem(cause)
  }
  if (!Array.isArray(refs)) throw problem()
  for (const ref of refs as unknown[]) {
    if (typeof ref !== 'object' || ref === null) throw problem()
    writePresentMessage(out, field, () => writeEntityRef(out, ref as Record<string, unknown>))
  }
}

function writeEntityRef(out: OutputBuffer, ref: Readonly<Record<string, unknown>>): void {
  const text = (value: unknown): Uint8Array => Buffer.from(typeof value === 'string' ? value : '')
  const texts = (value: unknown): Uint8Array[] => (Array.isArray(value) ? value.map(text) : [])
  writeBytes(out, 1, text(ref['schemaUrl']))
  writeBytes(out, 2, text(ref['type']))
  for (const key of texts(ref['idKeys'])) writeRepeated(out, 3, key)
  for (const key of texts(ref['descriptionKeys'])) writeRepeated(out, 4, key)
}

/** An element of a repeated field is there even when it is empty. */
function writeRepeated(out: OutputBuffer, field: number, content: Uint8Array): void {
  writePresentMessage(out, field, () => out.writeSlice(content, 0, content.length))
}
