/** What a router counts of its produces: plain numbers and two histograms, read when they are scraped. */
import type { AppError } from '@tributary/common/errors'
import {
  Counter,
  DURATION_BUCKETS_SECONDS,
  Gauge,
  Histogram,
  type Registry,
} from '@tributary/common/metrics'
import type { Brokers } from './brokers.ts'
import type { Lanes } from './lanes.ts'

const CIRCUIT_VALUES = { closed: 0, 'half-open': 0.5, open: 1 } as const

export class ProduceMetrics {
  produces = 0
  records = 0
  bytes = 0
  failures = 0
  readonly #errors = new Map<string, number>()
  readonly #queue: Histogram
  readonly #produce: Histogram

  constructor(registry: Registry) {
    const registers = [registry]
    this.#queue = new Histogram({
      name: 'tributary_router_produce_queue_seconds',
      help: 'How long a closed batch waited for its produce to begin',
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    })
    this.#produce = new Histogram({
      name: 'tributary_router_produce_seconds',
      help: 'How long the log took to store what was produced',
      buckets: DURATION_BUCKETS_SECONDS,
      registers,
    })
    count(registry, 'produces_total', 'Produces that the log stored', () => this.produces)
    count(registry, 'produced_records_total', 'Batches that the log stored', () => this.records)
    count(
      registry,
      'produced_bytes_total',
      'Bytes of batches that the log stored',
      () => this.bytes,
    )
    const errors = this.#errors
    new Counter({
      name: 'tributary_router_produce_errors_total',
      help: 'Produces that failed, retried or not, by error code',
      labelNames: ['code'],
      registers,
      collect() {
        this.reset()
        for (const [code, value] of errors) this.inc({ code }, value)
      },
    })
  }

  started(waitedMs: number): void {
    this.#queue.observe(waitedMs / 1000)
  }

  stored(values: readonly Uint8Array[], tookMs: number): void {
    this.produces += 1
    this.records += values.length
    for (const value of values) this.bytes += value.length
    this.#produce.observe(tookMs / 1000)
  }

  failed({ code }: AppError): void {
    this.failures += 1
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1)
  }
}

/** Gauges over what is there now. */
export function exposeLanes(registry: Registry, lanes: Lanes, brokers: Brokers): void {
  const registers = [registry]
  new Gauge({
    name: 'tributary_router_pending_bytes',
    help: 'Bytes of batches that wait for the log or are under way to it',
    registers,
    collect() {
      this.set(lanes.pendingBytes)
    },
  })
  new Gauge({
    name: 'tributary_router_open_batches',
    help: 'Batches that take rows',
    registers,
    collect() {
      this.set(lanes.openBatches)
    },
  })
  new Gauge({
    name: 'tributary_router_broker_held_bytes',
    help: 'Bytes that requests hold while they wait for a broker',
    labelNames: ['broker'],
    registers,
    collect() {
      this.reset()
      for (const { name, heldBytes } of brokers.all) this.set({ broker: name }, heldBytes)
    },
  })
  new Gauge({
    name: 'tributary_router_broker_circuit',
    help: 'The circuit of a broker: 0 closed, 1 open, 0.5 while one produce probes it',
    labelNames: ['broker'],
    registers,
    collect() {
      this.reset()
      for (const { name, state } of brokers.all) this.set({ broker: name }, CIRCUIT_VALUES[state])
    },
  })
}

function count(registry: Registry, name: string, help: string, read: () => number): void {
  new Counter({
    name: `tributary_router_${name}`,
    help,
    registers: [registry],
    collect() {
      this.reset()
      this.inc(read())
    },
  })
}
