/**
 * One OTLP/HTTP export: checks its headers, reserves bytes, reads its body, runs the pipeline,
 * answers once. Phases go one way: reading -> handling -> answered. After a refusal the rest of the
 * body is read and thrown away within bounds: closing on a client that still sends would reset the
 * connection and could destroy the answer before it is read. Connections and time limits are left
 * to the receiver, which asks `expire` at intervals.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'

import { compressionOf } from '@tributary/common/compression'
import type { Compression } from '@tributary/common/compression'
import { AppError, toAppError } from '@tributary/common/errors'
import type { TraceSpan } from '@tributary/common/tracing'

import type { Reservation } from '../admission.ts'
import type { BodyEncoding } from '../export-handler.ts'
import { checkStanding, type Caller } from '../tenants/authenticator.ts'
import { BodyBuffer } from './body-buffer.ts'
import { beginTrace, failureOf } from './call-trace.ts'
import type { ExportRoute } from './export-route.ts'
import { ROUTE_BY_HTTP_PATH } from './export-route.ts'
import { answerOutcome, answerStatus } from './http-answer.ts'
import type { ReceiverCore } from './receiver-core.ts'
import { CALL_ESTIMATE_BYTES, HTTP1_LIMITS, reservationBytes } from './receiver-limits.ts'
import type { PeerTenant } from './receiver-tls.ts'
import type { AnswerLabel } from './receiver-metrics.ts'
import { rpcStatusOf } from './rpc-status.ts'

type Phase = 'reading' | 'handling' | 'answered'

export class HttpCall {
  readonly #core: ReceiverCore
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #awaitsContinue: boolean
  readonly #peer: PeerTenant | undefined
  #phase: Phase = 'reading'
  readonly #sinceMs: number
  #phaseSinceMs: number
  #progressMs: number
  #route: ExportRoute | undefined
  #encoding: BodyEncoding = 'json'
  #compression: Compression = 'identity'
  #caller: Caller | undefined
  #reservation: Reservation | undefined
  #body: BodyBuffer | undefined
  #discardedBytes = 0
  #trace: TraceSpan | undefined

  constructor(
    core: ReceiverCore,
    request: IncomingMessage,
    response: ServerResponse,
    awaitsContinue: boolean,
    peer: PeerTenant | undefined,
  ) {
    this.#peer = peer
    this.#core = core
    this.#request = request
    this.#response = response
    this.#awaitsContinue = awaitsContinue
    this.#sinceMs = core.nowMs
    this.#phaseSinceMs = this.#sinceMs
    this.#progressMs = this.#sinceMs
  }

  /**
   * True when the answer is out and no byte of the body is awaited. A request whose client hangs up
   * behind the answer, in the middle of its body, stays neither complete nor destroyed (Node 24.21).
   */
  get isOver(): boolean {
    const { complete, destroyed, socket } = this.#request
    return this.#response.closed && (complete || destroyed || socket.destroyed)
  }

  get isAnswered(): boolean {
    return this.#phase === 'answered'
  }

  /** Admits or refuses the call by its headers, before any of its body is read. */
  start(isClosing: boolean): void {
    const request = this.#request
    if (isClosing) this.#response.shouldKeepAlive = false
    request.on('error', ignoreRequestError)
    this.#response.on('error', ignoreRequestError)
    const { tracing } = this.#core
    if (tracing !== undefined) {
      const { traceparent } = request.headers
      const { url: path } = request
      const call = { transport: 'http', path, traceparent, startMs: this.#sinceMs } as const
      this.#trace = beginTrace(tracing, call)
    }
    try {
      this.#checkHeaders()
      const caller = this.#core.identify(request.headers, this.#peer)
      if (caller instanceof Promise) {
        caller.then(
          (known) => {
            this.#admit(known)
          },
          (error: unknown) => {
            this.#fail(toAppError(error))
          },
        )
      } else this.#admit(caller)
    } catch (error) {
      this.#fail(toAppError(error))
    }
  }

  /** Nothing of the body was read until here: the request is paused while nobody listens. */
  #admit(caller: Caller): void {
    if (this.#phase !== 'reading') return
    this.#caller = caller
    const request = this.#request
    try {
      const length = this.#contentLength()
      const isCompressed = this.#compression !== 'identity'
      this.#reservation = this.#core.admit(
        caller.tenant,
        reservationBytes(length ?? CALL_ESTIMATE_BYTES, isCompressed),
      )
      this.#body = new BodyBuffer(this.#core.bodies, length, (bytes) => {
        this.#admitGrowth(bytes)
      })
    } catch (error) {
      this.#fail(toAppError(error))
      return
    }
    if (this.#awaitsContinue) this.#response.writeContinue()
    request.on('data', (chunk: Uint8Array) => {
      this.#read(chunk)
    })
    request.on('end', () => {
      this.#handle()
    })
  }

  /** The connection or the exchange is over. */
  closed(): void {
    if (this.#phase === 'reading') {
      this.#count('cancelled')
      this.#releaseUnread()
    }
    if (this.#phase !== 'answered') this.#trace?.end(this.#core.nowMs, 'cancelled')
    this.#phase = 'answered'
  }

  /** What the HTTP parser could not make sense of, in the middle of this call's body. */
  malformed(cause: Error): void {
    this.#fail(new AppError('malformed_body', 'body is not valid HTTP', { cause }))
  }

  /** Answers or drops a call that has taken too long. */
  expire(nowMs: number): void {
    const { limits } = this.#core
    const phaseMs = nowMs - this.#phaseSinceMs
    if (this.#phase === 'reading') {
      if (nowMs - this.#progressMs > limits.bodyIdleMs || phaseMs > limits.bodyTimeoutMs) {
        this.#fail(new AppError('cancelled', 'body did not arrive in time'))
      }
    } else if (this.#phase === 'handling') {
      if (phaseMs > limits.answerTimeoutMs) {
        this.#fail(new AppError('deadline_near', 'request was not stored in time'))
      }
    } else if (
      (!this.#response.closed && phaseMs > limits.answerUnreadMs) ||
      (!this.#request.complete && phaseMs > HTTP1_LIMITS.discardTimeoutMs)
    ) {
      this.#request.socket.destroy()
    }
  }

  /** The grace of draining is over. */
  cut(): void {
    if (this.#phase !== 'answered') this.#fail(new AppError('draining', 'server is shutting down'))
  }

  #checkHeaders(): void {
    const { headers, method, url } = this.#request
    const encoding = encodingOf(headers['content-type'])
    if (encoding !== undefined) this.#encoding = encoding
    this.#route = ROUTE_BY_HTTP_PATH.get(pathOf(url ?? ''))
    if (this.#route === undefined) throw new AppError('unknown_path', 'unknown path')
    if (method !== 'POST') throw new AppError('unknown_method', 'method must be POST')
    if (encoding === undefined) {
      throw new AppError(
        'unsupported_media_type',
        'content-type must be application/x-protobuf or application/json',
      )
    }
    const compression = compressionOf(headers['content-encoding'])
    if (compression === undefined) {
      throw new AppError('unsupported_media_type', 'content-encoding is not supported')
    }
    this.#compression = compression
  }

  /** Undefined for a chunked body. The parser has checked that it is a number. */
  #contentLength(): number | undefined {
    const { headers } = this.#request
    if (headers['transfer-encoding'] !== undefined) return undefined
    const length = Number(headers['content-length'] ?? 0)
    this.#checkLength(length)
    return length
  }

  #checkLength(bytes: number): void {
    const bytesMax = this.#core.limits.requestBytesMax
    if (bytes > bytesMax) {
      const details = { bytes, bytesMax }
      throw new AppError('request_too_large', 'body is larger than allowed', { details })
    }
  }

  #admitGrowth(bytes: number): void {
    this.#checkLength(bytes)
    const needed = reservationBytes(bytes, this.#compression !== 'identity')
    // In steps of a quarter, so that a body of many small chunks does not ask for each of them.
    if (needed > this.#reservation!.bytes) this.#reservation!.resize(Math.ceil(needed * 1.25))
  }

  #read(chunk: Uint8Array): void {
    if (this.#phase !== 'reading') {
      this.#discard(chunk)
      return
    }
    this.#progressMs = this.#core.nowMs
    try {
      this.#body!.add(chunk)
    } catch (error) {
      this.#fail(toAppError(error))
    }
  }

  #discard(chunk: Uint8Array): void {
    this.#discardedBytes += chunk.length
    if (this.#discardedBytes > HTTP1_LIMITS.discardedBytesMax) this.#request.socket.destroy()
  }

  #handle(): void {
    if (this.#phase !== 'reading') return
    try {
      checkStanding(this.#caller!)
    } catch (error) {
      this.#fail(toAppError(error))
      return
    }
    this.#phase = 'handling'
    this.#phaseSinceMs = this.#core.nowMs
    this.#trace?.child('receive', this.#sinceMs).end(this.#phaseSinceMs)
    const body = this.#body!
    this.#core.pipeline
      .run({
        transport: 'http',
        route: this.#route!,
        encoding: this.#encoding,
        compression: this.#compression,
        wireBody: body.finish(),
        releaseBody: () => {
          body.release()
        },
        reservation: this.#reservation!,
        deadlineAtMs: undefined,
        trace: this.#trace,
      })
      .then(
        (outcome) => {
          if (!this.#finish(outcome.rejectedItems > 0 ? 'partial' : 'ok')) return
          answerOutcome(this.#response, this.#encoding, this.#route!, outcome)
        },
        (error: unknown) => {
          this.#fail(toAppError(error))
        },
      )
      .catch((error: unknown) => {
        // Writing an answer failed: the connection went away in between, or it is a bug of ours.
        this.#core.logger.debug({ err: error }, 'answer could not be written')
        this.#request.socket.destroy()
      })
    this.#body = undefined
  }

  #fail(error: AppError): void {
    const wasReading = this.#phase === 'reading'
    if (wasReading) this.#releaseUnread()
    if (!this.#finish(error.code)) return
    const extra = EXTRA_HEADERS[error.code] ?? {}
    if (wasReading && !this.#request.complete) {
      if (this.#awaitsContinue) this.#response.shouldKeepAlive = false
      else this.#discardRest()
    }
    const status = rpcStatusOf(error, () => this.#core.admission.retryDelayMs())
    answerStatus(this.#response, error.answer.http, this.#encoding, status, extra)
  }

  #releaseUnread(): void {
    this.#reservation?.release()
    this.#body?.release()
    this.#body = undefined
  }

  #discardRest(): void {
    // Node destroys the socket after an answer that says `connection: close`; see the file's head.
    this.#response.shouldKeepAlive = true
    if (this.#request.listenerCount('data') === 0) {
      this.#request.on('data', (chunk: Uint8Array) => {
        this.#discard(chunk)
      })
    }
  }

  /** Ends the call once; false where nobody waits for its answer any more. */
  #finish(answer: AnswerLabel): boolean {
    if (this.#phase === 'answered') return false
    this.#phase = 'answered'
    this.#phaseSinceMs = this.#core.nowMs
    this.#count(answer)
    this.#trace?.end(this.#phaseSinceMs, failureOf(answer))
    if (this.#core.isDraining && this.#request.complete) this.#response.shouldKeepAlive = false
    return !this.#response.destroyed
  }

  #count(answer: AnswerLabel): void {
    const { metrics, nowMs } = this.#core
    metrics.countAnswer('http', this.#route?.name ?? 'none', answer, nowMs - this.#sinceMs)
  }
}

/** What HTTP wants beside the status (RFC 9110). */
const EXTRA_HEADERS: Readonly<Partial<Record<AppError['code'], OutgoingHttpHeaders>>> = {
  unknown_method: { allow: 'POST' },
  unauthenticated: { 'www-authenticate': 'Bearer' },
}

function encodingOf(contentType: string | undefined): BodyEncoding | undefined {
  if (contentType === undefined) return undefined
  const type = contentType.split(';', 1)[0]!.trim().toLowerCase()
  if (type === 'application/x-protobuf') return 'protobuf'
  if (type === 'application/json') return 'json'
  return undefined
}

/** The path of origin-form, and of absolute-form as proxies send it; without query. */
function pathOf(url: string): string {
  if (!url.startsWith('/')) return URL.canParse(url) ? new URL(url).pathname : url
  const query = url.indexOf('?')
  return query < 0 ? url : url.slice(0, query)
}

/** An aborted request; the call hears of it by `close`. */
function ignoreRequestError(): void {
  return undefined
}
