/**
 * One connection through a TcpProxy: two paths, each a queue of what came and is not yet sent on.
 * What the queue may do is read from the network's state at every step, so that a fault that begins or
 * ends acts on what is under way.
 */
import { connect } from 'node:net'
import type { Socket } from 'node:net'

import type { SeededRandom } from './seeded-random.ts'

/** up: from the client to the server; down: its answers. */
export type Direction = 'up' | 'down'

export interface Impairment {
  /** Nothing goes on until healed, and then everything does: a partition, or a peer that is silent. */
  readonly isHeld?: boolean
  /** Bytes vanish while the connection stands: a request or an answer that is lost. */
  readonly isSwallowed?: boolean
  readonly delayMs?: number
  /** On top of the delay, evenly spread; bytes stay in order. */
  readonly jitterMs?: number
  readonly bytesPerSecond?: number
  /** Share of chunks that wait `stallMs` first, and all behind them: TCP's face of lost packets. */
  readonly stallShare?: number
  readonly stallMs?: number
}

/** What went through since the start, in bytes, and connections. */
export interface NetworkCounts {
  connections: number
  /** Connections that were reset on purpose. */
  cuts: number
  up: number
  down: number
  swallowed: number
}

/** What all links of a proxy share. */
export interface NetworkState {
  readonly faults: Record<Direction, Impairment>
  /** Bytes that still go through before a connection is reset. */
  readonly cutAfter: Partial<Record<Direction, number>>
  readonly counts: NetworkCounts
  readonly random: SeededRandom
}

interface Chunk {
  bytes: Buffer
  readonly atMs: number
  /** Decide jitter and stall. */
  readonly luck: number
  readonly stallLuck: number
  /** The last one: the source ended, or failed. */
  readonly end?: 'ended' | 'failed'
}

/** Of one direction; then the sender feels back pressure. */
const HELD_BYTES_MAX = 16 * 1024 * 1024
/** Throttled bytes go in steps of 50 ms. */
const THROTTLE_STEP_MS = 50
const NOTHING = Buffer.alloc(0)

export class TcpLink {
  readonly #client: Socket
  readonly #server: Socket
  readonly #network: NetworkState
  readonly #paths: readonly [Path, Path]
  readonly #onClose: () => void
  #isClosed = false
  /** Bytes were swallowed: what would follow has a hole before it. */
  isTainted = false

