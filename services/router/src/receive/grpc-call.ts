/**
 * One unary call: checks its headers, reserves bytes, reads its message, runs the pipeline, answers
 * once. Phases go one way: reading -> handling -> answered. The reservation is released by the
 * pipeline once it runs, by the call before that. Connections and time limits are left to the
 * receiver, which asks `expire` at intervals.
 */
import { constants } from 'node:http2'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'

import { compressionOf } from '@tributary/common/compression'
import type { Compression } from '@tributary/common/compression'
import { AppError, toAppError } from '@tributary/common/errors'
import type { TraceSpan } from '@tributary/common/tracing'

import type { Reservation } from '../admission.ts'
import { checkStanding, type Caller } from '../tenants/authenticator.ts'
import type { ExportRoute } from './export-route.ts'
import { ROUTE_BY_GRPC_PATH } from './export-route.ts'
import { ACCEPTED_ENCODINGS, answerOutcome, answerStatus } from './grpc-answer.ts'
import { GrpcMessageReader } from './grpc-message-reader.ts'
import type { MessagePrefix } from './grpc-message-reader.ts'
import { answerMarginMs, grpcTimeoutMs } from './grpc-timeout.ts'
import { beginTrace, failureOf } from './call-trace.ts'
import type { ReceiverCore } from './receiver-core.ts'
import { CALL_ESTIMATE_BYTES, reservationBytes } from './receiver-limits.ts'
import type { PeerTenant } from './receiver-tls.ts'
import type { AnswerLabel } from './receiver-metrics.ts'
import { rpcStatusOf } from './rpc-status.ts'

type Phase = 'reading' | 'handling' | 'answered'

export class GrpcCall {
  readonly #core: ReceiverCore
  readonly #stream: ServerHttp2Stream
  readonly #peer: PeerTenant | undefined
  readonly #reader: GrpcMessageReader
  #phase: Phase = 'reading'
  #bodyBytes = 0
  readonly #sinceMs: number
  #phaseSinceMs: number
  #progressMs: number
  #route: ExportRoute | undefined
  #caller: Caller | undefined
  #encoding: Compression = 'identity'
  #isCompressed = false
  #reservation: Reservation | undefined
  #deadlineAtMs: number | undefined
  /** When the call is answered at the latest, so that its client still hears it. */
  #answerAtMs = Infinity
  #answerTimer: NodeJS.Timeout | undefined
  #trace: TraceSpan | undefined

