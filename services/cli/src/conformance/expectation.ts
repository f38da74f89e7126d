import { isFullSuccess, readRejectedItems } from './probe-answer.ts'
import type { ProbeAnswer } from './probe-answer.ts'
import type { ProbeTransport } from './conformance-case.ts'

/** One row of the status contract. */
export interface Expectation {
  readonly grpc: number
  readonly http: number
  /** `yes`: RetryInfo or Retry-After must be there; `no`: must not. */
  readonly retry: 'yes' | 'no'
  readonly badRequest?: boolean
}

export const FULL_SUCCESS: Expectation = { grpc: 0, http: 200, retry: 'no' }
export const INVALID: Expectation = { grpc: 3, http: 400, retry: 'no', badRequest: true }
export const TOO_LARGE: Expectation = { grpc: 8, http: 413, retry: 'no' }
export const UNAUTHENTICATED: Expectation = { grpc: 16, http: 401, retry: 'no' }
export const PERMISSION_DENIED: Expectation = { grpc: 7, http: 403, retry: 'no' }
export const OVER_RATE: Expectation = { grpc: 8, http: 429, retry: 'yes' }
export const UNAVAILABLE: Expectation = { grpc: 14, http: 503, retry: 'yes' }
export const UNKNOWN_PATH: Expectation = { grpc: 12, http: 404, retry: 'no' }
export const UNKNOWN_METHOD: Expectation = { grpc: 12, http: 405, retry: 'no' }
export const UNSUPPORTED: Expectation = { grpc: 12, http: 415, retry: 'no' }

const GRPC_NAMES: Readonly<Record<number, string>> = {
  0: 'OK',
  3: 'INVALID_ARGUMENT',
  7: 'PERMISSION_DENIED',
  8: 'RESOURCE_EXHAUSTED',
  12: 'UNIMPLEMENTED',
  14: 'UNAVAILABLE',
  16: 'UNAUTHENTICATED',
}

/** The expectation in words, for reports. */
export function describe(expectation: Expectation, transport: ProbeTransport): string {
  if (transport === 'grpc') {
    const name = GRPC_NAMES[expectation.grpc] ?? String(expectation.grpc)
    const retry = expectation.retry === 'yes' ? ' with RetryInfo' : ' without RetryInfo'
    return name + (expectation.grpc === 0 ? '' : retry)
  }
  const retry = expectation.retry === 'yes' ? ' with Retry-After' : ' without Retry-After'
  return String(expectation.http) + (expectation.http === 200 ? '' : retry)
}

/** What is wrong with the status, the retry hint or the error body; undefined when nothing is. */
export function checkStatus(
  answer: ProbeAnswer,
  expectation: Expectation,
  transport: ProbeTransport,
): string | undefined {
  const expected = transport === 'grpc' ? expectation.grpc : expectation.http
  if (answer.status === undefined) return `no answer: ${answer.failure}`
  if (answer.status !== expected) {
    return `status ${answer.status} instead of ${expected}: ${answer.message}`
  }
  if (expectation.retry === 'yes') {
    if (answer.retryDelayMs === undefined) return 'the answer does not say when to retry'
    if (!(answer.retryDelayMs > 0)) return `retry delay is ${answer.retryDelayMs} ms`
    if (transport === 'http' && answer.headers['retry-after'] === undefined) {
      return 'no Retry-After header'
    }
  } else if (answer.retryDelayMs !== undefined || answer.headers['retry-after'] !== undefined) {
    return 'the answer says to retry what must not be retried'
  }
  return expected === (transport === 'grpc' ? 0 : 200)
    ? undefined
    : checkErrorBody(answer, expectation, transport)
}

function checkErrorBody(
  answer: ProbeAnswer,
  expectation: Expectation,
  transport: ProbeTransport,
): string | undefined {
  if (transport === 'http' && answer.rpcStatus === undefined) {
    return 'the body is no google.rpc.Status in the encoding of the answer'
  }
  if (answer.message === '') return 'the answer has no message'
  if (answer.rpcStatus !== undefined && answer.rpcStatus.code !== expectation.grpc) {
    return `google.rpc.Status has code ${answer.rpcStatus.code} instead of ${expectation.grpc}`
  }
  if (answer.rpcStatus !== undefined && answer.rpcStatus.message !== answer.message) {
    return 'google.rpc.Status has another message than the answer'
  }
  if (expectation.badRequest === true && !answer.hasBadRequest) return 'no BadRequest detail'
  return undefined
}

/** OK, and `partial_success` is unset. */
export function checkFullSuccess(
  answer: ProbeAnswer,
  transport: ProbeTransport,
): string | undefined {
  const wrong = checkStatus(answer, FULL_SUCCESS, transport)
  if (wrong !== undefined) return wrong
  return isFullSuccess(answer) ? undefined : 'partial_success is set on full success'
}

/** OK, `partial_success` counts the rejected items and says why. */
export function checkPartialSuccess(
  answer: ProbeAnswer,
  transport: ProbeTransport,
  rejectedItems: number,
): string | undefined {
  const wrong = checkStatus(answer, FULL_SUCCESS, transport)
  if (wrong !== undefined) return wrong
  const rejected = readRejectedItems(answer)
  return rejected === rejectedItems
    ? undefined
    : `${rejected ?? 'no'} items rejected instead of ${rejectedItems}`
}

/** The answer comes in the encoding of the request. */
export function checkEncoding(
  answer: ProbeAnswer,
  encoding: 'protobuf' | 'json',
): string | undefined {
  const expected = encoding === 'json' ? 'application/json' : 'application/x-protobuf'
  const type = answer.contentType.split(';', 1)[0]!.trim()
  return type === expected ? undefined : `content-type ${type || 'missing'} instead of ${expected}`
}
