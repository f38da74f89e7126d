/** The OpenTelemetry SDK's own exporters, unmodified, against the receivers. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { OTLPLogExporter as GrpcLogExporter } from '@opentelemetry/exporter-logs-otlp-grpc'
import { OTLPLogExporter as JsonLogExporter } from '@opentelemetry/exporter-logs-otlp-http'
import { OTLPLogExporter as ProtoLogExporter } from '@opentelemetry/exporter-logs-otlp-proto'
import { OTLPMetricExporter as GrpcMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc'
import { OTLPMetricExporter as JsonMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPMetricExporter as ProtoMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto'
import { OTLPTraceExporter as GrpcTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { OTLPTraceExporter as JsonTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtoTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base'
import { LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs'
import type { LogRecordExporter } from '@opentelemetry/sdk-logs'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import type { PushMetricExporter } from '@opentelemetry/sdk-metrics'
import { SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import { AppError } from '@tributary/common/errors'
import { Signal } from '@tributary/common/signal'

import type { ExportRequest } from '../../src/export-handler.ts'
import { startReceivers } from '../../src/testing/receiver-harness.ts'
import type { ReceiverHarness } from '../../src/testing/receiver-harness.ts'

const MARK = 'a text that must arrive'

let harness: ReceiverHarness

before(async () => {
  harness = await startReceivers()
})

after(async () => {
  await harness.close()
})

interface Exporters {
  readonly logs: LogRecordExporter
  readonly spans: SpanExporter
  readonly metrics: PushMetricExporter
}

function exportersOf(protocol: string, compression: CompressionAlgorithm): Exporters {
  if (protocol === 'grpc') {
    const settings = { url: `http://${harness.grpcTarget}`, compression }
    return {
      logs: new GrpcLogExporter(settings),
      spans: new GrpcTraceExporter(settings),
      metrics: new GrpcMetricExporter(settings),
    }
  }
  const settings = (path: string): { url: string; compression: CompressionAlgorithm } => ({
    url: `${harness.httpUrl}${path}`,
    compression,
  })
  return protocol === 'http/json'
    ? {
        logs: new JsonLogExporter(settings('/v1/logs')),
        spans: new JsonTraceExporter(settings('/v1/traces')),
        metrics: new JsonMetricExporter(settings('/v1/metrics')),
      }
    : {
        logs: new ProtoLogExporter(settings('/v1/logs')),
        spans: new ProtoTraceExporter(settings('/v1/traces')),
        metrics: new ProtoMetricExporter(settings('/v1/metrics')),
      }
}

async function sendLog(exporter: LogRecordExporter): Promise<void> {
  const provider = new LoggerProvider({
    processors: [new SimpleLogRecordProcessor({ exporter })],
  })
  provider.getLogger('test').emit({ body: MARK })
  await provider.shutdown()
}

async function sendSpan(exporter: SpanExporter): Promise<void> {
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] })
  provider.getTracer('test').startSpan(MARK).end()
  await provider.shutdown()
}

async function sendMetric(exporter: PushMetricExporter): Promise<void> {
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const provider = new MeterProvider({ readers: [reader] })
  provider.getMeter('test').createCounter('counter', { description: MARK }).add(1)
  await provider.shutdown()
}

function requestsSince(count: number): ExportRequest[] {
  return harness.probe.requests.slice(count)
}

for (const protocol of ['grpc', 'http/protobuf', 'http/json']) {
  for (const compression of [CompressionAlgorithm.NONE, CompressionAlgorithm.GZIP]) {
    describe(`the OpenTelemetry exporters over ${protocol}, compression ${compression}`, () => {
      it('deliver logs, spans and metrics', async () => {
        const count = harness.probe.requests.length
        const exporters = exportersOf(protocol, compression)
        await sendLog(exporters.logs)
        await sendSpan(exporters.spans)
        await sendMetric(exporters.metrics)
        const seen = requestsSince(count)
        assert.deepEqual(
          seen.map(({ signal }) => signal),
          [Signal.logs, Signal.spans, Signal.metrics],
        )
        for (const request of seen) {
          assert.equal(request.encoding, protocol === 'http/json' ? 'json' : 'protobuf')
          assert.ok(new TextDecoder().decode(request.body).includes(MARK))
          assert.equal(request.deadlineMs !== undefined, protocol === 'grpc')
        }
      })

      // The JavaScript gRPC exporter never sends again, whatever the answer says.
      if (protocol === 'grpc') return
      it('send again after an answer that asks for it', async () => {
        const count = harness.probe.requests.length
        harness.probe.before = () => {
          harness.probe.before = () => undefined
          throw new AppError('log_unavailable', 'once')
        }
        await sendLog(exportersOf(protocol, compression).logs)
        const [refused, stored] = requestsSince(count)
        assert.deepEqual(stored?.body, refused?.body)
      })
    })
  }
}
