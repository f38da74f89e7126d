/**
 * The admin side of a process over HTTP: liveness, readiness, Prometheus metrics, flush on demand.
 * It starts first and stops last, so that an orchestrator sees a recovery as alive but not ready.
 * Liveness says only that the event loop turns: a restart mends nothing else.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'

import { AppError, toAppError } from './errors.ts'
import type { Logger } from './logger.ts'
import type { Registry } from './metrics.ts'
import type { ServerCertificate } from './server-certificate.ts'

export interface AdminServerOptions {
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
  readonly registry: Registry
  readonly logger: Logger
  /** Undefined: plain text. */
  readonly certificate?: ServerCertificate | undefined
  /** Whether requests can be taken and stored now. */
  readonly isReady: () => boolean
  /** For people, while it is not: what stands in the way; undefined: nothing more is known. */
  readonly notReadyReason?: (() => string | undefined) | undefined
  /** Commits all that was acknowledged; resolves with a line for people. Undefined: nothing to commit. */
  readonly flush?: (() => Promise<string>) | undefined
}

export interface AdminServer {
  /** The port listened on, after `start`. */
  readonly port: number
  /** @throws AppError invalid_config when the address cannot be listened on */
  start(): Promise<void>
  close(): Promise<void>
}

const HEADERS_TIMEOUT_MS = 10_000
const HEADER_BYTES_MAX = 16 * 1024
const CONNECTIONS_MAX = 128

type Route = (response: ServerResponse) => void | Promise<void>

export function createAdminServer(options: AdminServerOptions): AdminServer {
  const routes = routesOf(options)
  const server = serverOf(options.certificate, (request, response) => {
    void dispatch(routes, request, response, options.logger)
  })
  server.headersTimeout = HEADERS_TIMEOUT_MS
  server.maxConnections = CONNECTIONS_MAX
  return {
    get port() {
      return (server.address() as AddressInfo).port
    },
    start: () => listen(server, options),
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}

function serverOf(
  certificate: ServerCertificate | undefined,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const limits = { maxHeaderSize: HEADER_BYTES_MAX }
  if (certificate === undefined) return createServer(limits, handle)
  const { ca: _, ...context } = certificate.context
  const server = createSecureServer(
    { ...limits, ...context, handshakeTimeout: HEADERS_TIMEOUT_MS },
    handle,
  )
  const unwatch = certificate.onChange((changed) => {
    server.setSecureContext(changed)
  })
  server.on('close', unwatch)
  return server
}

function routesOf(options: AdminServerOptions): ReadonlyMap<string, Route> {
  const { flush } = options
  const routes = new Map<string, Route>([
    [
      'GET /livez',
      (response) => {
        answer(response, 200, 'alive')
      },
    ],
    [
      'GET /readyz',
      (response) => {
        if (options.isReady()) return answer(response, 200, 'ready')
        const reason = options.notReadyReason?.()
        answer(response, 503, reason === undefined ? 'not ready' : `not ready: ${reason}`)
      },
    ],
    [
      'GET /metrics',
      async (response) => {
        const text = await options.registry.metrics()
        response.writeHead(200, { 'content-type': options.registry.contentType }).end(text)
      },
    ],
  ])
  if (flush !== undefined) {
    routes.set('POST /flush', async (response) => {
      answer(response, 200, await flush())
    })
  }
  return routes
}

async function dispatch(
  routes: ReadonlyMap<string, Route>,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  request.resume()
  const path = (request.url ?? '/').split('?')[0]!
  const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '')
  const route = routes.get(`${method} ${path}`)
  if (route === undefined) {
    const allowed = [...routes.keys()].filter((key) => key.endsWith(` ${path}`))
    if (allowed.length > 0) response.setHeader('allow', allowed[0]!.split(' ')[0]!)
    answer(response, allowed.length > 0 ? 405 : 404, [...routes.keys()].join('\n'))
    return
  }
  try {
    await route(response)
  } catch (error) {
    logger.error({ err: error, path }, 'admin request failed')
    const { message, code } = toAppError(error)
    answer(response, 503, `${message} (${code})`)
  }
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
}

function listen(server: Server, { host, port }: AdminServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new AppError('invalid_config', 'admin port cannot be listened on', {
          cause,
          details: { host, port },
        }),
      )
    })
    server.listen(port, host, resolve)
  })
}
