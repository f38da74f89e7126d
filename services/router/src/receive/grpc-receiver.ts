/**
 * OTLP/gRPC on node:http2: a server of three unary methods. It owns the connections: at most
 * `connectionsMax`, the one idle for longest giving way to a new one; a sweep at intervals applies
 * every limit of time. Calls and answers are GrpcCall's; bodies and errors the pipeline's.
 */
import { createSecureServer, createServer } from 'node:http2'
import type { Http2SecureServer, Http2Server, ServerHttp2Session } from 'node:http2'
import { Server } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'

import { AppError } from '@tributary/common/errors'

import { GrpcConnection } from './grpc-connection.ts'
import { ReceiverCore } from './receiver-core.ts'
import { HTTP2_LIMITS } from './receiver-limits.ts'
import { isWelcome, PeerTenant, tlsServerOptions, TlsSockets } from './receiver-tls.ts'
import type { ReceiverTls } from './receiver-tls.ts'
import type { Receiver, ReceiverOptions } from './receiver.ts'

const DRAIN_POLL_MS = 10

export function createGrpcReceiver(options: ReceiverOptions): Receiver {
  return new GrpcReceiver(options)
}

class GrpcReceiver implements Receiver {
  readonly #core: ReceiverCore
  readonly #host: string
  readonly #server: Http2Server | Http2SecureServer
  readonly #tls: ReceiverTls | undefined
  readonly #tlsSockets: TlsSockets | undefined
  /** In the order of opening. */
  readonly #connections = new Map<ServerHttp2Session, GrpcConnection>()
  #port: number
  #sweeper: NodeJS.Timeout | undefined

  constructor(options: ReceiverOptions) {
    this.#core = new ReceiverCore(options)
    this.#host = options.host
    this.#port = options.port
    this.#tls = options.tls
    const { connectionsMax, handshakeMs } = this.#core.limits
    if (options.tls === undefined) {
      this.#server = createServer(serverOptions())
    } else {
      const secure = createSecureServer({
        ...serverOptions(),
        ...tlsServerOptions(options.tls, handshakeMs),
      })
      this.#server = secure
      this.#tlsSockets = new TlsSockets(secure, options.tls, connectionsMax)
      secure.on('tlsClientError', () => {
        this.#core.metrics.countClose('grpc', 'handshake')
      })
    }
    this.#server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true)
      socket.on('error', ignoreConnectionError)
    })
    this.#server.on('session', (session: ServerHttp2Session) => {
      this.#accept(session)
    })
    this.#server.on('sessionError', ignoreConnectionError)
    // A session's streams come to the server as well; without a listener it would answer nothing.
    this.#server.on('stream', () => undefined)
  }

  get port(): number {
    return this.#port
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const server = this.#server
      const refuse = (cause: Error): void => {
        const details = { host: this.#host, port: this.#port }
        reject(new AppError('invalid_config', 'cannot listen for OTLP/gRPC', { cause, details }))
      }
      server.once('error', refuse)
      server.listen(this.#port, this.#host, () => {
        server.off('error', refuse)
        server.on('error', (error) => {
          this.#core.logger.warn({ err: error }, 'OTLP/gRPC server error')
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
    this.#stopListening()
    for (const connection of this.#connections.values()) connection.leave('drain')
    while (this.#callCount() > 0 && this.#core.nowMs < endsAtMs) await sleep(DRAIN_POLL_MS)
    if (this.#callCount() > 0) {
      for (const connection of this.#connections.values()) {
        for (const call of connection.calls) call.cut()
      }
      await sleep(DRAIN_POLL_MS)
    }
    await this.close()
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper)
    this.#core.drain()
    this.#stopListening()
    for (const connection of this.#connections.values()) connection.destroy('drain')
    this.#tlsSockets?.destroy()
    // Sessions leave the map when their sockets are gone.
    while (this.#connections.size > 0) await sleep(1)
  }

  /** node:http2's own close would close the sessions too: they go by `leave`, which counts why. */
  #stopListening(): void {
    if (this.#server.listening) Server.prototype.close.call(this.#server)
  }

  #accept(session: ServerHttp2Session): void {
    session.on('error', ignoreConnectionError)
    session.on('frameError', ignoreConnectionError)
    const tls = this.#tls
    const socket = session.socket as TLSSocket // plain where there is no TLS: then nobody asks
    const peer = tls === undefined ? undefined : new PeerTenant(socket, tls)
    const connection = new GrpcConnection(this.#core, session, peer)
    this.#core.metrics.addConnections('grpc', 1)
    session.on('close', () => {
      this.#connections.delete(session)
      this.#core.metrics.addConnections('grpc', -1)
    })
    if (tls !== undefined && !isWelcome(socket, tls)) {
      connection.destroy('handshake')
      return
    }
    if (this.#connections.size >= this.#core.limits.connectionsMax && !this.#evictOne()) {
      connection.destroy('evicted')
      return
    }
    this.#connections.set(session, connection)
    if (this.#core.isDraining) connection.leave('drain')
  }

  /** Closes the connection without calls whose last call is longest ago; false where all are busy. */
  #evictOne(): boolean {
    let idlest: readonly [ServerHttp2Session, GrpcConnection] | undefined
    for (const entry of this.#connections) {
      if (entry[1].callCount > 0) continue
      if (idlest === undefined || entry[1].idleSinceMs < idlest[1].idleSinceMs) idlest = entry
    }
    if (idlest === undefined) return false
    this.#connections.delete(idlest[0])
    idlest[1].destroy('evicted')
    return true
  }

  #callCount(): number {
    let count = 0
    for (const connection of this.#connections.values()) count += connection.callCount
    return count
  }

  #sweep(): void {
    const nowMs = this.#core.nowMs
    for (const connection of this.#connections.values()) connection.sweep(nowMs)
  }
}

function serverOptions(): Parameters<typeof createServer>[0] {
  return {
    maxSessionMemory: HTTP2_LIMITS.sessionMemoryMegabytesMax,
    maxHeaderListPairs: HTTP2_LIMITS.headerListPairsMax,
    maxOutstandingPings: HTTP2_LIMITS.outstandingPingsMax,
    maxSettings: HTTP2_LIMITS.settingsEntriesMax,
    maxSessionInvalidFrames: HTTP2_LIMITS.invalidFramesMax,
    maxSessionRejectedStreams: HTTP2_LIMITS.rejectedStreamsMax,
    streamResetBurst: HTTP2_LIMITS.streamResetBurst,
    streamResetRate: HTTP2_LIMITS.streamResetsPerSecond,
    settings: {
      maxConcurrentStreams: HTTP2_LIMITS.concurrentStreamsMax,
      maxHeaderListSize: HTTP2_LIMITS.headerListBytesMax,
      initialWindowSize: HTTP2_LIMITS.streamWindowBytes,
      maxFrameSize: HTTP2_LIMITS.frameBytesMax,
      enablePush: false,
    },
  }
}

/** Clients reset connections all the time; a session's end is seen by its `close`. */
function ignoreConnectionError(): void {
  return undefined
}
