/** Requests with a little of everything, of a fixed moment: what the samples of formats are made of. */
import type { SignalName } from '@tributary/common/signal'

export const SAMPLE_TIME = 1_795_230_000_123_456_789n
const RESOURCE = {
  attributes: [
    { key: 'service.name', value: { stringValue: 'checkout' } },
    { key: 'process.pid', value: { intValue: 4242 } },
  ],
}
const SCOPE = { name: 'instrumentation', version: '1.2.3' }
const ATTRIBUTES = [
  { key: 'http.method', value: { stringValue: 'GET' } },
  { key: 'ratio', value: { doubleValue: 0.25 } },
  { key: 'is.retry', value: { boolValue: true } },
  { key: 'nested', value: { arrayValue: { values: [{ intValue: 1 }, { stringValue: 'two' }] } } },
]

type Request = Record<string, unknown>

/** One of each signal. */
export function sampleRequests(time: bigint): Readonly<Record<SignalName, Request>> {
  return { logs: logsAt(time), spans: spansAt(time), metrics: metricsAt(time) }
}

function logsAt(time: bigint): Request {
  return {
    resourceLogs: [
      {
        resource: RESOURCE,
        scopeLogs: [
          {
            scope: SCOPE,
            logRecords: [
              {
                timeUnixNano: String(time),
                severityNumber: 9,
                severityText: 'INFO',
                body: { stringValue: 'grüße' },
                attributes: ATTRIBUTES,
              },
              { timeUnixNano: String(time + 1n), body: { stringValue: 'second' } },
            ],
          },
        ],
      },
    ],
  }
}

function spansAt(time: bigint): Request {
  return {
    resourceSpans: [
      {
        resource: RESOURCE,
        scopeSpans: [
          {
            scope: SCOPE,
            spans: [
              {
                traceId: Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex'),
                spanId: Buffer.from('1112131415161718', 'hex'),
                name: 'GET /cart',
                kind: 2,
                startTimeUnixNano: String(time),
                endTimeUnixNano: String(time + 5_000_000n),
                attributes: ATTRIBUTES,
                events: [{ timeUnixNano: String(time + 1n), name: 'cache miss' }],
                status: { code: 2, message: 'late' },
              },
            ],
          },
        ],
      },
    ],
  }
}

function metricsAt(time: bigint): Request {
  return {
    resourceMetrics: [
      {
        resource: RESOURCE,
        scopeMetrics: [
          {
            scope: SCOPE,
            metrics: [
              {
                name: 'requests',
                unit: '1',
                sum: {
                  aggregationTemporality: 2,
                  isMonotonic: true,
                  dataPoints: [
                    {
                      timeUnixNano: String(time),
                      asInt: '9007199254740993',
                      attributes: ATTRIBUTES,
                    },
                  ],
                },
              },
              {
                name: 'latency',
                histogram: {
                  aggregationTemporality: 1,
                  dataPoints: [
                    {
                      timeUnixNano: String(time),
                      count: '3',
                      sum: 1.5,
                      bucketCounts: ['1', '2'],
                      explicitBounds: [0.5],
                    },
                  ],
                },
              },
            ],
          },
        ],
      },
    ],
  }
}
