/**
 * A program that uses the OpenTelemetry SDK for JavaScript as applications do: it logs, traces and
 * measures with every type of value and every instrument, and keeps what the SDK gave to the exporters.
 */
import {
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  ValueType,
  type Meter,
} from '@opentelemetry/api'
import { SeverityNumber } from '@opentelemetry/api-logs'
import { resourceFromAttributes, type Resource } from '@opentelemetry/resources'
import {
  BatchLogRecordProcessor,
  InMemoryLogRecordExporter,
  LoggerProvider,
  SimpleLogRecordProcessor,
} from '@opentelemetry/sdk-logs'
import {
  AggregationType,
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics'
import {
  BatchSpanProcessor,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { ClientRows } from './canonical-values.ts'
import type { SdkExporters } from './sdk-exporters.ts'
import { logRow, pointRows, spanRow } from './sdk-rows.ts'

/** A value of every type that attributes can have. */
const EVERY_TYPE = {
  'type.string': 'déjà vu 🎉 \u0000 "quoted"',
  'type.empty': '',
  'type.int': 9_007_199_254_740_991,
  'type.negative': -42,
  'type.double': 0.1,
  'type.bool': false,
  'type.strings': ['a', '', 'b'],
  'type.ints': [1, 2, 3],
  'type.doubles': [0.5, -1.25],
  'type.bools': [true, false],
}
const SCOPE = ['shop.checkout', '1.4.2'] as const
const LOGS = 700
const SPANS = 60

/** Sends all three signals and resolves with what must be stored, after every export succeeded. */
export async function runSdkClient(service: string, exporters: SdkExporters): Promise<ClientRows> {
  const resource = resourceFromAttributes({
    'service.name': service,
    'service.instance.id': `${service}-1`,
    'process.pid': 4711,
    'host.ip': ['10.0.0.1', 'fe80::1'],
  })
  const [logs, spans, metrics] = await Promise.all([
    sendLogs(resource, exporters),
    sendSpans(resource, exporters),
    sendMetrics(resource, exporters),
  ])
  return { logs, spans, metrics }
}

async function sendLogs(resource: Resource, exporters: SdkExporters): Promise<ClientRows['logs']> {
  const kept = new InMemoryLogRecordExporter()
  const provider = new LoggerProvider({
    resource,
    processors: [
      new SimpleLogRecordProcessor({ exporter: kept }),
      new BatchLogRecordProcessor({
        exporter: exporters.logs,
        maxExportBatchSize: 100,
        scheduledDelayMillis: 20,
      }),
    ],
  })
  const logger = provider.getLogger(...SCOPE)
  const bodies = [
    'order placed',
    '',
    42,
    1.5,
    true,
    ['a', 1, { deep: [null] }],
    { map: { of: 'maps' } },
  ]
  const span = trace.wrapSpanContext({
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    traceFlags: TraceFlags.SAMPLED,
  })
  for (let index = 0; index < LOGS; index++) {
    logger.emit({
      timestamp: [1_700_000_000 + index, index],
      ...(index % 3 === 0 ? {} : { observedTimestamp: [1_700_000_001 + index, 999_999_999] }),
      severityNumber: index % 2 === 0 ? SeverityNumber.INFO : SeverityNumber.ERROR,
      severityText: index % 2 === 0 ? 'INFO' : 'ERROR',
      body: bodies[index % bodies.length]!,
      ...(index % 5 === 0 ? { eventName: 'order.placed' } : {}),
      ...(index % 4 === 0 ? { context: trace.setSpan(ROOT_CONTEXT, span) } : {}),
      attributes: {
        'order.id': index,
        ...(index % 7 === 0 ? { ...EVERY_TYPE, 'type.map': { a: { b: 'c' } } } : {}),
      },
    })
  }
  await provider.forceFlush()
  const rows = kept.getFinishedLogRecords().map(logRow)
  await provider.shutdown()
  return rows
}

async function sendSpans(
  resource: Resource,
  exporters: SdkExporters,
): Promise<ClientRows['spans']> {
  const kept = new InMemorySpanExporter()
  const provider = new TracerProvider({
    resource,
    spanProcessors: [
      new SimpleSpanProcessor({ exporter: kept }),
      new BatchSpanProcessor({ exporter: exporters.spans, maxExportBatchSize: 25 }),
    ],
  })
  const tracer = provider.getTracer(...SCOPE)
  for (let index = 0; index < SPANS; index++) {
    const parent = tracer.startSpan(`POST /orders/${String(index)}`, {
      kind: SpanKind.SERVER,
      attributes: EVERY_TYPE,
    })
    const inParent = trace.setSpan(context.active(), parent)
    const child = tracer.startSpan(
      'select order',
      {
        kind: SpanKind.CLIENT,
        links: [
          { context: parent.spanContext(), attributes: { why: 'cause', weight: 0.25 } },
          { context: parent.spanContext() },
        ],
      },
      inParent,
    )
    child.addEvent('query', { ...EVERY_TYPE, rows: index })
    child.addEvent('done')
    if (index % 2 === 0) child.recordException(new RangeError('no such order'))
    child.setStatus({ code: SpanStatusCode.ERROR, message: 'no such order' })
    child.end()
    parent.setStatus({ code: SpanStatusCode.OK })
    parent.end()
  }
  await provider.forceFlush()
  const rows = kept.getFinishedSpans().map(spanRow)
  await provider.shutdown()
  return rows
}

async function sendMetrics(
  resource: Resource,
  exporters: SdkExporters,
): Promise<ClientRows['metrics']> {
  const kept: ResourceMetrics[] = []
  const exporter = keeping(exporters.metrics, kept)
  const provider = new MeterProvider({
    resource,
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
    views: [
      {
        instrumentName: 'latency.exponential',
        aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM },
      },
    ],
  })
  const meter = provider.getMeter(...SCOPE)
  const record = everyInstrument(meter)
  for (let round = 1; round <= 3; round++) {
    record(round)
    await provider.forceFlush()
  }
  await provider.shutdown()
  return kept.flatMap(pointRows)
}

/** All instruments of the SDK; the result records a round of values in the synchronous ones. */
function everyInstrument(meter: Meter): (round: number) => void {
  const orders = meter.createCounter('orders', {
    unit: '{order}',
    description: 'orders placed',
    valueType: ValueType.INT,
  })
  const revenue = meter.createCounter('revenue', { unit: 'EUR' })
  const open = meter.createUpDownCounter('orders.open', { valueType: ValueType.INT })
  const temperature = meter.createGauge('temperature', { unit: 'Cel' })
  const latency = meter.createHistogram('latency', {
    unit: 'ms',
    advice: { explicitBucketBoundaries: [1, 2.5, 10, 100] },
  })
  const exponential = meter.createHistogram('latency.exponential', { unit: 'ms' })
  meter.createObservableCounter('cpu.time').addCallback((result) => {
    result.observe(12.75, { cpu: 0 })
    result.observe(13.5, { cpu: 1 })
  })
  meter.createObservableGauge('queue.depth', { valueType: ValueType.INT }).addCallback((result) => {
    result.observe(17, { queue: 'mail' })
  })
  meter.createObservableUpDownCounter('connections').addCallback((result) => {
    result.observe(-3.5)
  })
  return (round) => {
    for (const region of ['eu', 'us', 'ap']) {
      orders.add(round, { region, 'is.new': true })
      revenue.add(round * 0.1, { region, shards: [1, 2] })
      open.add(round % 2 === 0 ? -5 : 3, { region })
      temperature.record(round === 2 ? -273.15 : 21.5 + round, { region })
      for (let value = -1; value < 40; value++) {
        latency.record(value * round, { region })
        exponential.record(value * round * 0.37, { region })
      }
    }
  }
}

/** The exporter itself, with a note of each batch that the SDK gives to it. */
function keeping(inner: PushMetricExporter, kept: ResourceMetrics[]): PushMetricExporter {
  return {
    export: (batch, callback) => {
      kept.push(structuredClonePlain(batch))
      inner.export(batch, callback)
    },
    forceFlush: () => inner.forceFlush(),
    shutdown: () => inner.shutdown(),
    ...(inner.selectAggregationTemporality === undefined
      ? {}
      : { selectAggregationTemporality: inner.selectAggregationTemporality.bind(inner) }),
    ...(inner.selectAggregation === undefined
      ? {}
      : { selectAggregation: inner.selectAggregation.bind(inner) }),
  }
}

/** The SDK may go on counting in the objects that it exported. */
function structuredClonePlain({ resource, scopeMetrics }: ResourceMetrics): ResourceMetrics {
  return { resource, scopeMetrics: structuredClone(scopeMetrics) }
}
