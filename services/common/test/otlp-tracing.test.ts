/** The SDK behind the port of traces: what becomes of spans, and what an export is like on the wire. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'

import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { InMemorySpanExporter } from '@opentelemetry/sdk-trace'

import { systemClock } from '../src/clock.ts'
import { createLogger } from '../src/logger.ts'
import { OtlpTracing } from '../src/otlp-tracing.ts'
import { parseTraceparent } from '../src/trace-context.ts'
import { openTracing } from '../src/tracing-opening.ts'

const PARTS = {
  name: 'test',
  instance: 'here/1',
  clock: systemClock,
  logger: createLogger({ name: 'test', level: 'silent' }),
}
const [ONE, TWO] = ['1', '2'].map((digit) => `00-${digit.repeat(32)}-${digit.repeat(16)}-01`) as [
  string,
  string,
]

class KeepingExporter extends InMemorySpanExporter {
  /** The end of tracing empties it. */
  override shutdown(): Promise<void> {
    return Promise.resolve()
  }
}

describe('OtlpTracing', () => {
  it('makes children, links and failures of what it is told, at the times that it is told', async () => {
    const exporter = new KeepingExporter()
    const tracing = new OtlpTracing({ ...PARTS, endpoint: 'http://x', sampleRatio: 0, exporter })
    assert.equal(tracing.request('untold', undefined, 0), undefined)
    const nowMs = systemClock.monotonicMs()
    const request = tracing.request('asked', ONE, nowMs - 50, { kind: 'server' })!
    request.child('part', nowMs - 40, { attributes: { count: 3 } }).end(nowMs - 30)
    request.end(nowMs, 'overloaded')
    tracing.follow('batch', [request.traceparent, TWO, 'malformed'], nowMs)!.end(nowMs + 1)
    assert.equal(tracing.follow('nothing', ['malformed'], nowMs), undefined)
    await tracing.close()

    const spans = exporter.getFinishedSpans()
    assert.deepEqual(
      spans.map(({ name }) => name),
      ['part', 'asked', 'batch'],
    )
    const [part, asked, batch] = spans as [(typeof spans)[0], (typeof spans)[0], (typeof spans)[0]]
    assert.equal(asked.spanContext().traceId, '1'.repeat(32))
    assert.equal(asked.parentSpanContext?.spanId, '1'.repeat(16))
    assert.equal(asked.kind, SpanKind.SERVER)
    assert.deepEqual(asked.status, { code: SpanStatusCode.ERROR, message: 'overloaded' })
    assert.equal(part.parentSpanContext?.spanId, asked.spanContext().spanId)
    assert.deepEqual(part.attributes, { count: 3 })
    assert.equal(batch.parentSpanContext?.spanId, asked.spanContext().spanId)
    assert.deepEqual(
      batch.links.map(({ context }) => [context.traceId, context.spanId]),
      [['2'.repeat(32), '2'.repeat(16)]],
    )
    assert.equal(part.resource.attributes['service.name'], 'tributary-test')
    const unixMs = ([seconds, nanos]: readonly [number, number]): number =>
      seconds * 1000 + nanos / 1e6
    assert.ok(Math.abs(unixMs(asked.endTime) - Date.now()) < 10_000)
    assert.ok(Math.abs(unixMs(asked.duration) - 50) < 0.01)
    assert.ok(Math.abs(unixMs(part.startTime) - unixMs(asked.startTime) - 10) < 0.01)
  })

  it('sends OTLP that says of itself not to be traced', async (t) => {
    const calls: { url: string | undefined; headers: IncomingHttpHeaders; bytes: number }[] = []
    const server = createServer((request, response) => {
      let bytes = 0
      request.on('data', (chunk: Buffer) => (bytes += chunk.length))
      request.on('end', () => {
        calls.push({ url: request.url, headers: request.headers, bytes })
        response.end()
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const endpoint = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`
    const tracing = (await openTracing({ tracesEndpoint: endpoint, tracesSampleRatio: 1 }, PARTS))!
    const nowMs = systemClock.monotonicMs()
    tracing.request('asked', undefined, nowMs)!.end(nowMs)
    await tracing.close()
    assert.equal(calls.length, 1)
    const { url, headers, bytes } = calls[0]!
    assert.equal(url, '/v1/traces')
    assert.equal(headers['content-type'], 'application/x-protobuf')
    assert.ok(bytes > 0)
    const traceparent = headers['traceparent'] as string
    assert.equal(parseTraceparent(traceparent)?.isSampled, false)
    assert.equal(tracing.request('export', traceparent, nowMs), undefined)
  })

  it('ends in time where nobody takes the spans', async (t) => {
    const server = createServer(() => undefined)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    const tracesEndpoint = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`
    const tracing = (await openTracing({ tracesEndpoint, tracesSampleRatio: 1 }, PARTS))!
    const nowMs = systemClock.monotonicMs()
    tracing.request('asked', undefined, nowMs)!.end(nowMs)
    const startMs = performance.now()
    await tracing.close()
    assert.ok(performance.now() - startMs < 10_000)
  })

  it('is nothing at all where no endpoint is set', async () => {
    assert.equal(await openTracing({}, PARTS), undefined)
  })
})
