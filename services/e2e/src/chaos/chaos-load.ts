/** The load of a chaos run: clients of several kinds against the entrances of a cluster. */
import type { Cluster, Entrance } from '../cluster/cluster.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { OtlpSender } from '../ledger/otlp-sender.ts'
import { LedgerClient } from '../ledger/ledger-client.ts'
import { GrpcSender, HttpSender } from '../ledger/otlp-sender.ts'
import { RequestMaker } from '../ledger/request-maker.ts'

export interface LoadShape {
  readonly seed: number
  readonly clients: number
  /** Number of the first client in the ledger, where others sent before; default 0. */
  readonly firstClient?: number
  /** Requests per second of each client. */
  readonly ratePerSecond: number
  readonly itemsMax: number
  /** Of span requests, those with an item that can never be stored; default a tenth. */
  readonly rejectedShare?: number
}

export const TENANTS = ['default', 'acme', 'globex']
const LANES = 4
const TIMEOUT_MS = 5000
const REJECTED_SHARE = 0.1
/** Every so manieth client gives up after two tries, as one that is restarted does. */
const GIVES_UP_EVERY = 5
const TRIES_BEFORE_GIVING_UP = 2

export class ChaosLoad {
  readonly clients: readonly LedgerClient[]
  #stop = new AbortController()
  #running: Promise<unknown> = Promise.resolve()

  constructor(cluster: Cluster, ledger: Ledger, shape: LoadShape) {
    const { seed, ratePerSecond, itemsMax, firstClient = 0 } = shape
    const { rejectedShare = REJECTED_SHARE } = shape
    this.clients = Array.from({ length: shape.clients }, (_, index) => {
      const client = firstClient + index
      const maker = new RequestMaker({
        ...{ client, seed, tenants: TENANTS, itemsMax, rejectedShare },
      })
      const senders = sendersOf(cluster.entrances, client)
      const givesUp = client % GIVES_UP_EVERY === GIVES_UP_EVERY - 1
      return new LedgerClient({
        ...{ ledger, maker, senders, ratePerSecond, lanes: LANES, timeoutMs: TIMEOUT_MS },
        seed: seed + client,
        ...(givesUp ? { triesMax: TRIES_BEFORE_GIVING_UP } : {}),
      })
    })
  }

  start(): void {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    this.#running = Promise.all(this.clients.map((client) => client.run(signal)))
  }

  /** Nothing new is made; what is open stays open. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  /** @throws Error where requests stay open */
  async drain(timeoutMs: number): Promise<void> {
    await Promise.all(this.clients.map((client) => client.drain(timeoutMs)))
  }

  /** Answers of all clients by what they said. */
  answers(): Record<string, number> {
    const sum: Record<string, number> = {}
    for (const { answers } of this.clients) {
      for (const [what, count] of answers) sum[what] = (sum[what] ?? 0) + count
    }
    return sum
  }

  /** Milliseconds from falling due to OK, outages included. */
  latencies(): number[] {
    return this.clients.flatMap(({ latencies }) => latencies)
  }

  close(): void {
    for (const client of this.clients) client.close()
  }
}

/** Each client begins at another entrance; half of them speak gRPC. */
function sendersOf(entrances: readonly Entrance[], client: number): OtlpSender[] {
  return entrances.map((_, index) => {
    const { grpc, http } = entrances[(index + client) % entrances.length]!
    return client % 2 === 0 ? new GrpcSender(grpc) : new HttpSender(http)
  })
}
