/** The span of one export call, from its headers to its answer. */
import type { TraceSpan, Tracing } from '@tributary/common/tracing'

import type { AnswerLabel, Transport } from './receiver-metrics.ts'

/** Of a call to be traced. */
export interface CallStart {
  readonly transport: Transport
  readonly path: string | undefined
  /** The header as it came: where it is there twice, it counts as none. */
  readonly traceparent: string | readonly string[] | undefined
  readonly startMs: number
}

const PATH_LENGTH_MAX = 256

/** Undefined where the call is not sampled. */
export function beginTrace(
  tracing: Tracing,
  { transport, path = '', traceparent, startMs }: CallStart,
): TraceSpan | undefined {
  return tracing.request(
    'export',
    typeof traceparent === 'string' ? traceparent : undefined,
    startMs,
    {
      kind: 'server',
      attributes: {
        'tributary.transport': transport,
        'url.path': path.slice(0, PATH_LENGTH_MAX),
      },
    },
  )
}

/** What stands in the span of a call that was not accepted. */
export function failureOf(answer: AnswerLabel): string | undefined {
  return answer === 'ok' || answer === 'partial' ? undefined : answer
}