  constructor(
    core: ReceiverCore,
    stream: ServerHttp2Stream,
    peer: PeerTenant | undefined,
    nowMs: number,
  ) {
    this.#peer = peer
    this.#core = core
    this.#stream = stream
    this.#reader = new GrpcMessageReader(core.bodies, (prefix) => {
      this.#checkPrefix(prefix)
    })
    this.#sinceMs = nowMs
    this.#phaseSinceMs = nowMs
    this.#progressMs = nowMs
  }

  /** Bytes of DATA frames read so far. */
  get bodyBytes(): number {
    return this.#bodyBytes
  }

  /** Admits or refuses the call by its headers, before any of its body is read. */
  start(headers: IncomingHttpHeaders): void {
    this.#stream.on('error', ignoreStreamError)
    const { tracing } = this.#core
    if (tracing !== undefined) {
      const { traceparent, ':path': path } = headers
      const call = { transport: 'grpc', path, traceparent, startMs: this.#sinceMs } as const
      this.#trace = beginTrace(tracing, call)
    }
    try {
      this.#checkHeaders(headers)
      const caller = this.#core.identify(headers, this.#peer)
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

  /** Nothing of the body was read until here: the stream is paused while nobody listens. */
  #admit(caller: Caller): void {
    if (this.#phase !== 'reading') return
    this.#caller = caller
    try {
      this.#reservation = this.#core.admit(
        caller.tenant,
        reservationBytes(CALL_ESTIMATE_BYTES, false),
      )
    } catch (error) {
      this.#fail(toAppError(error))
      return
    }
    const stream = this.#stream
    stream.on('data', (chunk: Uint8Array) => {
      this.#read(chunk)
    })
    stream.on('end', () => {
      this.#handle()
    })
  }

  /** The stream is gone: with or without an answer. */
  closed(): void {
    if (this.#phase === 'reading') {
      this.#count('cancelled')
      this.#releaseUnread()
    }
    if (this.#phase !== 'answered') this.#trace?.end(this.#core.nowMs, 'cancelled')
    this.#phase = 'answered'
    clearTimeout(this.#answerTimer)
  }

  /** Answers or drops a call that has taken too long. */
  expire(nowMs: number): void {
    const { limits } = this.#core
    const phaseMs = nowMs - this.#phaseSinceMs
    if (this.#phase === 'reading') {
      const isStill = nowMs - this.#progressMs > limits.bodyIdleMs
      if (isStill || phaseMs > limits.bodyTimeoutMs || nowMs > this.#answerAtMs) {
        this.#fail(new AppError('cancelled', 'body did not arrive in time'))
      }
    } else if (this.#phase === 'handling') {
      if (phaseMs > limits.answerTimeoutMs || nowMs > this.#answerAtMs) {
        this.#fail(new AppError('deadline_near', 'request was not stored in time'))
      }
    } else if (phaseMs > limits.answerUnreadMs) {
      this.#stream.close(constants.NGHTTP2_CANCEL)
      this.#stream.destroy()
    }
  }

  /** The grace of draining is over. */
  cut(): void {
    if (this.#phase !== 'answered') this.#fail(new AppError('draining', 'server is shutting down'))
  }

  #checkHeaders(headers: IncomingHttpHeaders): void {
    if (headers[':method'] !== 'POST') {
      throw new AppError('unknown_method', 'method must be POST')
    }
    if (!isGrpc(headers['content-type'])) {
      throw new AppError('unsupported_media_type', 'content-type must be application/grpc')
    }
    const path = headers[':path'] ?? ''
    this.#route = ROUTE_BY_GRPC_PATH.get(path)
    if (this.#route === undefined) {
      throw new AppError('unknown_path', 'unknown service or method', { details: { path } })
    }
    const encoding = compressionOf(singleHeader(headers['grpc-encoding']))
    if (encoding === undefined) {
      throw new AppError('unsupported_media_type', 'grpc-encoding is not supported', {
        details: { accepted: ACCEPTED_ENCODINGS },
      })
    }
    this.#encoding = encoding
    const timeoutMs = grpcTimeoutMs(singleHeader(headers['grpc-timeout']))
    if (timeoutMs !== undefined) this.#noteDeadline(timeoutMs)
  }

  /** Longer waits end with a sweep; for one that sweeps could miss a timer is set. */
  #noteDeadline(timeoutMs: number): void {
    const { sweepIntervalMs } = this.#core.limits
    const marginMs = answerMarginMs(timeoutMs, sweepIntervalMs)
    this.#deadlineAtMs = this.#phaseSinceMs + timeoutMs
    this.#answerAtMs = this.#deadlineAtMs - marginMs
    if (marginMs > sweepIntervalMs) return
    this.#answerTimer = setTimeout(() => {
      this.expire(Infinity)
    }, timeoutMs - marginMs).unref()
  }

  #checkPrefix(prefix: MessagePrefix): void {
    const { limits } = this.#core
    if (prefix.length > limits.requestBytesMax) {
      throw new AppError('request_too_large', 'message is larger than allowed', {
        details: { bytes: prefix.length, bytesMax: limits.requestBytesMax },
      })
    }
    if (prefix.isCompressed && this.#encoding === 'identity') {
      throw new AppError('malformed_compression', 'compressed message without grpc-encoding')
    }
    this.#isCompressed = prefix.isCompressed
    this.#reservation?.resize(reservationBytes(prefix.length, prefix.isCompressed))
  }

  #read(chunk: Uint8Array): void {
    this.#bodyBytes += chunk.length
    if (this.#phase !== 'reading') return
    this.#progressMs = this.#core.nowMs
    try {
      this.#reader.add(chunk)
    } catch (error) {
      this.#fail(toAppError(error))
    }
  }

  #handle(): void {
    if (this.#phase !== 'reading') return
    let wireBody: Uint8Array
    try {
      checkStanding(this.#caller!)
      wireBody = this.#reader.finish()
    } catch (error) {
      this.#fail(toAppError(error))
      return
    }
    this.#phase = 'handling'
    this.#phaseSinceMs = this.#core.nowMs
    this.#trace?.child('receive', this.#sinceMs).end(this.#phaseSinceMs)
    this.#core.pipeline
      .run({
        transport: 'grpc',
        route: this.#route!,
        encoding: 'protobuf',
        compression: this.#isCompressed ? this.#encoding : 'identity',
        wireBody,
        releaseBody: () => {
          this.#reader.release()
        },
        reservation: this.#reservation!,
        deadlineAtMs: this.#deadlineAtMs,
        trace: this.#trace,
      })
      .then(
        (outcome) => {
          if (!this.#finish(outcome.rejectedItems > 0 ? 'partial' : 'ok')) return
          answerOutcome(this.#stream, outcome)
        },
        (error: unknown) => {
          this.#fail(toAppError(error))
        },
      )
      .catch((error: unknown) => {
        // Writing an answer failed: the stream went away in between, or it is a bug of ours.
        this.#core.logger.debug({ err: error }, 'answer could not be written')
        this.#stream.destroy()
      })
  }

  #fail(error: AppError): void {
    if (this.#phase === 'reading') this.#releaseUnread()
    if (!this.#finish(error.code)) return
    const stream = this.#stream
    const extra =
      'accepted' in error.details ? { 'grpc-accept-encoding': ACCEPTED_ENCODINGS } : NO_HEADERS
    const status = rpcStatusOf(error, () => this.#core.admission.retryDelayMs())
    try {
      answerStatus(stream, status, httpStatusOf(error), extra)
    } catch (failure) {
      this.#core.logger.debug({ err: failure }, 'answer could not be written')
      stream.destroy()
    }
  }

  #releaseUnread(): void {
    this.#reservation?.release()
    this.#reader.release()
  }

  /** Ends the call once; false where nobody waits for its answer any more. */
  #finish(answer: AnswerLabel): boolean {
    if (this.#phase === 'answered') return false
    this.#phase = 'answered'
    this.#phaseSinceMs = this.#core.nowMs
    clearTimeout(this.#answerTimer)
    this.#trace?.end(this.#phaseSinceMs, failureOf(answer))
    const isOpen = !this.#stream.destroyed && !this.#stream.closed
    this.#count(answer)
    return isOpen
  }

  #count(answer: AnswerLabel): void {
    const { metrics, nowMs } = this.#core
    metrics.countAnswer('grpc', this.#route?.name ?? 'none', answer, nowMs - this.#sinceMs)
  }
}

const NO_HEADERS = {}

/** What is no gRPC at all gets an HTTP status too, as the protocol asks (gRPC over HTTP/2). */
function httpStatusOf(error: AppError): number {
  if (error.code === 'unknown_method') return 405
  if (error.code === 'unsupported_media_type' && !('accepted' in error.details)) return 415
  return 200
}

function isGrpc(contentType: string | undefined): boolean {
  if (contentType === undefined) return false
  const type = contentType.split(';', 1)[0]!.trim().toLowerCase()
  return type === 'application/grpc' || type === 'application/grpc+proto'
}

function singleHeader(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.join(',')
}

/** A reset by the client; the call hears of it by `close`. */
function ignoreStreamError(): void {
  return undefined
}
