/**
 * A histogram of durations for hot paths: an observation is a search among 16 bounds and two additions
 * to plain numbers, which are read when they are scraped. prom-client's own makes and looks up a string
 * of labels for each one.
 */
import { DURATION_BUCKETS_SECONDS, Histogram, type Registry } from './metrics.ts'

const BOUNDS = DURATION_BUCKETS_SECONDS

export interface DurationHistogramSettings {
  readonly name: string
  readonly help: string
  readonly labelNames?: readonly string[]
}

type Labels = Readonly<Record<string, string>>

interface HistogramValue {
  readonly metricName: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** What was observed under one set of labels. */
export class DurationTally {
  /** Observations up to each bound and above the one before; the last one: above all. */
  readonly #counts = new Float64Array(BOUNDS.length + 1)
  #sum = 0

  observe(seconds: number): void {
    let index = 0
    while (index < BOUNDS.length && seconds > BOUNDS[index]!) index++
    this.#counts[index]! += 1
    this.#sum += seconds
  }

  /** As prom-client writes them: cumulative buckets, sum, count. */
  values(name: string, labels: Labels): HistogramValue[] {
    const values: HistogramValue[] = []
    let total = 0
    for (const [index, count] of this.#counts.entries()) {
      total += count
      const le = BOUNDS[index] ?? '+Inf'
      values.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: total })
    }
    values.push({ metricName: `${name}_sum`, labels, value: this.#sum })
    values.push({ metricName: `${name}_count`, labels, value: total })
    return values
  }
}

export class DurationHistogram extends Histogram {
  readonly #settings: DurationHistogramSettings
  readonly #tallies: { readonly labels: Labels; readonly tally: DurationTally }[] = []

  constructor(registry: Registry, settings: DurationHistogramSettings) {
    const { name, help, labelNames = [] } = settings
    super({ name, help, labelNames: [...labelNames], buckets: BOUNDS, registers: [registry] })
    this.#settings = settings
  }

  /** A new set of labels, to be observed under; it is shown from now on, also at 0. */
  tally(labels: Labels = {}): DurationTally {
    const tally = new DurationTally()
    this.#tallies.push({ labels, tally })
    return tally
  }

  /** What prom-client asks a histogram for, also in its `get`; its declarations leave it out. */
  getForPromString(): Promise<object> {
    const { name, help } = this.#settings
    const values = this.#tallies.flatMap(({ labels, tally }) => tally.values(name, labels))
    return Promise.resolve({ name, help, type: 'histogram', values, aggregator: 'sum' })
  }
}
