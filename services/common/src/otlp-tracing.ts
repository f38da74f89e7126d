/**
 * Tracing through OpenTelemetry's own SDK, sent as OTLP/HTTP protobuf. What the SDK reads of the
 * environment holds too: OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE.
 *
 * Bounded: 2,048 spans wait for their export, what comes above is dropped; an export that fails is told
 * in the log, and its spans are gone. Telemetry of clients never waits for any of it.
 */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags } from '@opentelemetry/api'
import type { Context, Link, Span, SpanContext, Tracer } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { AlwaysOnSampler, BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'

import type { Clock } from './clock.ts'
import type { Logger } from './logger.ts'
import { RequestSampler } from './request-sampler.ts'
import { formatTraceparent, parseTraceparent } from './trace-context.ts'
import type { TraceContext } from './trace-context.ts'
import type { SpanDetails, TraceSpan, Tracing, TracingParts } from './tracing.ts'

export interface OtlpTracingOptions extends TracingParts {
  readonly endpoint: string
  /** 0 to 1. */
  readonly sampleRatio: number
  /** Uniform in [0, 1). */
  readonly random?: () => number
  /** Default: OTLP to the endpoint. */
  readonly exporter?: SpanExporter
}

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const
/** Batches of a flush that one span is linked to. */
const LINKS_MAX = 32
const EXPORT_TIMEOUT_MS = 5000
const CLOSE_TIMEOUT_MS = 2000
const TROUBLE_LOG_MS = 60_000
/** ExportResultCode.SUCCESS of the SDK's core, which is no dependency of ours. */
const EXPORTED = 0
/**
 * Not sampled: a receiver that keeps to the specification makes no trace of the export, this system
 * too, where it is sent its own. The ids stand for nothing.
 */
const EXPORT_TRACEPARENT = formatTraceparent({
  traceId: '7472696275746172792d6578706f7274',
  spanId: '7472696275746172',
  isSampled: false,
})

export class OtlpTracing implements Tracing {
  readonly #clock: Clock
  readonly #sampler: RequestSampler
  readonly #provider: TracerProvider
  readonly #tracer: Tracer

  constructor(options: OtlpTracingOptions) {
    const { name, instance, clock, endpoint, random = Math.random } = options
    this.#clock = clock
    this.#sampler = new RequestSampler(options.sampleRatio, random)
    const exporter = options.exporter ?? otlpExporter(endpoint)
    this.#provider = new TracerProvider({
      sampler: new AlwaysOnSampler(),
      resource: resourceFromAttributes({
        'service.name': `tributary-${name}`,
        'service.instance.id': instance,
      }),
      spanProcessors: [
        new BatchSpanProcessor({
          exporter: new ToldExporter(exporter, options),
          exportTimeoutMillis: EXPORT_TIMEOUT_MS,
        }),
      ],
    })
    this.#tracer = this.#provider.getTracer('tributary')
  }

  request(
    name: string,
    traceparent: string | undefined,
    startMs: number,
    details?: SpanDetails,
  ): TraceSpan | undefined {
    if (!this.#sampler.takes(traceparent, startMs)) return undefined
    const parent = traceparent === undefined ? undefined : parseTraceparent(traceparent)
    return this.#begin(name, parent, [], startMs, details)
  }

  follow(
    name: string,
    parents: readonly string[],
    startMs: number,
    details?: SpanDetails,
  ): TraceSpan | undefined {
    // what stands in records of the log is as foreign as what clients send
    const known = parents.slice(0, LINKS_MAX + 1).flatMap((text) => parseTraceparent(text) ?? [])
    const [first, ...others] = known
    if (first === undefined) return undefined
    return this.#begin(name, first, others, startMs, details)
  }

  async close(): Promise<void> {
    const ending = new AbortController()
    const timeout = this.#clock.sleep(CLOSE_TIMEOUT_MS, ending.signal).catch(() => undefined)
    // what could not be sent was told by then
    await Promise.race([this.#provider.shutdown().catch(() => undefined), timeout])
    ending.abort()
  }

  #begin(
    name: string,
    parent: TraceContext | undefined,
    others: readonly TraceContext[],
    startMs: number,
    details: SpanDetails | undefined,
  ): TraceSpan {
    const context =
      parent === undefined
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, { ...spanContextOf(parent), isRemote: true })
    const links = others.map((other) => ({ context: spanContextOf(other) }))
    // once for a span and its children, so that they agree however the wall clock is corrected
    const offsetMs = Number(this.#clock.nowUnixNano()) / 1e6 - this.#clock.monotonicMs()
    return new OtlpSpan(this.#tracer, context, offsetMs, { name, startMs, links, details })
  }
}

interface Beginning {
  readonly name: string
  readonly startMs: number
  readonly links: Link[]
  readonly details: SpanDetails | undefined
}

class OtlpSpan implements TraceSpan {
  readonly #tracer: Tracer
  readonly #offsetMs: number
  readonly #span: Span

  constructor(tracer: Tracer, context: Context, offsetMs: number, beginning: Beginning) {
    const { name, startMs, links, details = {} } = beginning
    this.#tracer = tracer
    this.#offsetMs = offsetMs
    this.#span = tracer.startSpan(
      name,
      {
        kind: KINDS[details.kind ?? 'internal'],
        startTime: hrTimeOf(startMs + offsetMs),
        links,
        ...(details.attributes === undefined ? {} : { attributes: details.attributes }),
      },
      context,
    )
  }

  get traceparent(): string {
    const { traceId, spanId } = this.#span.spanContext()
    return formatTraceparent({ traceId, spanId, isSampled: true })
  }

  child(name: string, startMs: number, details?: SpanDetails): TraceSpan {
    const context = trace.setSpan(ROOT_CONTEXT, this.#span)
    return new OtlpSpan(this.#tracer, context, this.#offsetMs, {
      name,
      startMs,
      links: [],
      details,
    })
  }

  end(endMs: number, failure?: string): void {
    if (failure !== undefined) {
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message: failure })
    }
    this.#span.end(hrTimeOf(endMs + this.#offsetMs))
  }
}

