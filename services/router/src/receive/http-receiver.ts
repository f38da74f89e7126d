/**
 * OTLP/HTTP on node:http: three POST paths. It owns the connections: at most `connectionsMax`, the
 * one idle for longest giving way to a new one; a sweep at intervals applies every limit of time.
 * Calls and answers are HttpCall's; bodies and errors the pipeline's.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Server as SecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

import { AppError } from '@tributary/common/errors'

import { HttpCall } from './http-call.ts'
import { ReceiverCore } from './receiver-core.ts'
import { HTTP1_LIMITS } from './receiver-limits.ts'
import type { ReceiverLimits } from './receiver-limits.ts'
import type { CloseReason } from './receiver-metrics.ts'
import { isWelcome, PeerTenant, tlsServerOptions, TlsSockets } from './receiver-tls.ts'
import type { Receiver, ReceiverOptions } from './receiver.ts'

const DRAIN_POLL_MS = 10

export function createHttpReceiver(options: ReceiverOptions): Receiver {
  return new HttpReceiver(options)
}

interface HttpConnection {
  readonly openedMs: number
  /** After this its next answer closes it. */
  readonly leavesAtMs: number
  lastCallMs: number
  /** The call whose body is being read or that was read last. */
  call: HttpCall | undefined
  callCount: number
  readonly peer: PeerTenant | undefined
}

class HttpReceiver implements Receiver {
  readonly #core: ReceiverCore
  readonly #host: string
  readonly #server: Server | SecureServer
  readonly #tlsSockets: TlsSockets | undefined
  readonly #connections = new Map<Duplex, HttpConnection>()
  readonly #calls = new Set<HttpCall>()
  #port: number
  #sweeper: NodeJS.Timeout | undefined

