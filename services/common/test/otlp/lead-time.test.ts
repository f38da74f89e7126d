import assert from 'node:assert/strict'
import test from 'node:test'

import { leadTimeUnixNano } from '../../src/otlp/lead-time.ts'
import { openSource, viewOf } from '../../src/otlp/protobuf-cursor.ts'
import { ProtobufWriter } from '../../src/otlp/protobuf-writer.ts'
import { Signal } from '../../src/signal.ts'
import { OtlpMessage } from '../../src/testing/otlp-messages.ts'

const LOG = new OtlpMessage('opentelemetry.proto.logs.v1.LogRecord')
const SPAN = new OtlpMessage('opentelemetry.proto.trace.v1.Span')
const POINTS = [
  'NumberDataPoint',
  'HistogramDataPoint',
  'ExponentialHistogramDataPoint',
  'SummaryDataPoint',
].map((name) => new OtlpMessage(`opentelemetry.proto.metrics.v1.${name}`))

function timeOf(signal: Signal, message: Uint8Array): bigint {
  // bytes around it must not count
  const bytes = Buffer.concat([Buffer.from([0x09, 1, 2]), message, Buffer.from([3, 4, 5, 6])])
  openSource(bytes, viewOf(bytes), 0)
  return leadTimeUnixNano(signal, 3, 3 + message.length)
}

function encode(type: OtlpMessage, fields: Record<string, unknown>): Uint8Array {
  return type.type.encode(type.type.fromObject(fields)).finish()
}

test('of a log record the time counts, else when it was observed, else 0', () => {
  const fields = { body: { stringValue: 'hello' }, severityText: 'INFO' }
  const observed = { ...fields, observedTimeUnixNano: '18446744073709551615' }
  assert.equal(timeOf(Signal.logs, encode(LOG, { ...observed, timeUnixNano: '7' })), 7n)
  assert.equal(timeOf(Signal.logs, encode(LOG, { ...observed, timeUnixNano: '0' })), 2n ** 64n - 1n)
  assert.equal(timeOf(Signal.logs, encode(LOG, observed)), 2n ** 64n - 1n)
  assert.equal(timeOf(Signal.logs, encode(LOG, fields)), 0n)
  assert.equal(timeOf(Signal.logs, new Uint8Array(0)), 0n)
})

test('of a span its end counts, else its start', () => {
  const fields = { name: 'GET', startTimeUnixNano: '5' }
  assert.equal(timeOf(Signal.spans, encode(SPAN, { ...fields, endTimeUnixNano: '9' })), 9n)
  assert.equal(timeOf(Signal.spans, encode(SPAN, fields)), 5n)
})

test('of points of all kinds their time counts, never their start', () => {
  for (const type of POINTS) {
    const start = { startTimeUnixNano: '5', attributes: [{ key: 'a', value: { intValue: '1' } }] }
    assert.equal(timeOf(Signal.metrics, encode(type, { ...start, timeUnixNano: '8' })), 8n)
    assert.equal(timeOf(Signal.metrics, encode(type, start)), 0n)
  }
})

test('what can not be read, and what is too large to be stored, has no time and is no error', () => {
  const whole = encode(LOG, { body: { stringValue: 'x' }, timeUnixNano: '7', traceId: 'AAAA' })
  const late = encode(LOG, { severityText: 'INFO', observedTimeUnixNano: '7' })
  assert.equal(timeOf(Signal.logs, late.subarray(0, late.length - 1)), 0n)
  assert.equal(timeOf(Signal.logs, whole.subarray(0, 5)), 0n)
  assert.equal(timeOf(Signal.logs, Uint8Array.of(0x07, 1, 2, 3)), 0n)
  const large = new ProtobufWriter()
  large.bytesField(5, new Uint8Array(800_000))
  assert.equal(timeOf(Signal.logs, Buffer.concat([whole, large.take()])), 0n)
})
