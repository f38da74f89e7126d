/** Writes OTLP/HTTP answers in the encoding of the request. */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'

import type { BodyEncoding, ExportOutcome } from '../export-handler.ts'
import type { ExportRoute } from './export-route.ts'
import { encodeExportResponse, exportResponseJson, isFullSuccess } from './export-response.ts'
import { encodeRpcStatus, rpcStatusJson } from './rpc-status.ts'
import type { RpcStatus } from './rpc-status.ts'

const CONTENT_TYPES = {
  protobuf: 'application/x-protobuf',
  json: 'application/json',
} as const satisfies Record<BodyEncoding, string>

const NOTHING = new Uint8Array(0)
const FULL_SUCCESS_JSON = Buffer.from('{}')

export function answerOutcome(
  response: ServerResponse,
  encoding: BodyEncoding,
  route: ExportRoute,
  outcome: ExportOutcome,
): void {
  write(response, 200, encoding, outcomeBody(encoding, route, outcome), {})
}

export function answerStatus(
  response: ServerResponse,
  httpStatus: number,
  encoding: BodyEncoding,
  status: RpcStatus,
  extraHeaders: OutgoingHttpHeaders,
): void {
  const body = encoding === 'json' ? Buffer.from(rpcStatusJson(status)) : encodeRpcStatus(status)
  const retryHeaders: OutgoingHttpHeaders =
    status.retryDelayMs === undefined
      ? {}
      : { 'retry-after': String(Math.max(1, Math.ceil(status.retryDelayMs / 1000))) }
  write(response, httpStatus, encoding, body, { ...retryHeaders, ...extraHeaders })
}

function outcomeBody(
  encoding: BodyEncoding,
  route: ExportRoute,
  outcome: ExportOutcome,
): Uint8Array {
  if (encoding === 'protobuf') {
    return isFullSuccess(outcome) ? NOTHING : encodeExportResponse(outcome)
  }
  return isFullSuccess(outcome)
    ? FULL_SUCCESS_JSON
    : Buffer.from(exportResponseJson(outcome, route))
}

function write(
  response: ServerResponse,
  httpStatus: number,
  encoding: BodyEncoding,
  body: Uint8Array,
  headers: OutgoingHttpHeaders,
): void {
  response.writeHead(httpStatus, {
    'content-type': CONTENT_TYPES[encoding],
    'content-length': body.length,
    ...headers,
  })
  response.end(body)
}
