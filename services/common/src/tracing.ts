/**
 * Traces of the system's own request path: which requests are traced, and the spans of what is done for
 * them. The data path knows these interfaces only. Where tracing is off there is no `Tracing`, nothing
 * of the SDK is loaded, and a request costs one comparison.
 *
 *   export (router)                      one request; child of the client's span where it sent one
 *     receive, decode, store             until its body was there, its rows in batches, all of them stored
 *     produce -> fetch (ingester)        a batch with rows of it, on its way through Kafka
 *       flush                            of the memtable with that batch
 *         wait, encode, upload, commit
 *
 * A batch has rows of many requests, and a flush many batches: their spans are children of the first
 * traced one and linked to the others. Times are monotonic milliseconds of this process.
 */
import type { Clock } from './clock.ts'
import { toAppError } from './errors.ts'
import type { Logger } from './logger.ts'

export type TraceAttributes = Readonly<Record<string, string | number | boolean>>

export type SpanKind = 'internal' | 'server' | 'producer' | 'consumer'

export interface SpanDetails {
  /** Default internal. */
  readonly kind?: SpanKind
  readonly attributes?: TraceAttributes
}

export interface TraceSpan {
  /** What its children in another process begin with. */
  readonly traceparent: string
  child(name: string, startMs: number, details?: SpanDetails): TraceSpan
  /** Once. @param failure the code of what ended it, where it failed */
  end(endMs: number, failure?: string): void
}

export interface Tracing {
  /**
   * Begins the span of a request, unless it is not sampled.
   * @param traceparent the client's header, if it sent one
   */
  request(
    name: string,
    traceparent: string | undefined,
    startMs: number,
    details?: SpanDetails,
  ): TraceSpan | undefined
  /** Goes on with spans of this or another process: a child of the first, linked to the others. */
  follow(
    name: string,
    parents: readonly string[],
    startMs: number,
    details?: SpanDetails,
  ): TraceSpan | undefined
  /** Sends what is there, within two seconds. */
  close(): Promise<void>
}

export interface TracingParts {
  /** The role. */
  readonly name: string
  /** Tells processes of a role apart. */
  readonly instance: string
  readonly clock: Clock
  readonly logger: Logger
}

/** Waits within a child span, where there is a trace; else it is the promise itself. */
export function traced<T>(
  trace: TraceSpan | undefined,
  name: string,
  clock: Clock,
  waited: Promise<T>,
): Promise<T> {
  return trace === undefined ? waited : spanOf(trace, name, clock, waited)
}

async function spanOf<T>(
  trace: TraceSpan,
  name: string,
  clock: Clock,
  waited: Promise<T>,
): Promise<T> {
  const span = trace.child(name, clock.monotonicMs())
  try {
    const result = await waited
    span.end(clock.monotonicMs())
    return result
  } catch (error) {
    span.end(clock.monotonicMs(), toAppError(error).code)
    throw error
  }
}
