/**
 * google.rpc.Status with its details: what an error answer says on both transports.
 *
 *   Status     = code 1: int32 | message 2: string | details 3: Any*
 *   Any        = type_url 1: string | value 2: bytes
 *   RetryInfo  = retry_delay 1: Duration (seconds 1: int64 | nanos 2: int32)
 *   BadRequest = field_violations 1: FieldViolation* (field 1: string | description 2: string)
 */
import { GrpcStatus } from '@tributary/common/errors'
import type { AppError } from '@tributary/common/errors'

import { bytesField, message, stringField, varintField } from '@tributary/common/protobuf-message'

export interface RpcStatus {
  readonly code: GrpcStatus
  readonly message: string
  /** Set exactly when the client should retry. */
  readonly retryDelayMs: number | undefined
  /** Set for INVALID_ARGUMENT: the part of the request that is wrong. */
  readonly badField: string | undefined
}

const RETRY_INFO_URL = 'type.googleapis.com/google.rpc.RetryInfo'
const BAD_REQUEST_URL = 'type.googleapis.com/google.rpc.BadRequest'
/** gRPC clients take 8 KiB of trailers by default; the message stands in them twice. */
const MESSAGE_LENGTH_MAX = 1024

/**
 * The status that the error table fixes for an error; the delay is used only where it is retryable. An
 * error that knows when it will be over says so in `details.retryAfterMs`: nobody comes back before.
 */
export function rpcStatusOf(error: AppError, retryDelayMs: () => number): RpcStatus {
  const { grpc, retryable } = error.answer
  const field = error.details['field']
  return {
    code: grpc,
    message: error.message.slice(0, MESSAGE_LENGTH_MAX),
    retryDelayMs: retryable ? delayMsOf(error, retryDelayMs) : undefined,
    badField:
      grpc === GrpcStatus.INVALID_ARGUMENT
        ? typeof field === 'string'
          ? field
          : 'body'
        : undefined,
  }
}

/** A tenant over its rate waits for its own bucket, whatever else goes on. */
function delayMsOf({ code, details }: AppError, retryDelayMs: () => number): number {
  const told = details['retryAfterMs']
  if (typeof told !== 'number') return retryDelayMs()
  return code === 'over_rate' ? told : Math.max(retryDelayMs(), told)
}

export function encodeRpcStatus(status: RpcStatus): Uint8Array {
  return message(
    varintField(1, status.code),
    stringField(2, status.message),
    ...statusDetails(status).map((detail) => bytesField(3, detail)),
  )
}

export function rpcStatusJson(status: RpcStatus): string {
  const details: Record<string, unknown>[] = []
  if (status.retryDelayMs !== undefined) {
    details.push({ '@type': RETRY_INFO_URL, retryDelay: `${status.retryDelayMs / 1000}s` })
  }
  if (status.badField !== undefined) {
    details.push({
      '@type': BAD_REQUEST_URL,
      fieldViolations: [{ field: status.badField, description: status.message }],
    })
  }
  return JSON.stringify({
    code: status.code,
    message: status.message,
    ...(details.length === 0 ? {} : { details }),
  })
}

function statusDetails(status: RpcStatus): Uint8Array[] {
  const details: Uint8Array[] = []
  if (status.retryDelayMs !== undefined) {
    const seconds = Math.floor(status.retryDelayMs / 1000)
    const nanos = Math.round((status.retryDelayMs - seconds * 1000) * 1e6)
    const duration = message(varintField(1, seconds), varintField(2, nanos))
    details.push(any(RETRY_INFO_URL, bytesField(1, duration)))
  }
  if (status.badField !== undefined) {
    const violation = message(stringField(1, status.badField), stringField(2, status.message))
    details.push(any(BAD_REQUEST_URL, bytesField(1, violation)))
  }
  return details
}

function any(typeUrl: string, value: Uint8Array): Uint8Array {
  return message(stringField(1, typeUrl), bytesField(2, value))
}

const NOT_PLAIN = /[^\x20-\x24\x26-\x7e]/

/** Percent-encoding of grpc-message: everything but printable ASCII without '%' (gRPC over HTTP/2). */
export function percentEncode(text: string): string {
  if (!NOT_PLAIN.test(text)) return text
  let encoded = ''
  for (const byte of Buffer.from(text, 'utf8')) {
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}
