/** The unmodified OTLP exporters of the OpenTelemetry SDK for JavaScript, one set per transport. */
import { ChannelCredentials, Metadata } from '@grpc/grpc-js'
import type { LogRecordExporter } from '@opentelemetry/sdk-logs'
import type { PushMetricExporter } from '@opentelemetry/sdk-metrics'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import { OTLPLogExporter as GrpcLogs } from '@opentelemetry/exporter-logs-otlp-grpc'
import { OTLPLogExporter as JsonLogs } from '@opentelemetry/exporter-logs-otlp-http'
import { OTLPLogExporter as ProtoLogs } from '@opentelemetry/exporter-logs-otlp-proto'
import { OTLPMetricExporter as GrpcMetrics } from '@opentelemetry/exporter-metrics-otlp-grpc'
import { OTLPMetricExporter as JsonMetrics } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPMetricExporter as ProtoMetrics } from '@opentelemetry/exporter-metrics-otlp-proto'
import { OTLPTraceExporter as GrpcSpans } from '@opentelemetry/exporter-trace-otlp-grpc'
import { OTLPTraceExporter as JsonSpans } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtoSpans } from '@opentelemetry/exporter-trace-otlp-proto'

export type SdkTransport = 'grpc' | 'http-json' | 'http-protobuf'

export interface SdkTarget {
  readonly grpcPort: number
  readonly httpUrl: string
  /** TLS and credentials; undefined: neither. */
  readonly secure?: SecureTarget | undefined
}

export interface SecureTarget {
  /** PEM. */
  readonly ca: Buffer
  readonly client?: { readonly cert: Buffer; readonly key: Buffer } | undefined
  readonly headers: Readonly<Record<string, string>>
}

export interface SdkExporters {
  readonly logs: LogRecordExporter
  readonly spans: SpanExporter
  readonly metrics: PushMetricExporter
}

export function sdkExporters(
  target: SdkTarget,
  transport: SdkTransport,
  compression: 'gzip' | 'none',
): SdkExporters {
  // the enum of the exporters is not exported by them; its values are these words
  const options = { compression: compression as never, timeoutMillis: 20_000 }
  const { secure } = target
  if (transport === 'grpc') {
    const scheme = secure === undefined ? 'http' : 'https'
    const url = `${scheme}://127.0.0.1:${String(target.grpcPort)}`
    const grpc = { ...options, url, ...(secure === undefined ? {} : grpcSecurity(secure)) }
    return {
      logs: new GrpcLogs(grpc),
      spans: new GrpcSpans(grpc),
      metrics: new GrpcMetrics(grpc),
    }
  }
  const http = (path: string): typeof options & { url: string } => ({
    ...options,
    ...(secure === undefined ? {} : httpSecurity(secure)),
    url: `${target.httpUrl}${path}`,
  })
  const isJson = transport === 'http-json'
  return {
    logs: new (isJson ? JsonLogs : ProtoLogs)(http('/v1/logs')),
    spans: new (isJson ? JsonSpans : ProtoSpans)(http('/v1/traces')),
    metrics: new (isJson ? JsonMetrics : ProtoMetrics)(http('/v1/metrics')),
  }
}

function grpcSecurity({ ca, client, headers }: SecureTarget): {
  credentials: ChannelCredentials
  metadata: Metadata
} {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
  return {
    credentials: ChannelCredentials.createSsl(ca, client?.key ?? null, client?.cert ?? null),
    metadata,
  }
}

function httpSecurity({ ca, client, headers }: SecureTarget): {
  headers: Record<string, string>
  httpAgentOptions: { ca: Buffer; cert?: Buffer; key?: Buffer }
} {
  return { headers: { ...headers }, httpAgentOptions: { ca, ...client } }
}
