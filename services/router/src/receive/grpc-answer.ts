/** Writes the answer of a unary call: headers, one message and trailers, or trailers alone. */
import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { constants } from 'node:http2'

import { COMPRESSIONS } from '@tributary/common/compression'

import type { ExportOutcome } from '../export-handler.ts'
import { encodeExportResponse, isFullSuccess } from './export-response.ts'
import { encodeRpcStatus, percentEncode } from './rpc-status.ts'
import type { RpcStatus } from './rpc-status.ts'

const CONTENT_TYPE = 'application/grpc+proto'
export const ACCEPTED_ENCODINGS = COMPRESSIONS.join(',')

const SUCCESS_HEADERS: OutgoingHttpHeaders = { ':status': 200, 'content-type': CONTENT_TYPE }
/** Node's types do not know `sendDate`: an answer needs no date header. */
const SUCCESS_OPTIONS = { waitForTrailers: true, sendDate: false } as const
const STATUS_OPTIONS = { endStream: true, sendDate: false } as const
const SUCCESS_TRAILERS: OutgoingHttpHeaders = { 'grpc-status': '0' }
/** Not compressed, length 0: an ExportXServiceResponse without partial_success. */
const FULL_SUCCESS = Buffer.alloc(5)

/** The stream must be open. */
export function answerOutcome(stream: ServerHttp2Stream, outcome: ExportOutcome): void {
  stream.respond(SUCCESS_HEADERS, SUCCESS_OPTIONS)
  stream.on('wantTrailers', sendSuccessTrailers)
  stream.end(isFullSuccess(outcome) ? FULL_SUCCESS : frame(encodeExportResponse(outcome)))
}

function sendSuccessTrailers(this: ServerHttp2Stream): void {
  if (!this.closed && !this.destroyed) this.sendTrailers(SUCCESS_TRAILERS)
}

function frame(body: Uint8Array): Uint8Array {
  const framed = Buffer.alloc(5 + body.length)
  framed.writeUInt32BE(body.length, 1)
  framed.set(body, 5)
  return framed
}

/**
 * Trailers-only answer. Where the client is still sending, its stream is closed without an error,
 * so that it stops. `httpStatus` differs from 200 only for what is no gRPC call at all.
 */
export function answerStatus(
  stream: ServerHttp2Stream,
  status: RpcStatus,
  httpStatus: number,
  extraHeaders: OutgoingHttpHeaders,
): void {
  const headers: OutgoingHttpHeaders = {
    ':status': httpStatus,
    'content-type': CONTENT_TYPE,
    'grpc-status': String(status.code),
    'grpc-message': percentEncode(status.message),
    ...extraHeaders,
  }
  if (status.retryDelayMs !== undefined || status.badField !== undefined) {
    headers['grpc-status-details-bin'] = Buffer.from(encodeRpcStatus(status)).toString('base64')
  }
  stream.respond(headers, STATUS_OPTIONS)
  if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR)
}