/** Tells of failed exports now and then: the SDK itself is silent. */
class ToldExporter implements SpanExporter {
  readonly #inner: SpanExporter
  readonly #clock: Clock
  readonly #logger: Logger
  #toldMs = -Infinity

  constructor(inner: SpanExporter, { clock, logger }: Pick<TracingParts, 'clock' | 'logger'>) {
    this.#inner = inner
    this.#clock = clock
    this.#logger = logger
  }

  export(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    this.#inner.export(spans, (result) => {
      if (Number(result.code) !== EXPORTED) this.#tell(spans.length, result.error)
      done(result)
    })
  }

  shutdown(): Promise<void> {
    return this.#inner.shutdown()
  }

  forceFlush(): Promise<void> {
    return this.#inner.forceFlush?.() ?? Promise.resolve()
  }

  #tell(spans: number, error: unknown): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#toldMs < TROUBLE_LOG_MS) return
    this.#toldMs = nowMs
    this.#logger.warn({ err: error, spans }, 'spans of this process could not be sent')
  }
}

function otlpExporter(endpoint: string): SpanExporter {
  return new OTLPTraceExporter({
    url: new URL('v1/traces', endpoint.endsWith('/') ? endpoint : `${endpoint}/`).href,
    headers: { traceparent: EXPORT_TRACEPARENT },
    timeoutMillis: EXPORT_TIMEOUT_MS,
    concurrencyLimit: 2,
  })
}

function spanContextOf({ traceId, spanId }: TraceContext): SpanContext {
  return { traceId, spanId, traceFlags: TraceFlags.SAMPLED }
}

/** Seconds and nanoseconds. */
function hrTimeOf(unixMs: number): [number, number] {
  const seconds = Math.floor(unixMs / 1000)
  return [seconds, Math.round((unixMs - seconds * 1000) * 1e6)]
}
