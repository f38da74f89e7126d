import type { Tracing, TracingParts } from './tracing.ts'

export interface TracingConfig {
  /** Where an OTLP/HTTP server is; undefined: no tracing. */
  readonly tracesEndpoint?: string | undefined
  /** Of requests whose client does not say; a role without requests has none. */
  readonly tracesSampleRatio?: number
}

/** Loads the SDK where tracing is on. */
export async function openTracing(
  config: TracingConfig,
  parts: TracingParts,
): Promise<Tracing | undefined> {
  const { tracesEndpoint, tracesSampleRatio = 0 } = config
  if (tracesEndpoint === undefined) return undefined
  const { OtlpTracing } = await import('./otlp-tracing.ts')
  return new OtlpTracing({ ...parts, endpoint: tracesEndpoint, sampleRatio: tracesSampleRatio })
}
