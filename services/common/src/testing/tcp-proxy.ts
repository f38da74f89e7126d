/**
 * A proxy on the loopback between clients and one server, with a network that fails as told: bytes
 * held back, swallowed, late, slow or stalled, connections cut after a byte or refused.
 *
 *   client ──up──> proxy ──up──> server
 *          <─down─       <─down─
 *
 * What a real network does and this one shows: a partition is silence, not an error, and what was
 * held arrives when it ends, also when the client has left meanwhile (a command that timed out may
 * still run). Bytes that were swallowed leave a hole in the stream, so `heal` resets their connections.
 */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Server, Socket } from 'node:net'

import type { Direction, Impairment, NetworkCounts, NetworkState } from './tcp-link.ts'
import { freePort } from './free-port.ts'
import { SeededRandom } from './seeded-random.ts'
import { TcpLink } from './tcp-link.ts'

export interface TcpProxyOptions {
  readonly targetPort: number
  /** Where to listen; default a free port. */
  readonly port?: number
  /** Of jitter, stalls and flapping; default 1. */
  readonly seed?: number
}

/** Alternates between health and an impairment, or a cut where none is given. */
export interface Flapping {
  readonly impairment?: Impairment
  readonly direction?: Direction | 'both'
  /** A phase lasts from 1 ms to this. */
  readonly healthyMsMax: number
  readonly faultyMsMax: number
}

/** Somebody else may have the port for a moment: 2 s. */
const LISTEN_TRIES_MAX = 100
const LISTEN_PAUSE_MS = 20

export class TcpProxy {
  readonly port: number
  readonly #network: NetworkState
  readonly #links = new Set<TcpLink>()
  #targetPort: number
  #server: Server | undefined
  #flapTimer: NodeJS.Timeout | undefined

  private constructor(port: number, options: TcpProxyOptions) {
    this.port = port
    this.#targetPort = options.targetPort
    this.#network = {
      faults: { up: {}, down: {} },
      cutAfter: {},
      counts: { connections: 0, cuts: 0, up: 0, down: 0, swallowed: 0 },
      random: new SeededRandom(options.seed ?? 1),
    }
  }

  static async start(options: TcpProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(options.port ?? (await freePort()), options)
    await proxy.#listen()
    return proxy
  }

  get counts(): Readonly<NetworkCounts> {
    return this.#network.counts
  }

  /** Connections that stand now. */
  get connections(): number {
    return this.#links.size
  }

  /** New connections go to another server from now on. */
  retarget(port: number): void {
    this.#targetPort = port
  }

  /** Replaces what is wrong with a direction, of connections that stand and of new ones. */
  impair(direction: Direction | 'both', impairment: Impairment): void {
    const { faults } = this.#network
    if (direction !== 'down') faults.up = impairment
    if (direction !== 'up') faults.down = impairment
    this.#wake()
  }

  /** Lets that many more bytes through, over all connections; whoever sends the next one is reset. */
  cutAfter(direction: Direction, bytes: number): void {
    this.#network.cutAfter[direction] = bytes
    this.#wake()
  }

  /** Resets all connections; new ones are welcome. */
  cut(): void {
    for (const link of [...this.#links]) link.reset()
  }

  /** Resets all connections and refuses new ones until healed. */
  async refuse(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    const closed = server === undefined ? undefined : once(server, 'close')
    server?.close()
    this.cut()
    await closed
  }

  /** Starts with a healthy phase and goes on until healed. */
  flap(flapping: Flapping): void {
    clearTimeout(this.#flapTimer)
    const { impairment, direction = 'both', healthyMsMax, faultyMsMax } = flapping
    const phase = (isFaulty: boolean): void => {
      if (!isFaulty) this.#clear()
      else if (impairment === undefined) this.cut()
      else this.impair(direction, impairment)
      const durationMs = 1 + this.#network.random.below(isFaulty ? faultyMsMax : healthyMsMax)
      this.#flapTimer = setTimeout(() => phase(!isFaulty), durationMs)
    }
    phase(false)
  }

  /** Ends all faults: what was held goes on, what lost bytes is reset, new connections are taken. */
  async heal(): Promise<void> {
    clearTimeout(this.#flapTimer)
    this.#clear()
    if (this.#server === undefined) await this.#listen()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#flapTimer)
    await this.refuse()
  }

  async #listen(): Promise<void> {
    for (let tries = 1; ; tries++) {
      const server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client))
      try {
        server.listen(this.port, '127.0.0.1')
        await once(server, 'listening')
        this.#server = server
        return
      } catch (error) {
        if (tries === LISTEN_TRIES_MAX) throw error
        await sleep(LISTEN_PAUSE_MS)
      }
    }
  }

  #accept(client: Socket): void {
    this.#network.counts.connections++
    const link = new TcpLink(client, this.#targetPort, this.#network, () => {
      this.#links.delete(link)
    })
    this.#links.add(link)
  }

  #clear(): void {
    const { faults, cutAfter } = this.#network
    faults.up = {}
    faults.down = {}
    delete cutAfter.up
    delete cutAfter.down
    for (const link of [...this.#links]) if (link.isTainted) link.reset()
    this.#wake()
  }

  #wake(): void {
    for (const link of [...this.#links]) link.wake()
  }
}
