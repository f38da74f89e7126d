/**
 * Trace context as the W3C writes it (w3.org/TR/trace-context): what tells a process which trace and
 * span a request belongs to. It comes from clients and goes with records of the log.
 *
 *     traceparent = "00-" trace id, 32 hex "-" parent span id, 16 hex "-" flags, 2 hex
 */

/** Of `traceparent` in version 00; later ones are longer, and begin the same. */
export const TRACEPARENT_LENGTH = 55

export interface TraceContext {
  readonly traceId: string
  readonly spanId: string
  /** Whether whoever began the trace wants it. */
  readonly isSampled: boolean
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/
const SAMPLED_FLAG = 1
const NO_TRACE = '0'.repeat(32)
const NO_SPAN = '0'.repeat(16)

/** Undefined where it says nothing: the specification wants what is malformed to be ignored. */
export function parseTraceparent(text: string): TraceContext | undefined {
  const match = TRACEPARENT.exec(text)
  if (match === null) return undefined
  const [, version, traceId = '', spanId = '', flags = ''] = match
  if (version === 'ff' || (version === '00' && text.length !== TRACEPARENT_LENGTH)) return undefined
  if (traceId === NO_TRACE || spanId === NO_SPAN) return undefined
  return { traceId, spanId, isSampled: (parseInt(flags, 16) & SAMPLED_FLAG) !== 0 }
}

export function formatTraceparent({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`
}
