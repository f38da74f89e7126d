/** Load on a router Service while things are done to the cluster, and what its clients felt. */
import { Ledger } from '../ledger/ledger.ts'
import { LedgerClient } from '../ledger/ledger-client.ts'
import { GrpcSender, HttpSender } from '../ledger/otlp-sender.ts'
import { RequestMaker } from '../ledger/request-maker.ts'

export interface LoadOptions {
  /** host of the Service; ports 4317 and 4318. */
  readonly host: string
  readonly seed: number
  readonly clients: number
  /** Requests per second of each client. */
  readonly ratePerSecond: number
}

const ITEMS_MAX = 40
const LANES = 4
/** That of collectors. */
const TIMEOUT_MS = 5000
const SAMPLE_MS = 20

export class DisruptionLoad {
  readonly ledger = new Ledger()
  readonly #clients: readonly LedgerClient[]
  readonly #stop = new AbortController()
  #running: Promise<unknown> = Promise.resolve()
  #sampler: NodeJS.Timeout | undefined
  #oks = 0
  #lastOkMs = 0
  #longestGapMs = 0

  constructor({ host, seed, clients, ratePerSecond }: LoadOptions) {
    this.#clients = Array.from({ length: clients }, (_, client) => {
      const maker = new RequestMaker({ client, seed, itemsMax: ITEMS_MAX })
      const sender =
        client % 2 === 0
          ? new GrpcSender(`http://${host}:4317`)
          : new HttpSender(`http://${host}:4318`)
      return new LedgerClient({
        ...{ ledger: this.ledger, maker, senders: [sender], ratePerSecond, lanes: LANES },
        ...{ timeoutMs: TIMEOUT_MS, seed: seed + client },
      })
    })
  }

  start(): void {
    this.#lastOkMs = performance.now()
    this.#sampler = setInterval(() => this.#sample(), SAMPLE_MS)
    this.#running = Promise.all(this.#clients.map((client) => client.run(this.#stop.signal)))
  }

  /** Since the last call of it: one disruption. */
  takeLongestGapMs(): number {
    this.#sample()
    const gap = Math.max(this.#longestGapMs, performance.now() - this.#lastOkMs)
    this.#longestGapMs = 0
    return gap
  }

  /** Ends the load; what is open is sent until it is answered. @throws Error where it never is */
  async finish(timeoutMs: number): Promise<void> {
    this.#stop.abort()
    await this.#running
    clearInterval(this.#sampler)
    await Promise.all(this.#clients.map((client) => client.drain(timeoutMs)))
    for (const client of this.#clients) client.close()
  }

  /** Answers of all clients by what they said. */
  answers(): Record<string, number> {
    const sum: Record<string, number> = {}
    for (const { answers } of this.#clients) {
      for (const [what, count] of answers) sum[what] = (sum[what] ?? 0) + count
    }
    return sum
  }

  get errorRatio(): number {
    const { ok = 0, ...others } = this.answers()
    const failed = Object.values(others).reduce((sum, count) => sum + count, 0)
    return failed / Math.max(1, ok + failed)
  }

  #sample(): void {
    const oks = this.answers()['ok'] ?? 0
    if (oks === this.#oks) return
    const nowMs = performance.now()
    this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - this.#lastOkMs)
    this.#lastOkMs = nowMs
    this.#oks = oks
  }
}
