/**
 * Clients with a ledger whose cluster may be replaced under them: what is open goes to the new one. Knows
 * when each OK came.
 */
import type { SmallCluster } from '../cluster/small-cluster.ts'
import type { LedgerRequest } from '../ledger/ledger.ts'
import { LedgerClient } from '../ledger/ledger-client.ts'
import { Ledger } from '../ledger/ledger.ts'
import { GrpcSender, type OtlpSender, type Outcome } from '../ledger/otlp-sender.ts'
import { RequestMaker } from '../ledger/request-maker.ts'

const CLIENTS = 6
const RATE_PER_SECOND = 5
const LANES = 4
const TIMEOUT_MS = 5000
const ITEMS_MAX = 20
const TENANTS = ['default', 'acme', 'globex']

class TimedLedger extends Ledger {
  readonly okMs: number[] = []

  override succeeded(request: LedgerRequest, rejected: number): void {
    super.succeeded(request, rejected)
    this.okMs.push(performance.now())
  }
}

/** Sends to whichever address is the one now. */
class MovableSender implements OtlpSender {
  #sender: GrpcSender

  constructor(address: string) {
    this.#sender = new GrpcSender(address)
  }

  moveTo(address: string): void {
    this.#sender.close()
    this.#sender = new GrpcSender(address)
  }

  send(request: LedgerRequest, timeoutMs: number): Promise<Outcome> {
    return this.#sender.send(request, timeoutMs)
  }

  close(): void {
    this.#sender.close()
  }
}

export class SteadyLoad {
  readonly ledger = new TimedLedger()
  readonly #senders: readonly MovableSender[]
  readonly #clients: readonly LedgerClient[]
  #stop = new AbortController()
  #running: Promise<unknown> = Promise.resolve()

  constructor(cluster: SmallCluster) {
    this.#senders = routerAddresses(cluster).map((address) => new MovableSender(address))
    this.#clients = Array.from({ length: CLIENTS }, (_, client) => {
      return new LedgerClient({
        ...{ ledger: this.ledger, senders: this.#senders, seed: client },
        maker: new RequestMaker({ client, seed: 2, tenants: TENANTS, itemsMax: ITEMS_MAX }),
        ...{ ratePerSecond: RATE_PER_SECOND, lanes: LANES, timeoutMs: TIMEOUT_MS },
      })
    })
  }

  start(): void {
    this.#stop = new AbortController()
    const { signal } = this.#stop
    this.#running = Promise.all(this.#clients.map((client) => client.run(signal)))
  }

  /** The routers of another cluster, as many as before. */
  moveTo(cluster: SmallCluster): void {
    routerAddresses(cluster).forEach((address, at) => this.#senders[at]!.moveTo(address))
  }

  /** Nothing new is made; what is open is sent until it is answered. */
  async finish(timeoutMs: number): Promise<void> {
    this.#stop.abort()
    await this.#running
    await Promise.all(this.#clients.map((client) => client.drain(timeoutMs)))
  }

  /** Answers of all clients by what they said. */
  answers(): Record<string, number> {
    const sum: Record<string, number> = {}
    for (const [what, count] of this.#clients.flatMap(({ answers }) => [...answers])) {
      sum[what] = (sum[what] ?? 0) + count
    }
    return sum
  }

  /** The longest time without an OK between two moments. */
  longestGapMs(fromMs: number, toMs: number): number {
    const times = this.ledger.okMs.filter((at) => fromMs < at && at < toMs)
    const all = [fromMs, ...times.sort((left, right) => left - right), toMs]
    return Math.max(...all.slice(1).map((at, index) => at - all[index]!))
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
    for (const client of this.#clients) client.close()
  }
}

function routerAddresses(cluster: SmallCluster): string[] {
  const routers = [...cluster.processes.values()].filter(({ role }) => role === 'router')
  return routers.map((router) => `127.0.0.1:${String(router.port('grpc'))}`)
}
