/**
 * OTLP requests made once and sent often: the bytes stay, and before each send a number that never
 * comes again is written into the ids of every resource's items. Without that the server would
 * take the second request for a retry of the first and store it once.
 */
import { Writer } from './protobuf.ts'

export type Signal = 'logs' | 'traces' | 'metrics'

export interface PayloadOptions {
  readonly signal: Signal
  /** Log records, spans or data points. */
  readonly items: number
  /** Resource* messages that they are spread over. */
  readonly resources: number
  /** Bytes of a log body or of a span's attribute. */
  readonly bodyBytes: number
  /** Stands in every resource as `loadtest.run`: what is counted afterwards. */
  readonly run: string
  /** Distinguishes the streams of clients. */
  readonly client: number
}

export interface Payload {
  readonly bytes: Uint8Array
  readonly items: number
  /** Where the Resource* messages lie: [start, end) in pairs. */
  readonly parts: readonly number[]
  /** Where the first 4 bytes of each item's trace id stand. */
  readonly idOffsets: readonly number[]
  readonly view: DataView
}

/** Marks the place; no text and no length of ours looks like it. */
const ID_MARK = [0xa5, 0xfe, 0xc3, 0x81]
const PATHS = ['/api/v1/users', '/api/v1/orders', '/api/v1/cart', '/healthz', '/login', '/search']
const SEVERITIES = [
  [9, 'INFO'],
  [9, 'INFO'],
  [9, 'INFO'],
  [13, 'WARN'],
  [17, 'ERROR'],
] as const
/** Distinct items that a payload is put together from. */
const TEMPLATES = 24

export function makePayload(options: PayloadOptions): Payload {
  const request = new Writer(4096)
  const parts: number[] = []
  const perPart = Math.ceil(options.items / options.resources)
  for (let part = 0, left = options.items; left > 0; part++, left -= perPart) {
    request.bytesField(1, resourcePart(options, part, Math.min(perPart, left)))
    parts.push(request.length)
  }
  const bytes = request.take()
  return {
    bytes,
    items: options.items,
    parts: partRanges(bytes, parts),
    idOffsets: findMarks(bytes),
    view: new DataView(bytes.buffer),
  }
}

/** Writes `sequence` (below 2^32) into all ids of the payload; the client's number is in them already. */
export function stamp(payload: Payload, sequence: number): void {
  const { idOffsets, view } = payload
  for (let i = 0; i < idOffsets.length; i++) view.setUint32(idOffsets[i]!, sequence, true)
}

/** Each Resource* message without its tag and length, for gRPC's `repeated bytes`. */
function partRanges(bytes: Uint8Array, ends: readonly number[]): number[] {
  const ranges: number[] = []
  let at = 0
  for (const end of ends) {
    let start = at + 1
    while ((bytes[start]! & 0x80) !== 0) start++
    ranges.push(start + 1, end)
    at = end
  }
  return ranges
}

function resourcePart(options: PayloadOptions, part: number, items: number): Uint8Array {
  const resource = new Writer()
  attribute(resource, 1, 'service.name', `service-${part}`)
  attribute(resource, 1, 'service.instance.id', `client-${options.client}-${part}`)
  attribute(resource, 1, 'deployment.environment', 'loadtest')
  attribute(resource, 1, 'loadtest.run', options.run)
  const scope = new Writer()
  scope.textField(1, 'loadtest')
  const scoped = new Writer(items * 256)
  scoped.bytesField(1, scope.written)
  if (options.signal === 'metrics') scoped.bytesField(2, metric(options, items))
  else {
    const templates = Array.from({ length: Math.min(TEMPLATES, items) }, (_, index) =>
      options.signal === 'logs' ? logRecord(options, index) : span(options, index),
    )
    for (let item = 0; item < items; item++) {
      scoped.bytesField(2, templates[item % templates.length]!)
    }
  }
  const message = new Writer(scoped.length + 256)
  message.bytesField(1, resource.written)
  message.bytesField(2, scoped.written)
  return message.take()
}

