/**
 * Sends export requests to an OTLP/HTTP endpoint, as the specification asks of a client: 429, 502,
 * 503 and 504 and lost connections are tried again after the time that the server asks for (else with
 * growing pauses), everything else is final.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { AppError } from '@tributary/common/errors'
import { parseFields } from '@tributary/common/protobuf-message'
import type { SignalName } from '@tributary/common/signal'

import type { OtlpRequest, OtlpTarget } from './otlp-target.ts'

const PATHS: Readonly<Record<SignalName, string>> = {
  logs: '/v1/logs',
  spans: '/v1/traces',
  metrics: '/v1/metrics',
}

const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504])

export interface HttpTargetOptions {
  /** Without /v1/... */
  readonly url: string
  /** How long one request is tried before the replay gives up. */
  readonly giveUpAfterMs: number
  readonly pauseMs?: number
  /** A request is not taken and will be tried again: once per request. */
  readonly onRetry?: (error: AppError) => void
}

const PAUSE_MS = 200
const PAUSE_MAX_MS = 30_000
const ATTEMPT_TIMEOUT_MS = 60_000
const ANSWER_TEXT_MAX = 500

type Attempt =
  { readonly rejectedItems: number } | { readonly error: AppError; readonly retryAfterMs?: number }

export class HttpTarget implements OtlpTarget {
  readonly #url: string
  readonly #giveUpAfterMs: number
  readonly #pauseMs: number
  readonly #onRetry: ((error: AppError) => void) | undefined

  constructor(options: HttpTargetOptions) {
    this.#url = options.url.replace(/\/+$/, '')
    this.#giveUpAfterMs = options.giveUpAfterMs
    this.#pauseMs = options.pauseMs ?? PAUSE_MS
    this.#onRetry = options.onRetry
  }

  async send(request: OtlpRequest): Promise<number> {
    const startMs = performance.now()
    let hasTold = false
    for (let pauseMs = this.#pauseMs; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
      const attempt = await this.#try(request)
      if ('rejectedItems' in attempt) return attempt.rejectedItems
      const waitMs = attempt.retryAfterMs ?? pauseMs * (0.5 + Math.random())
      const isLate = performance.now() - startMs + waitMs > this.#giveUpAfterMs
      if (!attempt.error.answer.retryable || isLate) throw attempt.error
      if (!hasTold) this.#onRetry?.(attempt.error)
      hasTold = true
      await sleep(waitMs)
    }
  }

  async #try(request: OtlpRequest): Promise<Attempt> {
    const url = this.#url + PATHS[request.signal]
    let response: Response
    let body: Uint8Array
    try {
      response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-protobuf',
          'x-tributary-tenant': request.tenant,
        },
        body: request.body as Uint8Array<ArrayBuffer>,
        signal: AbortSignal.timeout(ATTEMPT_TIMEOUT_MS),
      })
      body = await response.bytes()
    } catch (error) {
      return { error: new AppError('internal', 'no answer', { cause: error, details: { url } }) }
    }
    if (response.ok) return { rejectedItems: rejectedItems(body) }
    const isRetryable = RETRYABLE_STATUSES.has(response.status)
    const details = { url, status: response.status, answer: statusMessage(body) }
    if (!isRetryable)
      return { error: new AppError('malformed_body', 'request refused', { details }) }
    const retryAfterMs = Number(response.headers.get('retry-after') ?? Number.NaN) * 1000
    return {
      error: new AppError('overloaded', 'the endpoint keeps asking to retry', { details }),
      ...(retryAfterMs >= 0 ? { retryAfterMs: Math.min(retryAfterMs, PAUSE_MAX_MS) } : {}),
    }
  }
}

/** `partial_success.rejected_*` of an ExportXServiceResponse: field 1 of its field 1. */
function rejectedItems(body: Uint8Array): number {
  const partial = parseFields(body)?.find(({ number }) => number === 1)?.value
  if (!(partial instanceof Uint8Array)) return 0
  const rejected = parseFields(partial)?.find(({ number }) => number === 1)?.value
  return typeof rejected === 'number' ? rejected : 0
}

/** `message` of a google.rpc.Status, or the start of whatever came instead. */
function statusMessage(body: Uint8Array): string {
  const message = parseFields(body)?.find(({ number }) => number === 2)?.value
  const text = message instanceof Uint8Array ? message : body
  return Buffer.from(text).toString('utf8').slice(0, ANSWER_TEXT_MAX)
}
