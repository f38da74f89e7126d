/**
 * Export requests of one item, by hand, in both encodings. Every payload is distinct, so that a
 * server that removes retries counts each; times are of now, so that a time window lets them in.
 */
import { randomBytes } from 'node:crypto'

import {
  bytesField,
  doubleField,
  fixed64Field,
  message,
  stringField,
  varintField,
} from '@tributary/common/protobuf-message'

export const PROBE_SIGNALS = ['logs', 'traces', 'metrics'] as const
export type ProbeSignal = (typeof PROBE_SIGNALS)[number]

export const GRPC_PATHS: Readonly<Record<ProbeSignal, string>> = {
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  traces: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
}

export const HTTP_PATHS: Readonly<Record<ProbeSignal, string>> = {
  logs: '/v1/logs',
  traces: '/v1/traces',
  metrics: '/v1/metrics',
}

/** The year 2200: the last field of a message with the same number counts. */
const FAR_FUTURE_UNIX_NANO = 7_258_118_400_000_000_000n
const SERVICE_NAME = 'tributary-conformance'

/** A valid request of one item; `itemExtra` is appended to the item's protobuf fields. */
export function protobufPayload(
  signal: ProbeSignal,
  itemExtra: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const item = message(protobufItem(signal), itemExtra)
  return protobufRequest(signal === 'metrics' ? metricOf(item) : item)
}

/** A request around an item: resource with a service name, scope without a name. */
function protobufRequest(item: Uint8Array): Uint8Array {
  return bytesField(1, message(resource(), bytesField(2, bytesField(2, item))))
}

/** A span whose trace id is all zero: it can never be accepted. */
export function protobufBadSpan(): Uint8Array {
  const item = message(
    bytesField(1, new Uint8Array(16)),
    bytesField(2, randomBytes(8)),
    stringField(5, 'span with a zero trace id'),
    fixed64Field(7, nowUnixNano()),
    fixed64Field(8, nowUnixNano()),
  )
  return protobufRequest(item)
}

/** A valid request of one item; `itemExtra` is merged into the item. */
export function jsonPayload(
  signal: ProbeSignal,
  itemExtra: Readonly<Record<string, unknown>> = {},
): Uint8Array {
  return Buffer.from(JSON.stringify(jsonRequest(signal, { ...jsonItem(signal), ...itemExtra })))
}

/** One log record with a body of so many bytes. */
export function protobufLogOf(bodyBytes: number): Uint8Array {
  const text = unique().padEnd(bodyBytes, '.')
  return protobufPayload('logs', bytesField(5, stringField(1, text)))
}

export function jsonLogOf(bodyBytes: number): Uint8Array {
  return jsonPayload('logs', { body: { stringValue: unique().padEnd(bodyBytes, '.') } })
}

/** One log record of a time so far ahead that no clock explains it. */
export function protobufFutureLog(): Uint8Array {
  return protobufPayload('logs', fixed64Field(1, FAR_FUTURE_UNIX_NANO))
}

export function jsonFutureLog(): Uint8Array {
  return jsonPayload('logs', { timeUnixNano: String(FAR_FUTURE_UNIX_NANO) })
}

export function jsonBadSpan(): Uint8Array {
  return jsonPayload('traces', { traceId: '0'.repeat(32) })
}

function jsonRequest(signal: ProbeSignal, item: Readonly<Record<string, unknown>>): unknown {
  const attributes = [{ key: 'service.name', value: { stringValue: SERVICE_NAME } }]
  const resource = { attributes }
  if (signal === 'logs')
    return { resourceLogs: [{ resource, scopeLogs: [{ logRecords: [item] }] }] }
  if (signal === 'traces') return { resourceSpans: [{ resource, scopeSpans: [{ spans: [item] }] }] }
  const metrics = [{ name: 'conformance', gauge: { dataPoints: [item] } }]
  return { resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] }
}

function jsonItem(signal: ProbeSignal): Readonly<Record<string, unknown>> {
  const time = String(nowUnixNano())
  if (signal === 'logs') {
    return { timeUnixNano: time, severityNumber: 9, body: { stringValue: unique() } }
  }
  if (signal === 'traces') {
    return {
      traceId: randomBytes(16).toString('hex'),
      spanId: randomBytes(8).toString('hex'),
      name: unique(),
      kind: 1,
      startTimeUnixNano: time,
      endTimeUnixNano: time,
    }
  }
  return { timeUnixNano: time, asDouble: 0.5, attributes: [attributeJson()] }
}

function attributeJson(): unknown {
  return { key: 'probe', value: { stringValue: unique() } }
}

function protobufItem(signal: ProbeSignal): Uint8Array {
  const time = nowUnixNano()
  if (signal === 'logs') {
    return message(
      fixed64Field(1, time),
      varintField(2, 9),
      bytesField(5, stringField(1, unique())),
      fixed64Field(11, time),
    )
  }
  if (signal === 'traces') {
    return message(
      bytesField(1, randomBytes(16)),
      bytesField(2, randomBytes(8)),
      stringField(5, unique()),
      varintField(6, 1),
      fixed64Field(7, time),
      fixed64Field(8, time),
    )
  }
  return message(
    fixed64Field(3, time),
    doubleField(4, 0.5),
    bytesField(7, message(stringField(1, 'probe'), bytesField(2, stringField(1, unique())))),
  )
}

function metricOf(dataPoint: Uint8Array): Uint8Array {
  return message(stringField(1, 'conformance'), bytesField(5, bytesField(1, dataPoint)))
}

function resource(): Uint8Array {
  const value = bytesField(2, stringField(1, SERVICE_NAME))
  return bytesField(1, bytesField(1, message(stringField(1, 'service.name'), value)))
}

function unique(): string {
  return `probe ${randomBytes(8).toString('hex')}`
}

function nowUnixNano(): bigint {
  return BigInt(Date.now()) * 1_000_000n + BigInt(randomBytes(2).readUInt16LE())
}
