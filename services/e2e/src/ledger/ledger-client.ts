/**
 * A load client as a collector is one: requests fall due at a rate of their own, whether or not answers
 * come; they wait in a bounded queue for one of a few lanes and go to the addresses in turn, as behind a
 * load balancer; what is not answered with OK is sent again, the same bytes, by its lane, after a growing
 * pause, to the next address. Some clients give up after some tries, as one that is restarted does.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { Ledger, LedgerRequest } from './ledger.ts'
import type { OtlpSender, Outcome } from './otlp-sender.ts'
import type { RequestMaker } from './request-maker.ts'

export interface LedgerClientOptions {
  readonly ledger: Ledger
  readonly maker: RequestMaker
  /** One per address: requests take them in turn, and a failed try goes on with the next one. */
  readonly senders: readonly OtlpSender[]
  /** Requests that fall due per second; undefined: as fast as the lanes are free. */
  readonly ratePerSecond?: number
  /** Requests under way at once. */
  readonly lanes: number
  readonly timeoutMs: number
  /** Requests that wait for a lane; past it new ones are dropped before they are sent. Default 1000. */
  readonly queueMax?: number
  /** Tries after which a request is given up; default never. */
  readonly triesMax?: number
  readonly seed: number
}

interface Waiting {
  readonly request: LedgerRequest
  /** When it fell due; latencies count from there. */
  readonly dueMs: number
  tries: number
  /** What the last try heard. */
  heard: string
}

/** As a collector's sending queue. */
const QUEUE_MAX = 1000
const PAUSE_MS_MIN = 50
const PAUSE_MS_MAX = 2000
const TICK_MS = 20
/** Requests that an error tells of. */
const HEARD_MAX = 10
/** The newest are kept for quantiles. */
const LATENCIES_MAX = 100_000

export class LedgerClient {
  readonly #options: LedgerClientOptions
  readonly #random: SeededRandom
  readonly #queue: Waiting[] = []
  #underWay = 0
  #latencyCount = 0
  /** Milliseconds from falling due to OK, in no order. */
  readonly latencies: number[] = []
  /** Answers by what they said. */
  readonly answers = new Map<string, number>()

  constructor(options: LedgerClientOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed)
  }

  /** Requests that are neither answered nor given up. */
  get open(): number {
    return this.#queue.length + this.#underWay
  }

  /** Makes and sends requests until told to stop; what is open then stays open. */
  async run(stop: AbortSignal): Promise<void> {
    const { ratePerSecond = Infinity } = this.#options
    const startMs = performance.now()
    let made = 0
    await this.#runLanes(
      () => stop.aborted,
      (nowMs) => {
        if (ratePerSecond === Infinity) {
          if (this.#queue.length === 0) this.#make(nowMs)
          return
        }
        const due = Math.floor(((nowMs - startMs) / 1000) * ratePerSecond)
        for (; made < due; made++) this.#make(startMs + (made / ratePerSecond) * 1000)
      },
    )
  }

  /** Sends what is open until nothing is. @throws Error after `timeoutMs` */
  async drain(timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    await this.#runLanes(
      () => this.open === 0 || performance.now() > deadlineMs,
      () => undefined,
    )
    if (this.open === 0) return
    const heard = this.#queue.map(({ request, tries, heard: last }) => {
      return `${String(request.number)} (${request.signal}, ${String(tries)} tries, last: ${last})`
    })
    throw new Error(
      `${String(this.open)} requests are never answered with OK: ${heard.slice(0, HEARD_MAX).join(', ')}`,
    )
  }

  close(): void {
    for (const sender of this.#options.senders) sender.close()
  }

  async #runLanes(isOver: () => boolean, refill: (nowMs: number) => void): Promise<void> {
    const lane = async (): Promise<void> => {
      while (!isOver()) {
        refill(performance.now())
        const waiting = this.#queue.shift()
        if (waiting === undefined) await sleep(TICK_MS)
        else await this.#sendUntilSettled(waiting, isOver)
      }
    }
    await Promise.all(Array.from({ length: this.#options.lanes }, lane))
  }

  #make(dueMs: number): void {
    const { ledger, maker, queueMax = QUEUE_MAX } = this.#options
    if (this.#queue.length >= queueMax) {
      ledger.unsent++
      return
    }
    const request = maker.next()
    ledger.begin(request)
    this.#queue.push({ request, dueMs, tries: 0, heard: 'nothing' })
  }

  /** Sends again and again; what is open when all is over goes back to the front of the queue. */
  async #sendUntilSettled(waiting: Waiting, isOver: () => boolean): Promise<void> {
    this.#underWay++
    try {
      for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(PAUSE_MS_MAX, 2 * pauseMs)) {
        if (await this.#send(waiting)) return
        const againMs = performance.now() + pauseMs * (0.5 + this.#random.fraction() / 2)
        while (performance.now() < againMs && !isOver()) await sleep(TICK_MS)
        if (isOver()) break
      }
      this.#queue.unshift(waiting)
    } finally {
      this.#underWay--
    }
  }

  /** True where nothing more is to be done about the request. */
  async #send(waiting: Waiting): Promise<boolean> {
    const { ledger, senders, timeoutMs, triesMax = Infinity } = this.#options
    const { request } = waiting
    const sender = senders[(request.number + waiting.tries) % senders.length]!
    waiting.tries++
    ledger.tried(request)
    const outcome = await sender.send(request, timeoutMs)
    waiting.heard = this.#count(outcome)
    if (outcome.kind === 'ok') {
      ledger.succeeded(request, outcome.rejected)
      this.latencies[this.#latencyCount++ % LATENCIES_MAX] = performance.now() - waiting.dueMs
      return true
    }
    if (outcome.kind === 'refused') ledger.breach(request, `answered with ${outcome.status}`)
    else if (waiting.tries < triesMax) return false
    ledger.gaveUp(request)
    return true
  }

  #count(outcome: Outcome): string {
    const what =
      outcome.kind === 'ok' ? 'ok' : outcome.kind === 'unknown' ? outcome.reason : outcome.status
    this.answers.set(what, (this.answers.get(what) ?? 0) + 1)
    return what
  }
}
