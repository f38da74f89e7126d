/** The OpenTelemetry SDK of Python and its exporters, unmodified; grpcio is C++, no kin of ours. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'

import { AppError } from '@tributary/common/errors'
import { Signal } from '@tributary/common/signal'
import { findPython } from '@tributary/common/testing/python'

import { startReceivers } from '../../src/testing/receiver-harness.ts'
import type { ReceiverHarness } from '../../src/testing/receiver-harness.ts'

const MARK = 'a text that must arrive'
const TIMEOUT_MS = 60_000

const SCRIPT = `
import logging, sys
protocol, target, compression, mark = sys.argv[1:5]
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
if protocol == 'grpc':
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    kind = grpc.Compression.Gzip if compression == 'gzip' else grpc.Compression.NoCompression
    settings = lambda path: dict(endpoint=target, insecure=True, compression=kind)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    kinds = dict(gzip=Compression.Gzip, deflate=Compression.Deflate, none=Compression.NoCompression)
    settings = lambda path: dict(endpoint=target + path, compression=kinds[compression])
spans = TracerProvider()
spans.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(**settings('/v1/traces'))))
spans.get_tracer('test').start_span(mark).end()
spans.shutdown()
reader = PeriodicExportingMetricReader(OTLPMetricExporter(**settings('/v1/metrics')), 3600000)
metrics = MeterProvider([reader])
metrics.get_meter('test').create_counter('counter', description=mark).add(1)
metrics.shutdown()
logs = LoggerProvider()
logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(**settings('/v1/logs'))))
log = logging.getLogger('test')
log.propagate = False
log.addHandler(LoggingHandler(logger_provider=logs))
log.error(mark)
logs.shutdown()
`

const VARIANTS = [
  ['grpc', 'none'],
  ['grpc', 'gzip'],
  ['http', 'none'],
  ['http', 'gzip'],
  ['http', 'deflate'],
] as const

let harness: ReceiverHarness

before(async () => {
  harness = await startReceivers()
})

after(async () => {
  await harness.close()
})

async function runClient(protocol: string, compression: string): Promise<void> {
  const target = protocol === 'grpc' ? harness.grpcTarget : harness.httpUrl
  const args = ['-W', 'ignore', '-c', SCRIPT, protocol, target, compression, MARK]
  await promisify(execFile)(findPython(), args, { timeout: TIMEOUT_MS })
}

describe('the OpenTelemetry exporters of Python', () => {
  for (const [protocol, compression] of VARIANTS) {
    it(`deliver all signals over ${protocol}, compression ${compression}, each once`, async () => {
      const count = harness.probe.requests.length
      await runClient(protocol, compression)
      const seen = harness.probe.requests.slice(count)
      assert.deepEqual(
        seen.map(({ signal }) => signal),
        [Signal.spans, Signal.metrics, Signal.logs],
      )
      for (const { body } of seen) assert.ok(Buffer.from(body).includes(MARK))
    })
  }

  for (const protocol of ['grpc', 'http']) {
    it(`send again over ${protocol} after an answer that asks for it`, async () => {
      const count = harness.probe.requests.length
      harness.probe.before = () => {
        harness.probe.before = () => undefined
        throw new AppError('log_unavailable', 'once')
      }
      await runClient(protocol, 'none')
      const seen = harness.probe.requests.slice(count)
      assert.deepEqual(
        seen.map(({ signal }) => signal),
        [Signal.spans, Signal.spans, Signal.metrics, Signal.logs],
      )
      assert.deepEqual(seen[0]?.body, seen[1]?.body)
    })
  }
})