function logRecord(options: PayloadOptions, index: number): Uint8Array {
  const [number, text] = SEVERITIES[index % SEVERITIES.length]!
  const record = new Writer(256 + options.bodyBytes)
  record.timeField(1, Date.now(), index * 1000 + 1)
  record.varintField(2, number)
  record.textField(3, text)
  record.bytesField(5, textValue(bodyText(options.bodyBytes, index)))
  attribute(record, 6, 'http.route', PATHS[index % PATHS.length]!)
  attribute(record, 6, 'user.id', `user-${index * 7919}`)
  ids(record, 9, 10)
  return record.take()
}

function span(options: PayloadOptions, index: number): Uint8Array {
  const bytes = new Writer(256 + options.bodyBytes)
  ids(bytes, 1, 2)
  bytes.textField(5, `GET ${PATHS[index % PATHS.length]!}`)
  bytes.varintField(6, 2)
  bytes.timeField(7, Date.now(), index * 1000 + 1)
  bytes.timeField(8, Date.now() + 5, index * 1000 + 1)
  attribute(bytes, 9, 'http.route', PATHS[index % PATHS.length]!)
  attribute(bytes, 9, 'note', bodyText(options.bodyBytes, index))
  return bytes.take()
}

/** One gauge; its points carry the number in an exemplar's trace id. */
function metric(options: PayloadOptions, items: number): Uint8Array {
  const gauge = new Writer(items * 128)
  for (let index = 0; index < items; index++) {
    const point = new Writer(160)
    point.timeField(3, Date.now(), index * 1000 + 1)
    point.doubleField(4, index / 3)
    const exemplar = new Writer(96)
    exemplar.timeField(2, Date.now(), index * 1000 + 1)
    exemplar.doubleField(3, index / 3)
    ids(exemplar, 5, 4)
    point.bytesField(5, exemplar.written)
    attribute(point, 7, 'core', `core-${index % 64}`)
    attribute(point, 7, 'client', `client-${options.client}`)
    gauge.bytesField(1, point.written)
  }
  const bytes = new Writer(gauge.length + 64)
  bytes.textField(1, 'loadtest.value')
  bytes.textField(3, '1')
  bytes.bytesField(5, gauge.written)
  return bytes.take()
}

/** A trace id: the mark that `stamp` overwrites, random bytes that tell runs and clients apart. */
function ids(writer: Writer, traceField: number, spanField: number): void {
  const trace = new Uint8Array(16)
  trace.set(ID_MARK)
  for (let i = ID_MARK.length; i < 16; i++) trace[i] = Math.floor(Math.random() * 127) + 1
  const span = trace.slice(8)
  // in the order of their numbers, as every encoder does
  if (spanField < traceField) writer.bytesField(spanField, span)
  writer.bytesField(traceField, trace)
  if (spanField > traceField) writer.bytesField(spanField, span)
}

function attribute(writer: Writer, field: number, key: string, value: string): void {
  const pair = new Writer(64 + value.length)
  pair.textField(1, key)
  pair.bytesField(2, textValue(value))
  writer.bytesField(field, pair.written)
}

function textValue(text: string): Uint8Array {
  const value = new Writer(text.length + 8)
  value.textField(1, text)
  return value.take()
}

function bodyText(bytes: number, index: number): string {
  let text = `request ${index} took ${(index * 37) % 1000} ms; `
  while (text.length < bytes) text += `${Math.random().toString(36).slice(2)} `
  return text.slice(0, bytes)
}

function findMarks(bytes: Uint8Array): number[] {
  const found: number[] = []
  for (let at = bytes.indexOf(ID_MARK[0]!); at >= 0; at = bytes.indexOf(ID_MARK[0]!, at + 1)) {
    if (ID_MARK.every((byte, index) => bytes[at + index] === byte)) found.push(at)
  }
  return found
}
