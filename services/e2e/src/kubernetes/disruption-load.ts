/**
 * Load on a router Service while things are done to the cluster, and what its clients felt. It can be
 * raised and lowered: more clients come and go, all of them of one ledger.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { Ledger } from '../ledger/ledger.ts'
import { LedgerClient } from '../ledger/ledger-client.ts'
import { GrpcSender, HttpSender } from '../ledger/otlp-sender.ts'
import { RequestMaker } from '../ledger/request-maker.ts'

import { OkGap } from './ok-gap.ts'

export interface LoadOptions {
  /** host:port of the routers' Service. */
  readonly grpc: string
  readonly http: string
  readonly seed: number
  readonly group: ClientGroup
}

export interface ClientGroup {
  readonly clients: number
  /** Requests per second of each client. */
  readonly ratePerSecond: number
  /** Items per request, from 1 to this. */
  readonly itemsMax: number
}

const LANES = 4
/** Where a machine can't keep up, what waits is what is sent before a load has ended. */
const QUEUE_MAX = 50
/** That of collectors. */
const TIMEOUT_MS = 5000
const SAMPLE_MS = 20

/** Since the window before. */
export interface FeltWindow {
  /** Longest time without an OK for any client. */
  readonly longestGapMs: number
  /** The same of the client that waited longest. */
  readonly longestClientGapMs: number
  readonly tries: number
  /** Of these, those that were not answered with OK. */
  readonly failed: number
}

interface Group {
  readonly clients: readonly LedgerClient[]
  readonly stop: AbortController
  readonly running: Promise<unknown>
}

export class DisruptionLoad {
  readonly ledger = new Ledger()
  readonly #options: LoadOptions
  readonly #clients: LedgerClient[] = []
  #base: Group | undefined
  #more: Group | undefined
  #before = { ok: 0, failed: 0 }
  #sampler: NodeJS.Timeout | undefined
  #gap = new OkGap(0)
  /** Of those that run. */
  readonly #gaps = new Map<LedgerClient, OkGap>()

  constructor(options: LoadOptions) {
    this.#options = options
  }

  /** Resolves once every client was answered. @throws Error where one never is */
  async start(timeoutMs: number): Promise<void> {
    this.#gap = new OkGap(performance.now())
    this.#sampler = setInterval(() => this.#sample(), SAMPLE_MS)
    this.#base = this.#begin(this.#options.group)
    await untilAnswered(this.#base.clients, timeoutMs)
  }

  /** Adds clients, unless that was done; resolves once each was answered. @throws Error where one never is */
  async raise(group: ClientGroup, timeoutMs: number): Promise<void> {
    this.#more ??= this.#begin(group)
    await untilAnswered(this.#more.clients, timeoutMs)
  }

  /** Ends what was added, once it is answered. @throws Error where it never is */
  async lower(timeoutMs: number): Promise<void> {
    if (this.#more !== undefined) await this.#end(this.#more, timeoutMs)
    this.#more = undefined
  }

  /** What was felt since the last call: of one disruption. */
  takeWindow(): FeltWindow {
    this.#sample()
    const nowMs = performance.now()
    const clientGapsMs = [...this.#gaps.values()].map((gap) => gap.take(nowMs))
    const { ok, failed } = this.#counts()
    const window = {
      longestGapMs: this.#gap.take(nowMs),
      longestClientGapMs: Math.max(0, ...clientGapsMs),
      tries: ok + failed - this.#before.ok - this.#before.failed,
      failed: failed - this.#before.failed,
    }
    this.#before = { ok, failed }
    return window
  }

  /** Ends the load; what is open is sent until it is answered. @throws Error where it never is */
  async finish(timeoutMs: number): Promise<void> {
    try {
      await this.lower(timeoutMs)
      if (this.#base !== undefined) await this.#end(this.#base, timeoutMs)
    } finally {
      clearInterval(this.#sampler)
    }
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
    const { ok, failed } = this.#counts()
    return failed / Math.max(1, ok + failed)
  }

  #begin({ clients: count, ratePerSecond, itemsMax }: ClientGroup): Group {
    const { grpc, http, seed } = this.#options
    const stop = new AbortController()
    const clients = Array.from({ length: count }, (_, index) => {
      const client = this.#clients.length + index
      const maker = new RequestMaker({ client, seed, itemsMax })
      const sender = client % 2 === 0 ? new GrpcSender(grpc) : new HttpSender(`http://${http}`)
      return new LedgerClient({
        ...{ ledger: this.ledger, maker, senders: [sender], ratePerSecond, lanes: LANES },
        ...{ timeoutMs: TIMEOUT_MS, queueMax: QUEUE_MAX, seed: seed + client },
      })
    })
    this.#clients.push(...clients)
    for (const client of clients) this.#gaps.set(client, new OkGap(performance.now()))
    const running = Promise.all(clients.map((client) => client.run(stop.signal)))
    return { clients, stop, running }
  }

  #counts(): { ok: number; failed: number } {
    const { ok = 0, ...others } = this.answers()
    return { ok, failed: Object.values(others).reduce((sum, count) => sum + count, 0) }
  }

  async #end({ clients, stop, running }: Group, timeoutMs: number): Promise<void> {
    // who is told to end is answered no more once all is sent: that is no gap
    for (const client of clients) this.#gaps.delete(client)
    stop.abort()
    await running
    await Promise.all(clients.map((client) => client.drain(timeoutMs)))
    for (const client of clients) client.close()
  }

  #sample(): void {
    const nowMs = performance.now()
    this.#gap.note(this.answers()['ok'] ?? 0, nowMs)
    for (const [client, gap] of this.#gaps) gap.note(client.answers.get('ok') ?? 0, nowMs)
  }
}

async function untilAnswered(clients: readonly LedgerClient[], timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (clients.some(({ answers }) => !answers.has('ok'))) {
    if (performance.now() > deadlineMs) {
      const heard = clients.map(({ answers }) => JSON.stringify(Object.fromEntries(answers)))
      throw new Error(`clients were not answered: ${heard.join(', ')}`)
    }
    await sleep(SAMPLE_MS)
  }
}
