/** An HTTP request by hand on node:http, so that any headers and bytes can be sent. */
import { Agent, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { Agent as TlsAgent, request as requestOverTls } from 'node:https'

import type { Endpoint } from './conformance-case.ts'
import { readRpcStatus, readRpcStatusJson } from './probe-answer.ts'
import type { ProbeAnswer } from './probe-answer.ts'

export interface HttpProbe {
  readonly path: string
  /** Default POST. */
  readonly method?: string
  readonly headers: Readonly<Record<string, string>>
  readonly chunks: readonly Uint8Array[]
  /** Sends without content-length; default false. */
  readonly isChunked?: boolean
  /** Ends the body after the last chunk; default true. */
  readonly endsBody?: boolean
  readonly agent?: Agent
}

const PROBE_TIMEOUT_MS = 15_000
const ONE_CALL = { keepAlive: false, maxSockets: 1 } as const

/** Sends one probe; never throws for what the server does. */
export function probeHttp(endpoint: Endpoint, probe: HttpProbe): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const base = new URL(endpoint.http)
    const isSecure = base.protocol === 'https:'
    const length = probe.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    const send = isSecure ? requestOverTls : request
    const sent = send({
      ...endpoint.tls,
      host: base.hostname,
      port: base.port,
      path: base.pathname.replace(/\/$/, '') + probe.path,
      method: probe.method ?? 'POST',
      headers: {
        ...(probe.isChunked === true
          ? { 'transfer-encoding': 'chunked' }
          : { 'content-length': String(length) }),
        ...endpoint.headers,
        ...probe.headers,
      },
      agent: probe.agent ?? (isSecure ? new TlsAgent(ONE_CALL) : new Agent(ONE_CALL)),
    })
    const finish = (answer: ProbeAnswer): void => {
      clearTimeout(timer)
      resolve(answer)
      if (probe.agent === undefined) sent.destroy()
    }
    const timer = setTimeout(() => {
      finish(noAnswer('no answer in time'))
      sent.destroy()
    }, PROBE_TIMEOUT_MS)
    sent.on('error', (error) => {
      finish(noAnswer(error.message))
    })
    sent.on('response', (response) => {
      readBody(response).then(
        (body) => {
          finish(answerOf(response, body))
        },
        (error: unknown) => {
          finish(noAnswer(String(error)))
        },
      )
    })
    for (const chunk of probe.chunks) sent.write(chunk)
    if (probe.endsBody ?? true) sent.end()
    else sent.flushHeaders()
  })
}

async function readBody(response: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of response) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}

function answerOf(response: IncomingMessage, body: Uint8Array): ProbeAnswer {
  const headers: Record<string, string> = {}
  for (const [key, value] of Object.entries(response.headers)) headers[key] = String(value)
  const contentType = headers['content-type'] ?? ''
  const status = response.statusCode
  const rpcStatus =
    status === 200
      ? undefined
      : contentType.startsWith('application/json')
        ? readRpcStatusJson(new TextDecoder().decode(body))
        : readRpcStatus(body)
  const retryAfter = headers['retry-after']
  return {
    status,
    retryDelayMs:
      rpcStatus?.retryDelayMs ?? (retryAfter === undefined ? undefined : Number(retryAfter) * 1000),
    hasBadRequest: rpcStatus?.hasBadRequest ?? false,
    message: rpcStatus?.message ?? '',
    contentType,
    headers,
    body,
    rpcStatus,
    failure: '',
  }
}

function noAnswer(failure: string): ProbeAnswer {
  return {
    status: undefined,
    retryDelayMs: undefined,
    hasBadRequest: false,
    message: '',
    contentType: '',
    headers: {},
    body: new Uint8Array(0),
    rpcStatus: undefined,
    failure,
  }
}
