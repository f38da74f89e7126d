/**
 * Sends one OTLP request at a time as often as it is told, over a connection that it makes anew when
 * the old one has broken, and says what the answer means to a collector.
 */
import { Agent, request as httpRequest } from 'node:http'
import { connect } from 'node:http2'
import type { ClientHttp2Session } from 'node:http2'

import { GrpcStatus } from '@tributary/common/errors'
import { exportResponse } from '@tributary/common/testing/otlp-messages'
import type { SignalName } from '@tributary/common/signal'

import type { LedgerRequest } from './ledger.ts'

export type Outcome =
  /** OK, with the items that it says are rejected. */
  | { readonly kind: 'ok'; readonly rejected: number }
  /** Told to try again. */
  | { readonly kind: 'retry'; readonly status: string }
  /** No answer in time, or none at all. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** An answer after which a collector drops the request. */
  | { readonly kind: 'refused'; readonly status: string }

export interface OtlpSender {
  send(request: LedgerRequest, timeoutMs: number): Promise<Outcome>
  close(): void
}

const TENANT_HEADER = 'x-tributary-tenant'
const HTTP_PATHS: Readonly<Record<SignalName, string>> = {
  logs: '/v1/logs',
  spans: '/v1/traces',
  metrics: '/v1/metrics',
}
const GRPC_PATHS: Readonly<Record<SignalName, string>> = {
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  spans: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
}
const REJECTED_FIELDS: Readonly<Record<SignalName, string>> = {
  logs: 'rejectedLogRecords',
  spans: 'rejectedSpans',
  metrics: 'rejectedDataPoints',
}
/** What the specification of OTLP/HTTP lets a client try again. */
const HTTP_RETRYABLE = new Set([429, 502, 503, 504])
const GRPC_HEADER_BYTES = 5
const ANSWER_BYTES_MAX = 64 * 1024

export class HttpSender implements OtlpSender {
  readonly #url: string
  readonly #agent = new Agent({ keepAlive: true })

  constructor(url: string) {
    this.#url = url
  }

  send(request: LedgerRequest, timeoutMs: number): Promise<Outcome> {
    const { body, signal, tenant } = request
    return new Promise((resolve) => {
      const call = httpRequest(
        new URL(HTTP_PATHS[signal], this.#url),
        {
          method: 'POST',
          agent: this.#agent,
          signal: AbortSignal.timeout(timeoutMs),
          headers: {
            'content-type': 'application/x-protobuf',
            'content-length': body.length,
            [TENANT_HEADER]: tenant,
          },
        },
        (answer) => {
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => chunks.push(chunk))
          answer.on('error', (error) => resolve({ kind: 'unknown', reason: reasonOf(error) }))
          answer.on('end', () => {
            const { statusCode = 0 } = answer
            const status = String(statusCode)
            if (statusCode === 200) resolve(okOf(signal, Buffer.concat(chunks)))
            else resolve({ kind: HTTP_RETRYABLE.has(statusCode) ? 'retry' : 'refused', status })
          })
        },
      )
      call.on('error', (error) => resolve({ kind: 'unknown', reason: reasonOf(error) }))
      call.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

export class GrpcSender implements OtlpSender {
  readonly #address: string
  #session: ClientHttp2Session | undefined

  constructor(address: string) {
    this.#address = address
  }

  send(request: LedgerRequest, timeoutMs: number): Promise<Outcome> {
    const { body, signal, tenant } = request
    const session = this.#connect()
    return new Promise((resolve) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': GRPC_PATHS[signal],
        'content-type': 'application/grpc',
        'grpc-timeout': `${String(timeoutMs)}m`,
        te: 'trailers',
        [TENANT_HEADER]: tenant,
      })
      let status: string | undefined
      let hasDetails = false
      const take = (headers: Record<string, unknown>): void => {
        if (typeof headers['grpc-status'] === 'string') status = headers['grpc-status']
        hasDetails ||= headers['grpc-status-details-bin'] !== undefined
      }
      const chunks: Buffer[] = []
      let reason = 'no status'
      const timer = setTimeout(() => {
        reason = 'timeout'
        // a session that stays silent may be half open: the next request takes another
        if (status === undefined) this.#drop(session)
        stream.destroy()
      }, timeoutMs)
      stream.on('response', take)
      stream.on('trailers', take)
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', (error: Error) => {
        reason = reasonOf(error)
      })
      stream.on('close', () => {
        clearTimeout(timer)
        if (status === undefined) resolve({ kind: 'unknown', reason })
        else resolve(grpcOutcome(signal, Number(status), hasDetails, Buffer.concat(chunks)))
      })
      const prefix = Buffer.alloc(GRPC_HEADER_BYTES)
      prefix.writeUInt32BE(body.length, 1)
      stream.end(Buffer.concat([prefix, body]))
    })
  }

  close(): void {
    this.#session?.destroy()
    this.#session = undefined
  }

  #connect(): ClientHttp2Session {
    const current = this.#session
    if (current !== undefined && !current.closed && !current.destroyed) return current
    const session = connect(`http://${this.#address}`)
    session.on('error', () => this.#drop(session))
    session.on('goaway', () => this.#drop(session))
    session.on('close', () => this.#drop(session))
    this.#session = session
    return session
  }

  /** Calls under way end as they can; new ones take a new connection. */
  #drop(session: ClientHttp2Session): void {
    if (this.#session === session) this.#session = undefined
    if (!session.destroyed) session.close()
  }
}

function grpcOutcome(signal: SignalName, code: number, hasDetails: boolean, body: Buffer): Outcome {
  const status = `grpc ${String(code)}`
  if (code === GrpcStatus.OK) return okOf(signal, body.subarray(GRPC_HEADER_BYTES))
  if (code === GrpcStatus.UNAVAILABLE) return { kind: 'retry', status }
  // without RetryInfo a collector drops what it sent
  if (code === GrpcStatus.RESOURCE_EXHAUSTED && hasDetails) return { kind: 'retry', status }
  return { kind: 'refused', status }
}

function okOf(signal: SignalName, body: Buffer): Outcome {
  if (body.length > ANSWER_BYTES_MAX) return { kind: 'refused', status: 'an answer too large' }
  const { partialSuccess } = exportResponse(signal).decode(body)
  const partial = partialSuccess as Record<string, string> | undefined
  return { kind: 'ok', rejected: Number(partial?.[REJECTED_FIELDS[signal]] ?? 0) }
}

/** Of a stream that ended with its session: what ended that. */
function reasonOf(error: Error): string {
  if (error.name === 'TimeoutError') return 'timeout'
  const { code, cause } = error as NodeJS.ErrnoException
  return cause instanceof Error ? reasonOf(cause) : (code ?? error.name)
}
