/** gRPC calls over a connection that stays open, by a client that is not ours. */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'

import { framed } from '@tributary/cli/conformance/grpc-probe'
import { GRPC_PATHS } from '@tributary/cli/conformance/payload'

/** Begins an export of logs; its body is for the caller to send. */
export function openCall(
  session: ClientHttp2Session,
  credential: Readonly<Record<string, string>>,
): ClientHttp2Stream {
  return session.request({
    ':method': 'POST',
    ':path': GRPC_PATHS.logs,
    te: 'trailers',
    'content-type': 'application/grpc',
    ...credential,
  })
}

/** @returns the grpc-status of an export of logs; empty where none came */
export function callOver(
  session: ClientHttp2Session,
  credential: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<string> {
  const stream = openCall(session, credential)
  const status = statusOf(stream)
  stream.end(framed(body))
  return status
}

/** @returns the grpc-status that a call ends with; empty where none came */
export function statusOf(stream: ClientHttp2Stream): Promise<string> {
  return new Promise((resolve) => {
    let status = ''
    const take = (headers: IncomingHttpHeaders): void => {
      const value = headers['grpc-status']
      if (typeof value === 'string') status = value
    }
    stream.on('response', take)
    stream.on('trailers', take)
    stream.on('error', () => undefined)
    stream.on('close', () => {
      resolve(status)
    })
    stream.resume()
  })
}
