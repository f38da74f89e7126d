/**
 * How many OTLP bytes a second come in of each tenant and signal, and of their largest streams: what
 * this router publishes for the maker of the routing table. Rates are smoothed over half a minute, so
 * that a burst of seconds does not widen a shard. A tenant whose rate went to nothing is forgotten here
 * and by the partitioner.
 */
import type { Clock } from '@tributary/common/clock'
import {
  PUBLISHED_STREAMS_MAX,
  serializeRouterRates,
  type StreamRate,
  type TenantRate,
} from '@tributary/common/routing/router-rates'
import { signalName, type Signal } from '@tributary/common/signal'
import type { Partitioner, TenantRoute } from '../partitioner.ts'

const SMOOTHING_MS = 30_000
/** Streams of one tenant and signal that are looked at. */
const STREAMS_PER_TENANT = 32
/** Below one byte in five minutes a rate is forgotten. */
const RATE_MIN = 1 / 300

/** Bytes of a route, and of its streams, as they decay. */
interface Measured {
  rate: number
  readonly streams: Map<string, number>
}

export class RateMeter {
  readonly #partitioner: Partitioner
  readonly #clock: Clock
  readonly #measured = new Map<TenantRoute, Measured>()
  #sinceMs: number

  constructor(partitioner: Partitioner, clock: Clock) {
    this.#partitioner = partitioner
    this.#clock = clock
    this.#sinceMs = clock.monotonicMs()
  }

  /** Takes what came in since the last call into the rates; @returns the text to publish. */
  measure(): string {
    const nowMs = this.#clock.monotonicMs()
    const elapsedMs = Math.max(1, nowMs - this.#sinceMs)
    this.#sinceMs = nowMs
    const weight = 1 - Math.exp(-elapsedMs / SMOOTHING_MS)
    const perSecond = 1000 / elapsedMs
    const tenants: TenantRate[] = []
    const streams: StreamRate[] = []
    for (const route of this.#partitioner.routes) {
      const measured = this.#of(route)
      measured.rate += weight * (route.bytes * perSecond - measured.rate)
      route.bytes = 0
      smoothStreams(measured.streams, route, weight, perSecond)
      if (measured.rate < RATE_MIN && measured.streams.size === 0) {
        this.#measured.delete(route)
        this.#partitioner.forget(route)
        continue
      }
      const names = { tenant: route.tenant, signal: signalName(route.signal)! }
      if (measured.rate >= RATE_MIN) tenants.push({ ...names, rate: measured.rate })
      for (const [stream, rate] of measured.streams) streams.push({ ...names, stream, rate })
    }
    return serializeRouterRates({ tenants, streams })
  }

  /** The tenants and signals with the greatest rates, as of the last `measure`. */
  busiest(
    countMax: number,
  ): { readonly tenant: string; readonly signal: Signal; readonly rate: number }[] {
    return [...this.#measured]
      .map(([{ tenant, signal }, { rate }]) => ({ tenant, signal, rate }))
      .filter(({ rate }) => rate >= RATE_MIN)
      .sort((left, right) => right.rate - left.rate)
      .slice(0, countMax)
  }

  #of(route: TenantRoute): Measured {
    const known = this.#measured.get(route)
    if (known !== undefined) return known
    const measured = { rate: 0, streams: new Map<string, number>() }
    this.#measured.set(route, measured)
    return measured
  }
}

/** The largest of now, and those of before as long as they count. */
function smoothStreams(
  rates: Map<string, number>,
  route: TenantRoute,
  weight: number,
  perSecond: number,
): void {
  for (const [stream, rate] of rates) {
    const decayed = rate * (1 - weight)
    if (decayed < RATE_MIN) rates.delete(stream)
    else rates.set(stream, decayed)
  }
  for (const { stream, bytes } of route.streams.takeLargest(STREAMS_PER_TENANT)) {
    if (!rates.has(stream) && rates.size >= PUBLISHED_STREAMS_MAX) break
    rates.set(stream, (rates.get(stream) ?? 0) + weight * bytes * perSecond)
  }
}
