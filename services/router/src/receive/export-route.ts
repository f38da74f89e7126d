import { Signal } from '@tributary/common/signal'
import type { SignalName } from '@tributary/common/signal'

/** Where each signal is sent to, on both transports (OTLP specification 1.x). */
export interface ExportRoute {
  readonly name: SignalName
  readonly signal: Signal
  readonly grpcPath: string
  readonly httpPath: string
  /** Field name of the rejected count in ExportXPartialSuccess, as JSON spells it. */
  readonly rejectedField: string
}

export const EXPORT_ROUTES = [
  {
    name: 'logs',
    signal: Signal.logs,
    grpcPath: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
    httpPath: '/v1/logs',
    rejectedField: 'rejectedLogRecords',
  },
  {
    name: 'spans',
    signal: Signal.spans,
    grpcPath: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    httpPath: '/v1/traces',
    rejectedField: 'rejectedSpans',
  },
  {
    name: 'metrics',
    signal: Signal.metrics,
    grpcPath: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
    httpPath: '/v1/metrics',
    rejectedField: 'rejectedDataPoints',
  },
] as const satisfies readonly ExportRoute[]

export const ROUTE_BY_GRPC_PATH: ReadonlyMap<string, ExportRoute> = new Map(
  EXPORT_ROUTES.map((route) => [route.grpcPath, route]),
)

export const ROUTE_BY_HTTP_PATH: ReadonlyMap<string, ExportRoute> = new Map(
  EXPORT_ROUTES.map((route) => [route.httpPath, route]),
)
