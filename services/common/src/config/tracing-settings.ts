/** Traces of the process itself; see tracing.ts. Roles without requests go on with what routers began. */
import { share, url } from './setting.ts'

export const tracingSettings = {
  tracesEndpoint: url({
    default: undefined,
    schemes: ['http', 'https'],
    sentence:
      'OTLP/HTTP server that spans of this process go to, such as http://collector:4318; default: no tracing.',
  }),
}

export const samplingSettings = {
  ...tracingSettings,
  tracesSampleRatio: share({
    default: 0.001,
    sentence:
      'Share of export requests that are traced; of those with a traceparent its sampled flag decides.',
  }),
}
