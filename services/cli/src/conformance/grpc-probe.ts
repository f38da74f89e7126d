/** A gRPC call by hand on node:http2, so that any bytes can be sent. */
import { connect, constants } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'

import type { Endpoint } from './conformance-case.ts'
import { readRpcStatus } from './probe-answer.ts'
import type { ProbeAnswer } from './probe-answer.ts'

export interface GrpcProbe {
  readonly path: string
  /** Added to, or put in place of, what a proper call sends; undefined leaves a header out. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** DATA frames as they are: framing is the caller's. */
  readonly frames: readonly Uint8Array[]
  /** Ends the client's side after the last frame; default true. */
  readonly endsStream?: boolean
}

const PROBE_TIMEOUT_MS = 15_000

/** A message with its five-byte prefix. */
export function framed(message: Uint8Array, isCompressed = false): Uint8Array {
  const frame = Buffer.alloc(5 + message.length)
  frame[0] = isCompressed ? 1 : 0
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, 5)
  return frame
}

/** Sends one probe over a connection of its own; never throws for what the server does. */
export async function probeGrpc(endpoint: Endpoint, probe: GrpcProbe): Promise<ProbeAnswer> {
  const { tls } = endpoint
  const session =
    tls === undefined
      ? connect(`http://${endpoint.grpc}`)
      : connect(`https://${endpoint.grpc}`, tls)
  const headers = { ...endpoint.headers, ...probe.headers }
  try {
    return await probeSession(session, { ...probe, headers })
  } finally {
    session.destroy()
  }
}

/** The same over a given connection, which stays open. */
function probeSession(session: ClientHttp2Session, probe: GrpcProbe): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const seen: Seen = { headers: {}, trailers: {}, chunks: [], failure: '' }
    const onSessionError = (error: Error): void => {
      seen.failure = error.message
      resolve(answerOf(seen))
    }
    session.on('error', onSessionError)
    const stream = session.request(requestHeaders(probe), { endStream: false })
    const timer = setTimeout(() => {
      seen.failure = 'no answer in time'
      stream.close(constants.NGHTTP2_CANCEL)
    }, PROBE_TIMEOUT_MS)
    listen(stream, seen)
    stream.on('close', () => {
      clearTimeout(timer)
      if (stream.rstCode !== 0) seen.failure ||= `stream reset with ${stream.rstCode}`
      resolve(answerOf(seen))
    })
    for (const frame of probe.frames) stream.write(frame)
    if (probe.endsStream ?? true) stream.end()
  })
}

interface Seen {
  headers: IncomingHttpHeaders
  trailers: IncomingHttpHeaders
  readonly chunks: Uint8Array[]
  failure: string
}

function requestHeaders(probe: GrpcProbe): Record<string, string> {
  const headers: Record<string, string | undefined> = {
    ':method': 'POST',
    ':path': probe.path,
    te: 'trailers',
    'content-type': 'application/grpc',
    ...probe.headers,
  }
  const present = Object.entries(headers).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  )
  return Object.fromEntries(present)
}

function listen(stream: ClientHttp2Stream, seen: Seen): void {
  stream.on('response', (headers) => {
    seen.headers = headers
  })
  stream.on('trailers', (trailers: IncomingHttpHeaders) => {
    seen.trailers = trailers
  })
  stream.on('data', (chunk: Uint8Array) => seen.chunks.push(chunk))
  stream.on('error', (error: Error) => {
    seen.failure ||= error.message
  })
}

function answerOf(seen: Seen): ProbeAnswer {
  const all = { ...seen.headers, ...seen.trailers }
  const headers: Record<string, string> = {}
  for (const [key, value] of Object.entries(all)) headers[key] = String(value)
  const details = headers['grpc-status-details-bin']
  const rpcStatus =
    details === undefined ? undefined : readRpcStatus(Buffer.from(details, 'base64'))
  const status = headers['grpc-status']
  return {
    status: status === undefined ? undefined : Number(status),
    retryDelayMs: rpcStatus?.retryDelayMs,
    hasBadRequest: rpcStatus?.hasBadRequest ?? false,
    message: decodeMessage(headers['grpc-message'] ?? ''),
    contentType: headers['content-type'] ?? '',
    headers,
    body: Buffer.concat(seen.chunks).subarray(5),
    rpcStatus,
    failure: status === undefined ? seen.failure || 'no grpc-status' : '',
  }
}

function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
