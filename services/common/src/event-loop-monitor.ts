/**
 * Watches how long the event loop is held: our code may hold it for 10 ms at most. Once per
 * interval the longest stall of that interval goes into a histogram metric and the figures restart;
 * what held the loop is a question for `npm run profile`.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'

import { Gauge, Histogram } from './metrics.ts'
import type { Registry } from './metrics.ts'

/**
 * The sampling timer's period; the histogram counts it in, so it is taken off every figure. At 2 ms
 * the wake-ups alone cost an idle process half of a percent of a core.
 */
const RESOLUTION_MS = 5
const INTERVAL_MS = 1000

const STALL_BUCKETS_SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5]

export class EventLoopMonitor {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  readonly #stalls: Histogram
  readonly #longest: Gauge
  #longestStallMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(registry: Registry) {
    this.#stalls = new Histogram({
      name: 'tributary_event_loop_stall_seconds',
      help: 'Longest time that the event loop was held, one observation per second',
      buckets: STALL_BUCKETS_SECONDS,
      registers: [registry],
    })
    this.#longest = new Gauge({
      name: 'tributary_event_loop_longest_stall_seconds',
      help: 'Longest time that the event loop was held since the start',
      registers: [registry],
    })
  }

  /** Longest stall since the start or the last call of `reset`, in milliseconds. */
  get longestStallMs(): number {
    return Math.max(this.#longestStallMs, this.#currentStallMs())
  }

  start(): void {
    this.#delays.enable()
    this.#timer = setInterval(() => {
      this.#collect()
    }, INTERVAL_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#delays.disable()
  }

  /** Forgets the longest stall: what came before (start, recovery) is not asked about. */
  reset(): void {
    this.#longestStallMs = 0
    this.#delays.reset()
  }

  #collect(): void {
    const stallMs = this.#currentStallMs()
    this.#longestStallMs = Math.max(this.#longestStallMs, stallMs)
    this.#stalls.observe(stallMs / 1000)
    this.#longest.set(this.#longestStallMs / 1000)
    this.#delays.reset()
  }

  #currentStallMs(): number {
    return Math.max(0, this.#delays.max / 1e6 - RESOLUTION_MS)
  }
}
