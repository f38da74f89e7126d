/**
 * Watches how long the event loop is held: our code may hold it for 10 ms at most. Once per
 * interval the longest stall of that interval goes into a histogram metric and the figures restart;
 * what held the loop is a question for `npm run profile`.
 */
import { monitorEventLoopDelay, performance, type EventLoopUtilization } from 'node:perf_hooks'

import { Gauge, Histogram } from './metrics.ts'
import type { Registry } from './metrics.ts'

/** Samples the loop at a period, which the histogram counts in: it is taken off every figure. */
class LoopSampler {
  readonly periodMs: number
  readonly delays: ReturnType<typeof monitorEventLoopDelay>

  constructor(periodMs: number) {
    this.periodMs = periodMs
    this.delays = monitorEventLoopDelay({ resolution: periodMs })
  }

  get longestStallMs(): number {
    return Math.max(0, this.delays.max / 1e6 - this.periodMs)
  }
}

/** A stall may be seen as this much shorter than it was. */
const BUSY_PERIOD_MS = 5
/** Wake-ups are most of what an idle process costs: at 5 ms 1 % of a core, at 20 ms a third of it. */
const IDLE_PERIOD_MS = 20
/** Share of an interval that the loop worked; the sampling itself is below it. */
const BUSY_SHARE = 0.05
const INTERVAL_MS = 1000

const STALL_BUCKETS_SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5]

export class EventLoopMonitor {
  readonly #busySampler = new LoopSampler(BUSY_PERIOD_MS)
  readonly #idleSampler = new LoopSampler(IDLE_PERIOD_MS)
  #sampler = this.#busySampler
  #utilization: EventLoopUtilization = performance.eventLoopUtilization()
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
    return Math.max(this.#longestStallMs, this.#sampler.longestStallMs)
  }

  start(): void {
    this.#sampler.delays.enable()
    this.#timer = setInterval(() => {
      this.#collect()
    }, INTERVAL_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#sampler.delays.disable()
  }

  /** Forgets the longest stall: what came before (start, recovery) is not asked about. */
  reset(): void {
    this.#longestStallMs = 0
    this.#sampler.delays.reset()
  }

  #collect(): void {
    const stallMs = this.#sampler.longestStallMs
    this.#longestStallMs = Math.max(this.#longestStallMs, stallMs)
    this.#stalls.observe(stallMs / 1000)
    this.#longest.set(this.#longestStallMs / 1000)
    this.#sampler.delays.reset()
    this.#choosePeriod()
  }

  #choosePeriod(): void {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, this.#utilization)
    this.#utilization = now
    const wanted = utilization > BUSY_SHARE ? this.#busySampler : this.#idleSampler
    if (wanted === this.#sampler) return
    this.#sampler.delays.disable()
    this.#sampler = wanted
    wanted.delays.reset()
    wanted.delays.enable()
  }
}
