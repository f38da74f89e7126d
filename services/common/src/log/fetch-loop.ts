/**
 * Reads from one broker: one fetch after the other, each for all partitions that are wanted from it at
 * that moment. What a fetch brings counts only for positions that are still wanted and still where they
 * were when it was sent; so a pause is exact at once, and a fetch that a former leader answers late
 * hurts nothing.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Clock } from '../clock.ts'
import type { BrokerLink } from './broker-link.ts'
import type { FetchAnswer, FetchLimits, FetchPosition, FetchResult } from './fetch-request.ts'
import { fetchRequest } from './fetch-request.ts'
import { KafkaError, NO_ERROR, kafkaErrorOf } from './kafka-error.ts'

/** Where a partition is read; a new object with every resume. */
export interface Position {
  readonly partition: number
  next: bigint
  /** A batch begins here: the one before was read whole. */
  isBoundary: boolean
  /** Of the leader that the last record was read from; -1 before the first. */
  lastEpoch: number
  /** Of the last record read, Unix milliseconds. */
  appendUnixMs: number
  /** Is not fetched before, on the monotonic clock. */
  notBeforeMs: number
  /** Failures in a row. */
  failures: number
  /** Answers in a row that did not fit. */
  problems: number
}

/** A position and what was asked for it. */
export interface Asked {
  readonly position: Position
  readonly question: FetchPosition
}

export interface FetchLoopOptions {
  readonly link: BrokerLink
  readonly topicId: string
  readonly clock: Clock
  readonly limits: () => FetchLimits
  /** What is wanted of this broker now, due or not. */
  readonly wanted: () => readonly Asked[]
  /** One partition's part of an answer. */
  readonly take: (asked: Asked, result: FetchResult) => void
  /** The broker did not answer. */
  readonly failed: (error: KafkaError) => void
}

/** The answer needs time of its own behind the time that the broker waits for records. */
const ANSWER_GRACE_MS = 4000
const PAUSE_MS_MIN = 50
const PAUSE_MS_MAX = 1000
/** Half of what our code may hold the event loop. */
const SLICE_MS = 5

export class FetchLoop {
  readonly #options: FetchLoopOptions
  readonly #clock: Clock
  #wake: () => void = () => undefined
  #isClosed = false
  #turn = 0

  constructor(options: FetchLoopOptions) {
    this.#options = options
    this.#clock = options.clock
    // rejects where a handler throws: that is a bug, and the process must not go on without reading
    void this.#run()
  }

  /** Looks again at what is wanted. */
  wake(): void {
    this.#wake()
  }

  close(): void {
    this.#isClosed = true
    this.#options.link.close()
    this.#wake()
  }

  async #run(): Promise<void> {
    let pauseMs = PAUSE_MS_MIN
    while (!this.#isClosed) {
      const asked = this.#due()
      if (asked.length === 0) {
        await this.#sleep(this.#soonestMs())
        continue
      }
      const answer = await this.#fetch(asked)
      if (this.#isClosed) return
      if (answer instanceof KafkaError) {
        this.#options.failed(answer)
        await this.#sleep(pauseMs)
        pauseMs = Math.min(PAUSE_MS_MAX, 2 * pauseMs)
      } else {
        pauseMs = PAUSE_MS_MIN
        await this.#handOver(asked, answer)
      }
    }
  }

  /** Those whose time has come, each time another one first: brokers fill an answer from the front. */
  #due(): readonly Asked[] {
    const nowMs = this.#clock.monotonicMs()
    const due = this.#options.wanted().filter(({ position }) => position.notBeforeMs <= nowMs)
    const first = due.length === 0 ? 0 : this.#turn++ % due.length
    return [...due.slice(first), ...due.slice(0, first)]
  }

  /** How long nothing is due. */
  #soonestMs(): number {
    const soonest = Math.min(...this.#options.wanted().map(({ position }) => position.notBeforeMs))
    return soonest - this.#clock.monotonicMs()
  }

  async #fetch(asked: readonly Asked[]): Promise<FetchAnswer | KafkaError> {
    const { link, topicId, limits } = this.#options
    const questions = asked.map(({ question }) => question)
    const bounds = limits()
    try {
      const request = fetchRequest(topicId, questions, bounds)
      const answer = await link.exchange(request, bounds.waitMs + ANSWER_GRACE_MS)
      return answer.errorCode === NO_ERROR ? answer : kafkaErrorOf(answer.errorCode)
    } catch (error) {
      if (error instanceof KafkaError) return error
      throw error
    }
  }

  async #handOver(asked: readonly Asked[], { results }: FetchAnswer): Promise<void> {
    const byPartition = new Map(asked.map((each) => [each.position.partition, each]))
    let startMs = performance.now()
    for (const result of results) {
      const found = byPartition.get(result.partition)
      if (found !== undefined) this.#options.take(found, result)
      if (performance.now() - startMs < SLICE_MS) continue
      await nextTurn()
      if (this.#isClosed) return
      startMs = performance.now()
    }
  }

  /** Until woken, or for so long; for ever where that is not finite. */
  #sleep(durationMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = Number.isFinite(durationMs)
        ? this.#clock.after(Math.max(1, durationMs), resolve)
        : undefined
      this.#wake = () => {
        timer?.cancel()
        resolve()
      }
    })
  }
}
