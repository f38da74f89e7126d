/**
 * Requests built before the clock runs. Building them costs more CPU than sending them, so a pool is
 * sent round and round; before each new round the trace ids are changed in place, because a server
 * that removes retries would rightly drop the second copy of an equal chunk.
 */
import type { SignalName } from '@tributary/common/signal'
import { payload, type PayloadOptions } from '@tributary/common/testing/payloads'

export interface PoolOptions extends PayloadOptions {
  readonly signal: SignalName
  /** Requests in the pool. */
  readonly requests: number
}

interface PooledRequest {
  readonly body: Buffer
  /** Positions of the 16 bytes of each trace id. */
  readonly traceIds: readonly number[]
  rounds: number
}

/** Tag and length of LogRecord.trace_id (9) before those of span_id (10): 4a 10 <16> 52 08. */
const LOG_TRACE = { tag: 0x4a, next: 0x52 }
/** The same of Span.trace_id (1) and span_id (2): 0a 10 <16> 12 08. */
const SPAN_TRACE = { tag: 0x0a, next: 0x12 }

export class PayloadPool {
  readonly #requests: PooledRequest[] = []
  readonly records: number
  readonly signal: SignalName
  #next = 0

  constructor(options: PoolOptions) {
    this.records = options.records
    this.signal = options.signal
    for (let call = 0; call < options.requests; call++) {
      const body = Buffer.from(payload(options.signal, { ...options, call }))
      this.#requests.push({ body, traceIds: findTraceIds(options.signal, body), rounds: 0 })
    }
  }

  /** The next request: it differs from all before it. Valid until as many were taken again. */
  take(): Buffer {
    const request = this.#requests[this.#next++ % this.#requests.length]!
    if (request.rounds++ > 0) {
      if (request.traceIds.length === 0) throw new Error('pool without ids ran out of requests')
      for (const at of request.traceIds) request.body.writeUInt32LE(request.rounds, at)
    }
    return request.body
  }
}

function findTraceIds(signal: SignalName, body: Buffer): number[] {
  if (signal === 'metrics') return []
  const { tag, next } = signal === 'logs' ? LOG_TRACE : SPAN_TRACE
  const found: number[] = []
  for (let at = body.indexOf(tag); at >= 0; at = body.indexOf(tag, at + 1)) {
    if (body[at + 1] !== 16 || body[at + 18] !== next || body[at + 19] !== 8) continue
    found.push(at + 2)
    at += 18
  }
  return found
}