  constructor(client: Socket, targetPort: number, network: NetworkState, onClose: () => void) {
    this.#client = client
    this.#network = network
    this.#onClose = onClose
    this.#server = connect({ host: '127.0.0.1', port: targetPort, allowHalfOpen: true })
    client.setNoDelay(true)
    this.#server.setNoDelay(true)
    this.#paths = [
      new Path(this, 'up', client, this.#server, network),
      new Path(this, 'down', this.#server, client, network),
    ]
  }

  /** The network changed. */
  wake(): void {
    for (const path of this.#paths) path.run()
  }

  /** Both sides see a reset; what was held is lost. */
  reset(): void {
    if (this.#isClosed) return
    this.#network.counts.cuts++
    this.#close()
  }

  /** A path has carried everything, or has nobody to carry to. */
  pathEnded(): void {
    if (this.#paths.every((path) => path.isOver)) this.#close()
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const path of this.#paths) path.abandon()
    for (const socket of [this.#client, this.#server]) resetSocket(socket)
    this.#onClose()
  }
}

class Path {
  readonly #link: TcpLink
  readonly #direction: Direction
  readonly #source: Socket
  readonly #sink: Socket
  readonly #network: NetworkState
  readonly #chunks: Chunk[] = []
  #heldBytes = 0
  #freeAtMs = 0
  #timer: NodeJS.Timeout | undefined
  isOver = false

  constructor(
    link: TcpLink,
    direction: Direction,
    source: Socket,
    sink: Socket,
    network: NetworkState,
  ) {
    this.#link = link
    this.#direction = direction
    this.#source = source
    this.#sink = sink
    this.#network = network
    let end: 'ended' | 'failed' | undefined
    const finish = (how: 'ended' | 'failed'): void => {
      if (end !== undefined) return
      end = how
      this.#take(NOTHING, how)
    }
    source.on('data', (bytes: Buffer) => this.#take(bytes))
    source.on('end', () => finish('ended'))
    source.on('error', () => finish('failed'))
    source.on('close', () => finish('failed'))
    sink.on('drain', () => this.run())
    // nobody is left to carry to
    sink.on('close', () => this.#finish())
  }

  abandon(): void {
    this.isOver = true
    clearTimeout(this.#timer)
    this.#chunks.length = 0
  }

  /** Does what can be done now, and comes back when the next thing can. */
  run(): void {
    clearTimeout(this.#timer)
    while (!this.isOver) {
      const waitMs = this.#waitMs()
      if (waitMs === Infinity) return
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.run(), waitMs)
        return
      }
      this.#step()
    }
  }

  #take(bytes: Buffer, end?: 'ended' | 'failed'): void {
    if (this.isOver) return
    const { random } = this.#network
    const [luck, stallLuck] = [random.fraction(), random.fraction()]
    this.#chunks.push({ bytes, atMs: performance.now(), luck, stallLuck, ...(end && { end }) })
    this.#heldBytes += bytes.length
    if (this.#heldBytes > HELD_BYTES_MAX) this.#source.pause()
    this.run()
  }

  /** Until the first chunk may go; Infinity: until something changes. */
  #waitMs(): number {
    const chunk = this.#chunks[0]
    const fault = this.#network.faults[this.#direction]
    if (chunk === undefined || fault.isHeld === true) return Infinity
    const { delayMs = 0, jitterMs = 0, stallShare = 0, stallMs = 0 } = fault
    const lateMs = delayMs + chunk.luck * jitterMs + (chunk.stallLuck < stallShare ? stallMs : 0)
    const dueMs = Math.max(
      chunk.atMs + lateMs,
      fault.bytesPerSecond === undefined ? 0 : this.#freeAtMs,
    )
    const waitMs = Math.max(0, dueMs - performance.now())
    return waitMs === 0 && this.#sink.writableNeedDrain ? Infinity : waitMs
  }

  #step(): void {
    const chunk = this.#chunks[0]!
    if (chunk.end !== undefined) return this.#passEnd(chunk.end)
    const { isSwallowed, bytesPerSecond } = this.#network.faults[this.#direction]
    if (isSwallowed === true) {
      this.#link.isTainted = true
      this.#network.counts.swallowed += this.#shift(Infinity).length
      return
    }
    const budget = this.#network.cutAfter[this.#direction] ?? Infinity
    if (budget === 0) {
      delete this.#network.cutAfter[this.#direction]
      this.#link.reset()
      return
    }
    const step =
      bytesPerSecond === undefined
        ? Infinity
        : Math.max(1, Math.floor((bytesPerSecond * THROTTLE_STEP_MS) / 1000))
    const bytes = this.#shift(Math.min(step, budget))
    if (budget !== Infinity) this.#network.cutAfter[this.#direction] = budget - bytes.length
    this.#network.counts[this.#direction] += bytes.length
    this.#freeAtMs = performance.now() + THROTTLE_STEP_MS
    this.#sink.write(bytes)
  }

  /** The first bytes of the first chunk. */
  #shift(bytesMax: number): Buffer {
    const chunk = this.#chunks[0]!
    const bytes = chunk.bytes.subarray(0, bytesMax)
    if (bytes.length === chunk.bytes.length) this.#chunks.shift()
    else chunk.bytes = chunk.bytes.subarray(bytes.length)
    this.#heldBytes -= bytes.length
    if (this.#heldBytes <= HELD_BYTES_MAX && this.#source.isPaused()) this.#source.resume()
    return bytes
  }

  #passEnd(end: 'ended' | 'failed'): void {
    this.isOver = true
    if (end === 'ended') this.#sink.end(() => this.#link.pathEnded())
    else {
      resetSocket(this.#sink)
      this.#link.pathEnded()
    }
  }

  #finish(): void {
    if (this.isOver) return
    this.abandon()
    this.#link.pathEnded()
  }
}

/**
 * One whose end is on its way is closed instead: Node 24 can't reset it, and never closes its handle
 * after having tried; the process then spins for ever where it should exit.
 */
function resetSocket(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
