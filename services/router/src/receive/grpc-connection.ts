/**
 * One HTTP/2 connection: its calls, its age, and how many control frames it may send. It leaves by
 * one GOAWAY that names the last call it has seen: clients send those on their way again elsewhere,
 * by themselves. (nghttp2 ignores every new stream once any GOAWAY is out, and Node does not offer
 * its shutdown notice, so a first GOAWAY with the highest id would leave such calls without answer.)
 */
import { constants } from 'node:http2'
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'

import { GrpcCall } from './grpc-call.ts'
import type { ReceiverCore } from './receiver-core.ts'
import { HTTP2_LIMITS } from './receiver-limits.ts'
import type { PeerTenant } from './receiver-tls.ts'
import type { CloseReason } from './receiver-metrics.ts'

export class GrpcConnection {
  readonly #core: ReceiverCore
  readonly #session: ServerHttp2Session
  readonly #peer: PeerTenant | undefined
  readonly #calls = new Set<GrpcCall>()
  readonly #openedMs: number
  readonly #leavesAtMs: number
  #lastCallMs: number
  #hasSpoken = false
  #controlFramesLeft: number = HTTP2_LIMITS.controlFramesBurst
  #explainedBytes: number = HTTP2_LIMITS.unexplainedBytesBurst
  #bytesRead = 0

  constructor(core: ReceiverCore, session: ServerHttp2Session, peer: PeerTenant | undefined) {
    this.#peer = peer
    this.#core = core
    this.#session = session
    this.#openedMs = core.nowMs
    this.#lastCallMs = this.#openedMs
    this.#leavesAtMs = this.#openedMs + core.limits.connectionAgeMs * (0.9 + 0.2 * core.random())
    session.setLocalWindowSize(HTTP2_LIMITS.sessionWindowBytes)
    session.on('stream', (stream, headers) => {
      this.#open(stream, headers)
    })
    session.on('ping', () => {
      this.#countControlFrame()
    })
    session.on('remoteSettings', () => {
      this.#hasSpoken = true
      this.#countControlFrame()
    })
  }

  get calls(): Iterable<GrpcCall> {
    return this.#calls
  }

  get callCount(): number {
    return this.#calls.size
  }

  /** When it last had a call, on the monotonic clock. */
  get idleSinceMs(): number {
    return this.#lastCallMs
  }

  /** Tells the client to take its next calls elsewhere; gone once the calls in flight are answered. */
  leave(reason: CloseReason): void {
    if (this.#session.closed || this.#session.destroyed) return
    this.#core.metrics.countClose('grpc', reason)
    this.#session.close()
  }

  destroy(reason: CloseReason): void {
    if (this.#session.destroyed) return
    this.#core.metrics.countClose('grpc', reason)
    this.#session.destroy(
      undefined,
      reason === 'flood' ? constants.NGHTTP2_ENHANCE_YOUR_CALM : constants.NGHTTP2_NO_ERROR,
    )
  }

  /** Applies every limit that is a matter of time. */
  sweep(nowMs: number): void {
    const { limits } = this.#core
    for (const call of this.#calls) call.expire(nowMs)
    this.#weighBytes()
    this.#controlFramesLeft = Math.min(
      HTTP2_LIMITS.controlFramesBurst,
      this.#controlFramesLeft +
        (HTTP2_LIMITS.controlFramesPerSecond * limits.sweepIntervalMs) / 1000,
    )
    if (!this.#hasSpoken && nowMs - this.#openedMs > limits.handshakeMs) {
      this.destroy('handshake')
    } else if (this.#calls.size === 0 && nowMs - this.#lastCallMs > limits.connectionIdleMs) {
      this.leave('idle')
    } else if (nowMs > this.#leavesAtMs) {
      this.leave('age')
    }
  }

  #open(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const nowMs = this.#core.nowMs
    const call = new GrpcCall(this.#core, stream, this.#peer, nowMs)
    this.#explainedBytes += HTTP2_LIMITS.explainedBytesPerCall
    this.#calls.add(call)
    this.#lastCallMs = nowMs
    this.#controlFramesLeft = Math.min(
      HTTP2_LIMITS.controlFramesBurst,
      this.#controlFramesLeft + HTTP2_LIMITS.controlFramesPerCall,
    )
    stream.on('close', () => {
      this.#calls.delete(call)
      this.#lastCallMs = this.#core.nowMs
      this.#explainedBytes += call.bodyBytes * HTTP2_LIMITS.explainedBytesPerBodyByte
      call.closed()
    })
    call.start(headers)
  }

  /** Closes a connection whose bytes are neither calls nor their bodies, whatever frames they are. */
  #weighBytes(): void {
    const bytesRead = this.#session.socket?.bytesRead ?? this.#bytesRead
    const unexplained = bytesRead - this.#bytesRead
    this.#bytesRead = bytesRead
    const perSweep =
      (HTTP2_LIMITS.unexplainedBytesPerSecond * this.#core.limits.sweepIntervalMs) / 1000
    // Bounded only here, after what the calls of the whole interval explain.
    this.#explainedBytes = Math.min(
      HTTP2_LIMITS.explainedBytesMax,
      this.#explainedBytes + perSweep - unexplained,
    )
    if (this.#explainedBytes < 0 && this.#calls.size === 0) this.destroy('flood')
  }

  #countControlFrame(): void {
    this.#controlFramesLeft--
    if (this.#controlFramesLeft < 0) this.destroy('flood')
  }
}
