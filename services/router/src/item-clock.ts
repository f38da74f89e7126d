/**
 * What time it is where the own clock may be wrong: the bounds by which items are judged too old or of
 * the future. A rejected item never comes again, so one witness is not enough: it is too old only by
 * the earlier, of the future only by the later of two clocks, the own one and that of the brokers. Says
 * once that they differ, and once that they agree again.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import type { LogTime } from '@tributary/common/log/log-time'
import type { Logger } from '@tributary/common/logger'
import { Gauge, type Registry } from '@tributary/common/metrics'
import type { TimeBounds } from '@tributary/common/otlp/decoder'

export interface ItemClockOptions {
  readonly clock: Clock
  readonly logTime: Pick<LogTime, 'nowUnixMs' | 'floorUnixMs'>
  readonly logger: Logger
}

const CHECK_MS = 5000
/** Machines that keep their clocks are within a second; a slow answer counts as skew too. */
const SKEW_MS_WORTH_TELLING = 10_000

export class ItemClock {
  readonly #options: ItemClockOptions
  #isTold = false
  #timer: Timer | undefined

  constructor(options: ItemClockOptions) {
    this.#options = options
  }

  /** How far the own clock is ahead of the brokers'; undefined before they told theirs. */
  get skewMs(): number | undefined {
    const { clock, logTime } = this.#options
    const logUnixMs = logTime.nowUnixMs
    return logUnixMs === undefined ? undefined : clock.nowUnixMs() - logUnixMs
  }

  start(): void {
    this.#timer = this.#options.clock.every(CHECK_MS, () => {
      this.check()
    })
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** @param ownUnixNano what the own clock says */
  bounds(ownUnixNano: bigint): TimeBounds {
    const { logTime } = this.#options
    const { nowUnixMs, floorUnixMs } = logTime
    const logNow = nowUnixMs === undefined ? ownUnixNano : nanos(nowUnixMs)
    const logFloor = floorUnixMs === undefined ? ownUnixNano : nanos(floorUnixMs)
    return {
      earliestUnixNano: logNow < ownUnixNano ? logNow : ownUnixNano,
      latestUnixNano: logFloor > ownUnixNano ? logFloor : ownUnixNano,
    }
  }

  /** Looks at the skew now. */
  check(): void {
    const { logger } = this.#options
    const { skewMs } = this
    if (skewMs === undefined) return
    const isWorthTelling = Math.abs(skewMs) >= SKEW_MS_WORTH_TELLING
    if (isWorthTelling === this.#isTold) return
    this.#isTold = isWorthTelling
    const facts = { skewSeconds: Math.round(skewMs / 1000) }
    if (isWorthTelling) {
      logger.warn(facts, 'clock differs from that of the brokers: items are judged by both')
    } else logger.info(facts, 'clock agrees with that of the brokers again')
  }
}

export function exposeItemClock(registry: Registry, itemClock: ItemClock): void {
  new Gauge({
    name: 'tributary_router_clock_skew_seconds',
    help: "How far this router's clock is ahead of the brokers': near 0; not a number before they told",
    registers: [registry],
    collect() {
      this.set((itemClock.skewMs ?? Number.NaN) / 1000)
    },
  })
}

function nanos(unixMs: number): bigint {
  return BigInt(Math.round(unixMs)) * 1_000_000n
}