  constructor(options: ReceiverOptions) {
    this.#core = new ReceiverCore(options)
    this.#host = options.host
    this.#port = options.port
    const { limits } = this.#core
    if (options.tls === undefined) {
      this.#server = createServer(serverOptions(limits))
      this.#server.on('connection', (socket: Socket) => {
        this.#accept(socket, undefined)
      })
    } else {
      const tls = options.tls
      const secure = createSecureServer({
        ...serverOptions(limits),
        ...tlsServerOptions(tls, limits.handshakeMs),
      })
      this.#server = secure
      this.#tlsSockets = new TlsSockets(secure, tls, limits.connectionsMax)
      secure.on('tlsClientError', () => {
        this.#core.metrics.countClose('http', 'handshake')
      })
      secure.on('secureConnection', (socket) => {
        if (isWelcome(socket, tls)) {
          this.#accept(socket, new PeerTenant(socket, tls))
        } else {
          this.#destroy(socket, 'handshake')
        }
      })
    }
    this.#server.maxHeadersCount = HTTP1_LIMITS.headersMax
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#open(request, response, false)
    })
    this.#server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      this.#open(request, response, true)
    })
    this.#server.on('clientError', (error, socket) => {
      this.#refuseUnparsable(error, socket)
    })
  }

  get port(): number {
    return this.#port
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const server = this.#server
      const refuse = (cause: Error): void => {
        const details = { host: this.#host, port: this.#port }
        reject(new AppError('invalid_config', 'cannot listen for OTLP/HTTP', { cause, details }))
      }
      server.once('error', refuse)
      server.listen(this.#port, this.#host, () => {
        server.off('error', refuse)
        server.on('error', (error) => {
          this.#core.logger.warn({ err: error }, 'OTLP/HTTP server error')
        })
        this.#port = (server.address() as AddressInfo).port
        const sweeper = setInterval(() => {
          this.#sweep()
        }, this.#core.limits.sweepIntervalMs)
        this.#sweeper = sweeper.unref()
        resolve()
      })
    })
  }

  async drain(graceMs: number): Promise<void> {
    const endsAtMs = this.#core.nowMs + graceMs
    this.#core.drain()
    this.#server.close()
    while (this.#calls.size > 0 && this.#core.nowMs < endsAtMs) {
      this.#server.closeIdleConnections()
      await sleep(DRAIN_POLL_MS)
      this.#sweepCalls(this.#core.nowMs)
    }
    if (this.#calls.size > 0) {
      for (const call of this.#calls) call.cut()
      await sleep(DRAIN_POLL_MS)
    }
    await this.close()
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper)
    this.#core.drain()
    this.#server.close()
    for (const socket of this.#connections.keys()) this.#destroy(socket, 'drain')
    this.#tlsSockets?.destroy()
    while (this.#connections.size > 0) await sleep(1)
  }

  #accept(socket: Socket, peer: PeerTenant | undefined): void {
    if (this.#connections.size >= this.#core.limits.connectionsMax && !this.#evictOne()) {
      this.#core.metrics.countClose('http', 'evicted')
      socket.destroy()
      return
    }
    const nowMs = this.#core.nowMs
    const ageMs = this.#core.limits.connectionAgeMs * (0.9 + 0.2 * this.#core.random())
    this.#connections.set(socket, {
      openedMs: nowMs,
      leavesAtMs: nowMs + ageMs,
      lastCallMs: nowMs,
      call: undefined,
      callCount: 0,
      peer,
    })
    this.#core.metrics.addConnections('http', 1)
    socket.on('close', () => {
      this.#connections.delete(socket)
      this.#core.metrics.addConnections('http', -1)
    })
  }

  #open(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    const connection = this.#connections.get(request.socket)
    const call = new HttpCall(this.#core, request, response, awaitsContinue, connection?.peer)
    const nowMs = this.#core.nowMs
    if (connection !== undefined) {
      connection.call = call
      connection.callCount++
      connection.lastCallMs = nowMs
    }
    this.#calls.add(call)
    response.on('close', () => {
      if (connection !== undefined) {
        connection.callCount--
        connection.lastCallMs = this.#core.nowMs
      }
      call.closed()
      if (call.isOver) this.#calls.delete(call)
    })
    call.start(connection !== undefined && nowMs > connection.leavesAtMs)
  }

  /** Bytes that are no HTTP: within a call's body the call answers, else the bare connection. */
  #refuseUnparsable(error: Error & { code?: string }, socket: Duplex): void {
    const connection = this.#connections.get(socket)
    if (connection === undefined) {
      socket.destroy() // it never shook hands: nothing can be said to it
      return
    }
    const { call } = connection
    if (call !== undefined && !call.isAnswered) {
      call.malformed(error)
      socket.end()
      return
    }
    if (!socket.writable || error.code === 'ECONNRESET') {
      socket.destroy()
      return
    }
    const status = UNPARSABLE_STATUS[error.code ?? ''] ?? '400 Bad Request'
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  }

  /** Closes the connection without calls whose last call is longest ago; false where all are busy. */
  #evictOne(): boolean {
    let idlest: [Duplex, HttpConnection] | undefined
    for (const entry of this.#connections) {
      if (entry[1].callCount > 0) continue
      if (idlest === undefined || entry[1].lastCallMs < idlest[1].lastCallMs) idlest = entry
    }
    if (idlest === undefined) return false
    this.#connections.delete(idlest[0])
    this.#destroy(idlest[0], 'evicted')
    return true
  }

  #destroy(socket: Duplex, reason: CloseReason): void {
    if (socket.destroyed) return
    this.#core.metrics.countClose('http', reason)
    socket.destroy()
  }

  #sweepCalls(nowMs: number): void {
    for (const call of this.#calls) {
      if (call.isOver) this.#calls.delete(call)
      else call.expire(nowMs)
    }
  }

  #sweep(): void {
    const nowMs = this.#core.nowMs
    this.#sweepCalls(nowMs)
    const { limits } = this.#core
    for (const [socket, connection] of this.#connections) {
      if (connection.callCount > 0) continue
      const hasCalled = connection.call !== undefined
      if (!hasCalled && nowMs - connection.openedMs > limits.handshakeMs) {
        this.#destroy(socket, 'handshake')
      } else if (nowMs - connection.lastCallMs > limits.connectionIdleMs) {
        this.#destroy(socket, 'idle')
      }
    }
  }
}

function serverOptions(limits: ReceiverLimits): ServerOptions {
  return {
    maxHeaderSize: HTTP1_LIMITS.headerBytesMax,
    headersTimeout: limits.handshakeMs,
    // Bodies have their own limits, answered retryable: Node's would be a 408, which drops data.
    requestTimeout: 0,
    keepAliveTimeout: limits.connectionIdleMs,
    connectionsCheckingInterval: limits.sweepIntervalMs,
    noDelay: true,
  }
}

const UNPARSABLE_STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}
