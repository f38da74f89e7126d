/**
 * Whether the log takes what this router produces: what readiness follows. A produce that was stored
 * says yes, produces that only fail say no; while there are none, the log is asked for its bounds.
 * After a no the question is open again some seconds later: a router that nobody sends to would
 * never find out by itself.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import type { PartitionLog } from '@tributary/common/log/partition-log'
import type { ProduceMetrics } from './produce-metrics.ts'

export interface LogHealthOptions {
  readonly log: Pick<PartitionLog, 'bounds'>
  readonly metrics: Pick<ProduceMetrics, 'produces' | 'failures'>
  readonly clock: Clock
}

const CHECK_MS = 2000
/** What was heard counts for this long: five looks. */
const HEARD_MS = 10_000

export class LogHealth {
  readonly #options: LogHealthOptions
  #produces = 0
  #failures = 0
  #heardAtMs = -Infinity
  #failedAtMs = -Infinity
  #timer: Timer | undefined
  #checking: Promise<void> | undefined

  constructor(options: LogHealthOptions) {
    this.#options = options
  }

  get isHealthy(): boolean {
    const nowMs = this.#options.clock.monotonicMs()
    return nowMs - this.#heardAtMs < HEARD_MS && nowMs - this.#failedAtMs >= HEARD_MS
  }

  start(): void {
    this.#heardAtMs = this.#options.clock.monotonicMs()
    this.#timer = this.#options.clock.every(CHECK_MS, () => {
      void this.check()
    })
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#checking
  }

  /** One look; never rejects. Calls while one is under way share it. */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined
    })
    return this.#checking
  }

  async #check(): Promise<void> {
    const { log, metrics, clock } = this.#options
    const stored = metrics.produces - this.#produces
    const failed = metrics.failures - this.#failures
    this.#produces = metrics.produces
    this.#failures = metrics.failures
    if (stored > 0) {
      this.#heardAtMs = clock.monotonicMs()
      this.#failedAtMs = -Infinity
      return
    }
    if (failed > 0) {
      this.#failedAtMs = clock.monotonicMs()
      return
    }
    try {
      await log.bounds()
      this.#heardAtMs = clock.monotonicMs()
    } catch {
      // not heard: readiness ends when that has lasted for HEARD_MS
    }
  }
}
