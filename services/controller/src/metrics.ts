/** What a controller shows: what it saw last, what it decided and did, and what stood in its way. */
import {
  Counter,
  DURATION_BUCKETS_SECONDS,
  Gauge,
  Histogram,
  type Registry,
} from '@tributary/common/metrics'
import type { ClusterFigures } from './decide/cluster-figures.ts'
import type { ScaleDecision } from './decide/scale-decision.ts'

export type FailureSource = 'metadata' | 'ingester' | 'kubernetes' | 'watch'
export type DrainOutcome = 'empty' | 'timed_out' | 'abandoned'

/** Gauges of the last observation: name, help, and how it is read. */
const FIGURES: readonly (readonly [string, string, (figures: ClusterFigures) => number])[] = [
  ['working_ingesters', 'Ingesters that live and take partitions', (of) => of.working],
  ['unowned_partitions', 'Partitions without an owner', (of) => of.unowned],
  ['lag_seconds', 'How far fetching is behind, of the slowest partition', (of) => of.lagSeconds],
  ['backlog_records', 'Records in the log that were not fetched', (of) => of.backlogRecords],
  ['arrived_records_per_second', 'Records put into the log', (of) => of.arrivedPerSecond],
  ['fetched_records_per_second', 'Records fetched by all ingesters', (of) => of.fetchedPerSecond],
  ['memory_share', 'Rows in memory by what may be there, fullest ingester', (of) => of.memoryShare],
  [
    'busy_share',
    'Share of time that ingesters are busy, their mean',
    (of) => of.busySum / Math.max(1, of.working),
  ],
]

export class ControllerMetrics {
  readonly #figures = new Map<string, Gauge>()
  readonly #replicas: Gauge
  readonly #decisions: Counter<'kind' | 'cause'>
  readonly #scalings: Counter<'direction'>
  readonly #drains: Counter<'why' | 'outcome'>
  readonly #drainSeconds: Histogram
  readonly #failures: Counter<'source'>

  constructor(registry: Registry, isLeader: () => boolean) {
    const registers = [registry]
    const named = (
      name: string,
      help: string,
    ): { name: string; help: string; registers: Registry[] } => {
      return { name: `tributary_controller_${name}`, help, registers }
    }
    new Gauge({
      ...named('leader', '1 while this one holds the lease and acts'),
      collect() {
        this.set(isLeader() ? 1 : 0)
      },
    })
    for (const [name, help] of FIGURES) this.#figures.set(name, new Gauge(named(name, help)))
    this.#replicas = new Gauge(named('replicas', 'Ingesters that the StatefulSet asks for'))
    this.#decisions = new Counter({
      ...named('decisions_total', 'Decisions about the number of ingesters'),
      labelNames: ['kind', 'cause'],
    })
    this.#scalings = new Counter({
      ...named('scalings_total', 'Times that the number was changed'),
      labelNames: ['direction'],
    })
    this.#drains = new Counter({
      ...named('drains_total', 'Ingesters that were asked to give their partitions away'),
      labelNames: ['why', 'outcome'],
    })
    this.#drainSeconds = new Histogram({
      ...named('drain_seconds', 'Until an ingester owned nothing any more'),
      buckets: DURATION_BUCKETS_SECONDS,
    })
    this.#failures = new Counter({
      ...named('failures_total', 'Calls that failed, watches that were begun again'),
      labelNames: ['source'],
    })
  }

  observed(figures: ClusterFigures): void {
    this.#replicas.set(figures.replicas)
    for (const [name, , read] of FIGURES) this.#figures.get(name)!.set(read(figures))
  }

  decided({ kind, cause }: Pick<ScaleDecision, 'kind' | 'cause'>): void {
    this.#decisions.inc({ kind, cause })
  }

  scaled(direction: 'out' | 'in'): void {
    this.#scalings.inc({ direction })
  }

  drained(why: 'scale_in' | 'node', outcome: DrainOutcome, seconds: number): void {
    this.#drains.inc({ why, outcome })
    if (outcome === 'empty') this.#drainSeconds.observe(seconds)
  }

  failed(source: FailureSource): void {
    this.#failures.inc({ source })
  }
}
