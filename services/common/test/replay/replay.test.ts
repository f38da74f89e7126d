import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '../../src/errors.ts'
import type { ReplayOptions } from '../../src/replay/replay.ts'
import { replayRequests } from '../../src/replay/replay.ts'
import type { ColumnMap } from '../../src/replay/row-attributes.ts'
import { parseColumnMap } from '../../src/replay/row-attributes.ts'
import type { ReplayRow } from '../../src/replay/row-value.ts'
import type { SignalName } from '../../src/signal.ts'
import { exportRequest } from '../../src/testing/otlp-messages.ts'
import type { Model } from '../../src/testing/otlp-model.ts'
import { decodeModel, doubleBits } from '../../src/testing/otlp-model.ts'

const COLUMNS: ColumnMap = {
  'resource.service.name': { namespace: 'resource', key: 'service.name', type: 'string' },
  'scope.lib': { namespace: 'scope', key: 'lib', type: 'bool' },
  'attributes.code': { namespace: 'attributes', key: 'code', type: 'int' },
  'attributes.code@string': { namespace: 'attributes', key: 'code', type: 'string' },
  'attributes.ratio': { namespace: 'attributes', key: 'ratio', type: 'double' },
  'attributes.blob': { namespace: 'attributes', key: 'blob', type: 'bytes' },
  'attributes.@empty@json': { namespace: 'attributes', key: '', type: 'any' },
}

const MICROS = 1_700_000_000_123_456n

async function replay(
  signal: SignalName,
  rows: readonly ReplayRow[],
  options?: ReplayOptions,
): Promise<Model[]> {
  const models: Model[] = []
  const { type } = exportRequest(signal)
  for await (const { body, items } of replayRequests(signal, COLUMNS, rows, options)) {
    assert.ok(items > 0)
    models.push(decodeModel(type, body))
  }
  return models
}

async function replayLog(row: ReplayRow): Promise<Model> {
  const [request] = await replay('logs', [row])
  const { resourceLogs } = request as unknown as {
    resourceLogs: { scopeLogs: { logRecords: Model[] }[] }[]
  }
  return resourceLogs[0]!.scopeLogs[0]!.logRecords[0]!
}

async function replayPoint(row: ReplayRow): Promise<Model> {
  const [request] = await replay('metrics', [{ timestamp_source: 'arrival', ...row }])
  const { resourceMetrics } = request as unknown as {
    resourceMetrics: { scopeMetrics: { metrics: Record<string, unknown>[] }[] }[]
  }
  const metric = resourceMetrics[0]!.scopeMetrics[0]!.metrics[0]!
  return (Object.values(metric)[0] as { dataPoints: Model[] }).dataPoints[0]!
}

const id = (digits: string): Uint8Array => Buffer.from(digits, 'hex')

