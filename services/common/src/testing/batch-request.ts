/**
 * Batches back to OTLP: every row as an export request part of its own. Slow and plain, for tests
 * that compare what was decoded with what was sent (by the canonical form).
 */
import type { BatchRow, Cell } from '../columnar/batch-rows.ts'
import { batchRows } from '../columnar/batch-rows.ts'
import type { BatchView } from '../columnar/batch-view.ts'
import { ProtobufWriter } from '../otlp/protobuf-writer.ts'
import type { SignalName } from '../signal.ts'

const ATTRIBUTE = /^attributes\.(.*)@(string|int|double|bool|bytes|any)$/s

/** How a cell goes back into a field; `raw` holds whole fields, tags included. */
type Form =
  'fixed64' | 'double' | 'fixed32' | 'varint' | 'sint32' | 'bytes' | 'raw' | 'packed' | 'varints'

type FieldMap = Readonly<Record<string, readonly [number, Form]>>

const LOG_FIELDS: FieldMap = {
  time_unix_nano: [1, 'fixed64'],
  observed_time_unix_nano: [11, 'fixed64'],
  severity_number: [2, 'varint'],
  severity_text: [3, 'bytes'],
  'body@any': [5, 'bytes'],
  trace_id: [9, 'bytes'],
  span_id: [10, 'bytes'],
  flags: [8, 'fixed32'],
  event_name: [12, 'bytes'],
  dropped_attributes_count: [7, 'varint'],
}

const SPAN_FIELDS: FieldMap = {
  trace_id: [1, 'bytes'],
  span_id: [2, 'bytes'],
  parent_span_id: [4, 'bytes'],
  trace_state: [3, 'bytes'],
  flags: [16, 'fixed32'],
  name: [5, 'bytes'],
  kind: [6, 'varint'],
  start_time_unix_nano: [7, 'fixed64'],
  end_time_unix_nano: [8, 'fixed64'],
  dropped_attributes_count: [10, 'varint'],
  dropped_events_count: [12, 'varint'],
  dropped_links_count: [14, 'varint'],
  events: [0, 'raw'],
  links: [0, 'raw'],
}

const NUMBER_FIELDS: FieldMap = {
  start_time_unix_nano: [2, 'fixed64'],
  time_unix_nano: [3, 'fixed64'],
  flags: [8, 'varint'],
  value_int: [6, 'fixed64'],
  value_double: [4, 'double'],
  exemplars: [0, 'raw'],
}

const HISTOGRAM_FIELDS: FieldMap = {
  start_time_unix_nano: [2, 'fixed64'],
  time_unix_nano: [3, 'fixed64'],
  flags: [10, 'varint'],
  count: [4, 'fixed64'],
  sum: [5, 'double'],
  bucket_counts: [6, 'packed'],
  explicit_bounds: [7, 'packed'],
  min: [11, 'double'],
  max: [12, 'double'],
}

const EXPONENTIAL_FIELDS: FieldMap = {
  start_time_unix_nano: [2, 'fixed64'],
  time_unix_nano: [3, 'fixed64'],
  flags: [10, 'varint'],
  count: [4, 'fixed64'],
  sum: [5, 'double'],
  scale: [6, 'sint32'],
  zero_count: [7, 'fixed64'],
  min: [12, 'double'],
  max: [13, 'double'],
  zero_threshold: [14, 'double'],
}

const SUMMARY_FIELDS: FieldMap = {
  start_time_unix_nano: [2, 'fixed64'],
  time_unix_nano: [3, 'fixed64'],
  flags: [8, 'varint'],
  count: [4, 'fixed64'],
  sum: [5, 'double'],
  quantiles: [0, 'raw'],
}

const EXEMPLARS_TAG = 0x2a

/** An export request of all rows of a batch. */
export function batchToRequest(signal: SignalName, view: BatchView): Uint8Array {
  const request = new ProtobufWriter()
  for (const row of batchRows(view)) {
    const scope = new ProtobufWriter()
    scope.raw(row['scope'] as Uint8Array)
    scope.bytesField(2, itemOf(signal, row))
    const part = new ProtobufWriter()
    part.raw(row['resource'] as Uint8Array)
    part.bytesField(2, scope.written)
    request.bytesField(1, part.written)
  }
  return request.take()
}

function itemOf(signal: SignalName, row: BatchRow): Uint8Array {
  if (signal === 'metrics') return metricOf(row)
  const item = new ProtobufWriter()
  addFields(item, signal === 'logs' ? LOG_FIELDS : SPAN_FIELDS, row)
  addAttributes(item, signal === 'logs' ? 6 : 9, row)
  const body = row['body@string']
  if (signal === 'logs' && body !== undefined) {
    const any = new ProtobufWriter()
    any.bytesField(1, Buffer.from(body as string))
    item.bytesField(5, any.written)
  }
  if (signal === 'spans') {
    const status = new ProtobufWriter()
    addFields(status, { status_message: [2, 'bytes'], status_code: [3, 'varint'] }, row)
    if (status.length > 0) item.bytesField(15, status.written)
  }
  return item.written
}

function metricOf(row: BatchRow): Uint8Array {
  const metric = new ProtobufWriter()
  const header: FieldMap = {
    metric_name: [1, 'bytes'],
    description: [2, 'bytes'],
    unit: [3, 'bytes'],
    metadata: [0, 'raw'],
  }
  addFields(metric, header, row)
  const type = row['metric_type'] as number
  const data = new ProtobufWriter()
  data.bytesField(1, pointOf(type, row))
  addFields(data, { temporality: [2, 'varint'] }, row)
  // false stands in the column of every sum that may go down, and is left out of a message
  if (Number(row['is_monotonic'] ?? 0) === 1) addFields(data, { is_monotonic: [3, 'varint'] }, row)
  metric.bytesField(type, data.written)
  return metric.written
}

function pointOf(type: number, row: BatchRow): Uint8Array {
  const point = new ProtobufWriter()
  switch (type) {
    case 9:
      addFields(point, HISTOGRAM_FIELDS, row)
      addExemplars(point, 8, row)
      addAttributes(point, 9, row)
      break
    case 10:
      addFields(point, EXPONENTIAL_FIELDS, row)
      addBuckets(point, 8, 'positive', row)
      addBuckets(point, 9, 'negative', row)
      addExemplars(point, 11, row)
      addAttributes(point, 1, row)
      break
    case 11:
      addFields(point, SUMMARY_FIELDS, row)
      addAttributes(point, 7, row)
      break
    default:
      addFields(point, NUMBER_FIELDS, row)
      addAttributes(point, 7, row)
  }
  return point.written
}

function addBuckets(point: ProtobufWriter, field: number, sign: string, row: BatchRow): void {
  if (row[`${sign}_offset`] === undefined) return
  const buckets = new ProtobufWriter()
  const fields: FieldMap = {
    [`${sign}_offset`]: [1, 'sint32'],
    [`${sign}_bucket_counts`]: [2, 'varints'],
  }
  addFields(buckets, fields, row)
  point.bytesField(field, buckets.written)
}

/** Exemplars come under field 5 and go back under that of the point. */
function addExemplars(point: ProtobufWriter, field: number, row: BatchRow): void {
  const bytes = row['exemplars'] as Uint8Array | undefined
  for (let at = 0; bytes !== undefined && at < bytes.length;) {
    if (bytes[at++] !== EXEMPLARS_TAG) throw new Error('exemplars hold another field')
    let length = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    point.bytesField(field, bytes.subarray(at, at + length))
    at += length
  }
}

function addFields(writer: ProtobufWriter, fields: FieldMap, row: BatchRow): void {
  for (const [name, [field, form]] of Object.entries(fields)) {
    const cell = row[name]
    if (cell !== undefined) addCell(writer, field, form, cell)
  }
}

function addCell(writer: ProtobufWriter, field: number, form: Form, cell: Cell): void {
  switch (form) {
    case 'raw':
      writer.raw(cell as Uint8Array)
      return
    case 'bytes':
      writer.bytesField(field, typeof cell === 'string' ? Buffer.from(cell) : (cell as Uint8Array))
      return
    case 'fixed64':
    case 'double':
      writer.tag(field, 1)
      writer.raw(eightBytes(cell as bigint | number))
      return
    case 'fixed32':
      writer.tag(field, 5)
      writer.fixed32(cell as number)
      return
    case 'varint':
      writer.tag(field, 0)
      writer.varint64(Number(cell), Number(cell) < 0 ? -1 : 0)
      return
    case 'sint32':
      writer.tag(field, 0)
      writer.varint(((cell as number) << 1) ^ ((cell as number) >> 31))
      return
    case 'packed':
      writer.bytesField(field, Buffer.concat((cell as (bigint | number)[]).map(eightBytes)))
      return
    case 'varints': {
      const packed = new ProtobufWriter()
      for (const count of cell as bigint[]) addVarint64(packed, count)
      writer.bytesField(field, packed.written)
    }
  }
}

function addAttributes(item: ProtobufWriter, field: number, row: BatchRow): void {
  addSparse(item, field, row)
  for (const [name, cell] of Object.entries(row)) {
    const match = ATTRIBUTE.exec(name)
    if (match === null) continue
    const any = new ProtobufWriter()
    addAnyValue(any, match[2]!, cell)
    const pair = new ProtobufWriter()
    pair.bytesField(1, Buffer.from(match[1]!))
    pair.bytesField(2, any.written)
    item.bytesField(field, pair.written)
  }
}

/** The attributes without a column. */
function addSparse(item: ProtobufWriter, field: number, row: BatchRow): void {
  const keys = (row['sparse_keys'] ?? []) as readonly string[]
  const values = (row['sparse_values'] ?? []) as readonly Uint8Array[]
  keys.forEach((key, index) => {
    const pair = new ProtobufWriter()
    pair.bytesField(1, Buffer.from(key))
    pair.bytesField(2, values[index]!)
    item.bytesField(field, pair.written)
  })
}

function addAnyValue(any: ProtobufWriter, type: string, cell: Cell): void {
  switch (type) {
    case 'string':
      any.bytesField(1, Buffer.from(cell as string))
      return
    case 'bool':
      any.tag(2, 0)
      any.byte(cell === true ? 1 : 0)
      return
    case 'int':
      any.tag(3, 0)
      addVarint64(any, cell as bigint)
      return
    case 'double':
      any.tag(4, 1)
      any.raw(eightBytes(cell as number))
      return
    case 'bytes':
      any.bytesField(7, cell as Uint8Array)
      return
    default:
      any.raw(cell as Uint8Array)
  }
}

function addVarint64(writer: ProtobufWriter, value: bigint): void {
  const bits = BigInt.asUintN(64, value)
  writer.varint64(Number(bits & 0xffffffffn), Number(bits >> 32n))
}

function eightBytes(value: bigint | number): Uint8Array {
  const bytes = Buffer.alloc(8)
  if (typeof value === 'bigint') bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
  else bytes.writeDoubleLE(value)
  return bytes
}