/** Buffers and byte arrays are the same here. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]))
}

function equal(actual: unknown, expected: unknown): void {
  assert.deepEqual(plain(actual), plain(expected))
}

describe('replay', () => {
  it('rebuilds a log with every column', async () => {
    const requests = await replay('logs', [
      {
        timestamp: MICROS,
        timestamp_nanos: 789,
        timestamp_source: 'event',
        observed_timestamp: { micros: 1n },
        observed_timestamp_nanos: 1,
        severity_number: 9,
        severity_text: 'INFO',
        body: '',
        'body@json': null,
        trace_id: '0102030405060708090a0b0c0d0e0f10',
        span_id: '0102030405060708',
        flags: 4_294_967_295n,
        event_name: 'started',
        dropped_attributes_count: 2n,
        resource_hash: 77n,
        resource_dropped_attributes_count: 1n,
        resource_schema_url: 'resource url',
        resource_entity_refs: '[{"type":"service","idKeys":["service.name",""]},{}]',
        scope_name: 'scope',
        scope_version: '1',
        scope_dropped_attributes_count: 3n,
        scope_schema_url: 'scope url',
        'resource.service.name': 'shop',
        'scope.lib': false,
        'attributes.code': -5n,
        'attributes.ratio': -0,
        'attributes.blob': { bytes: Uint8Array.of(0, 255) },
        'attributes.@empty@json': '{"@map":{"@bytes":"AA=="}}',
        'attributes._overflow': '{"rare":1.0,"@x":null}',
      },
    ])
    equal(requests, [
      {
        resourceLogs: [
          {
            resource: {
              attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }],
              droppedAttributesCount: 1,
              entityRefs: [{ type: 'service', idKeys: ['service.name', ''] }, {}],
            },
            schemaUrl: 'resource url',
            scopeLogs: [
              {
                scope: {
                  name: 'scope',
                  version: '1',
                  attributes: [{ key: 'lib', value: { boolValue: false } }],
                  droppedAttributesCount: 3,
                },
                schemaUrl: 'scope url',
                logRecords: [
                  {
                    timeUnixNano: MICROS * 1000n + 789n,
                    severityNumber: 9,
                    severityText: 'INFO',
                    body: { stringValue: '' },
                    attributes: [
                      { key: 'code', value: { intValue: -5n } },
                      { key: 'ratio', value: { doubleValue: doubleBits(-0) } },
                      { key: 'blob', value: { bytesValue: Uint8Array.of(0, 255) } },
                      {
                        value: {
                          kvlistValue: {
                            values: [{ key: '@bytes', value: { stringValue: 'AA==' } }],
                          },
                        },
                      },
                      { key: 'rare', value: { doubleValue: doubleBits(1) } },
                      { key: '@x' },
                    ],
                    droppedAttributesCount: 2,
                    flags: 4_294_967_295,
                    traceId: id('0102030405060708090a0b0c0d0e0f10'),
                    spanId: id('0102030405060708'),
                    observedTimeUnixNano: 1001n,
                    eventName: 'started',
                  },
                ],
              },
            ],
          },
        ],
      },
    ])
  })

  it('leaves the time out that came from elsewhere, and keeps the last of 64 bits', async () => {
    for (const source of ['observed', 'arrival']) {
      equal(await replayLog({ timestamp: MICROS, timestamp_source: source }), {})
    }
    const last = { timestamp: 18_446_744_073_709_551n, timestamp_nanos: 615n }
    equal(await replayLog({ ...last, timestamp_source: 'event' }), { timeUnixNano: 2n ** 64n - 1n })
  })

  it('tells an absent body, one without a value and an empty one apart', async () => {
    equal(await replayLog({}), {})
    equal(await replayLog({ 'body@json': 'null' }), { body: {} })
    equal(await replayLog({ body: '' }), { body: { stringValue: '' } })
    equal(await replayLog({ 'body@json': '[]' }), { body: { arrayValue: {} } })
  })

  it('rebuilds a span with events and links, in DuckDB objects too', async () => {
    const events = [
      {
        timestamp: 5n,
        timestamp_nanos: 6,
        name: 'e',
        attributes: '{"a":1}',
        dropped_attributes_count: 7n,
      },
      {
        timestamp: null,
        timestamp_nanos: null,
        name: null,
        attributes: null,
        dropped_attributes_count: null,
      },
    ]
    const row = {
      trace_id: 'ff'.repeat(16),
      span_id: 'ee'.repeat(8),
      parent_span_id: null,
      name: 'span',
      kind: 2,
      timestamp: 1n,
      timestamp_nanos: 0,
      timestamp_source: 'event',
      end_timestamp: 2n,
      end_timestamp_nanos: 3,
      duration_ns: 1003n,
      status_code: 2,
      status_message: 'bad',
      flags: 256n,
      trace_state: 'a=b',
      dropped_events_count: 1n,
      dropped_links_count: 2n,
      links: {
        items: [
          {
            entries: {
              trace_id: 'dd'.repeat(16),
              span_id: 'cc'.repeat(8),
              attributes: '{}',
              flags: 1n,
            },
          },
        ],
      },
    }
    const span = {
      traceId: id('ff'.repeat(16)),
      spanId: id('ee'.repeat(8)),
      traceState: 'a=b',
      name: 'span',
      kind: 2,
      startTimeUnixNano: 1000n,
      endTimeUnixNano: 2003n,
      events: [
        {
          timeUnixNano: 5006n,
          name: 'e',
          attributes: [{ key: 'a', value: { intValue: 1n } }],
          droppedAttributesCount: 7,
        },
        {},
      ],
      droppedEventsCount: 1,
      links: [{ traceId: id('dd'.repeat(16)), spanId: id('cc'.repeat(8)), flags: 1 }],
      droppedLinksCount: 2,
      status: { message: 'bad', code: 2 },
      flags: 256,
    }
    const plainEvents = await replay('spans', [{ ...row, events }])
    const wrapped = { items: events.map((entries) => ({ entries })) }
    const wrappedEvents = await replay('spans', [{ ...row, events: wrapped }])
    equal(plainEvents, [{ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }])
    equal(wrappedEvents, plainEvents)
  })

  it('rebuilds points of all types, with what differs from 0 by being absent', async () => {
    const nan = 0xfff8_dead_beef_0042n
    equal(await replayPoint({ metric_type: 'gauge', value_int: 0n }), { asInt: 0n })
    equal(await replayPoint({ metric_type: 'sum', value_double: 0 }), { asDouble: 0n })
    equal(await replayPoint({ metric_type: 'sum', value_double: nan, flags: 1n }), {
      asDouble: nan,
      flags: 1,
    })
    equal(await replayPoint({ metric_type: 'gauge', flags: 1n }), { flags: 1 })
    equal(
      await replayPoint({
        metric_type: 'histogram',
        start_timestamp: 1n,
        count: -1n,
        sum: 0,
        explicit_bounds: new Float64Array(new BigUint64Array([nan, 1n]).buffer),
        bucket_counts: [-1n, 0n, 2n],
      }),
      {
        startTimeUnixNano: 1000n,
        count: 2n ** 64n - 1n,
        sum: 0n,
        bucketCounts: [2n ** 64n - 1n, 0n, 2n],
        explicitBounds: [nan, 1n],
      },
    )
    equal(
      await replayPoint({
        metric_type: 'exponential_histogram',
        scale: -2147483648,
        zero_count: 4n,
        zero_threshold: -0,
        positive_offset: 0,
        positive_bucket_counts: null,
        negative_offset: -7,
        negative_bucket_counts: [1n, -1n],
      }),
      {
        scale: -2147483648,
        zeroCount: 4n,
        positive: {},
        negative: { offset: -7, bucketCounts: [1n, 2n ** 64n - 1n] },
        zeroThreshold: doubleBits(-0),
      },
    )
    const quantiles = [
      { quantile: 0.5, value: 2 },
      { quantile: 0, value: 0 },
    ]
    equal(await replayPoint({ metric_type: 'summary', sum: 0, quantiles }), {
      quantileValues: [{ quantile: doubleBits(0.5), value: doubleBits(2) }, {}],
    })
    const exemplars = [
      { timestamp: 1n, timestamp_nanos: 2, value_int: 0n, trace_id: '0a', attributes: '{"k":"v"}' },
    ]
    equal(await replayPoint({ metric_type: 'gauge', exemplars }), {
      exemplars: [
        {
          timeUnixNano: 1002n,
          traceId: id('0a'),
          asInt: 0n,
          filteredAttributes: [{ key: 'k', value: { stringValue: 'v' } }],
        },
      ],
    })
  })

  it('merges equal resources and scopes, and keeps metrics of other data apart', async () => {
    const point = { metric_name: 'm', timestamp_source: 'arrival', value_int: 1n }
    const requests = await replay('metrics', [
      { ...point, metric_type: 'sum', temporality: 1 },
      { ...point, metric_type: 'gauge', 'resource.service.name': 'other' },
      { ...point, metric_type: 'sum', temporality: 2, is_monotonic: true },
      { ...point, metric_type: 'sum', temporality: 1 },
      { ...point, metric_type: 'gauge' },
    ])
    const dataPoints = [{ asInt: 1n }]
    const other = { attributes: [{ key: 'service.name', value: { stringValue: 'other' } }] }
    equal(requests, [
      {
        resourceMetrics: [
          {
            scopeMetrics: [
              {
                metrics: [
                  {
                    name: 'm',
                    sum: { aggregationTemporality: 1, dataPoints: [...dataPoints, ...dataPoints] },
                  },
                  { name: 'm', sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints } },
                  { name: 'm', gauge: { dataPoints } },
                ],
              },
            ],
          },
          { resource: other, scopeMetrics: [{ metrics: [{ name: 'm', gauge: { dataPoints } }] }] },
        ],
      },
    ])
  })

  it('bounds requests by items and by bytes', async () => {
    const rows = Array.from({ length: 10 }, (_, index) => ({ body: `${index}`.repeat(1000) }))
    const counts = async (options: ReplayOptions): Promise<number[]> => {
      const items: number[] = []
      for await (const request of replayRequests('logs', COLUMNS, rows, options)) {
        items.push(request.items)
        assert.ok(request.body.length < (options.requestBytesMax ?? Infinity) + 1100)
      }
      return items
    }
    assert.deepEqual(await counts({ requestItemsMax: 4 }), [4, 4, 2])
    assert.deepEqual(await counts({ requestBytesMax: 3000 }), [3, 3, 3, 1])
    assert.deepEqual(await counts({}), [10])
    assert.deepEqual(await replay('logs', []), [])
  })

  it('names the row and the column that do not fit', async () => {
    const bad: [SignalName, ReplayRow][] = [
      ['logs', { severity_number: 'x' }],
      ['logs', { trace_id: 'zz' }],
      ['logs', { 'body@json': '{"@what":1}' }],
      ['logs', { 'attributes.code': 1.5 }],
      ['logs', { 'attributes.blob': 'text' }],
      ['logs', { 'attributes._overflow': '[]' }],
      ['logs', { resource_entity_refs: '{}' }],
      ['metrics', { metric_type: 'what' }],
      ['spans', { events: ['x'] }],
    ]
    for (const [signal, row] of bad) {
      const good = { metric_type: 'gauge' }
      await assert.rejects(
        () => replay(signal, [good, row]),
        (error) => {
          assert.ok(error instanceof AppError)
          assert.equal(error.code, 'invalid_file')
          assert.equal(error.details['row'], 1)
          return true
        },
        JSON.stringify(row),
      )
    }
  })

  it('checks the column map of a footer', () => {
    assert.deepEqual(parseColumnMap(JSON.stringify(COLUMNS)), COLUMNS)
    for (const text of [
      '',
      '1',
      'null',
      '{"a":1}',
      '{"a":{"namespace":"x","key":"k","type":"int"}}',
    ]) {
      assert.throws(() => parseColumnMap(text), { code: 'invalid_file' }, text)
    }
  })
})
