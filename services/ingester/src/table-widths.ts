/**
 * How wide the tables of tenants are: distinct attribute keys, and streams (resources). Both are what
 * files and memory cost most by, and what a client grows by mistake: an id in a key, a resource for
 * each request. Shown for the widest alone, so that clients can't grow what is shown.
 */
import type { Clock } from '@tributary/common/clock'
import { Gauge, TENANT_LABELS_MAX, type Registry } from '@tributary/common/metrics'
import type { SignalName } from '@tributary/common/signal'

/** Tables, and partitions of tables, that are kept in mind: the one not heard of for longest goes. */
const KEPT_MAX = 10_000
/** A partition of which no rows came for so long counts no streams. */
const STREAMS_FRESH_MS = 15 * 60_000

interface Width {
  readonly tenant: string
  readonly signal: SignalName
  readonly count: number
  readonly toldMs: number
}

export class TableWidths {
  readonly #clock: Clock
  /** By tenant and signal. */
  readonly #keys = new Map<string, Width>()
  /** By partition too: a stream lies in one, so their sum counts it once. */
  readonly #streams = new Map<string, Width>()

  constructor(registry: Registry, clock: Clock) {
    this.#clock = clock
    widthGauge(
      registry,
      'keys',
      'Distinct attribute keys with columns, over all time, of the tables with most that this process wrote',
      () => [...this.#keys.values()],
    )
    widthGauge(
      registry,
      'streams',
      'Distinct resources in the newest flush of each partition, of the tables with most',
      () => this.#freshStreams(),
    )
  }

  /** The schema of a table has so many keys. */
  keysKnown(tenant: string, signal: SignalName, count: number): void {
    this.#keep(this.#keys, `${tenant}/${signal}`, { tenant, signal, count })
  }

  /** A flush of one partition had rows of so many streams. */
  streamsWritten(tenant: string, signal: SignalName, partition: number, count: number): void {
    const name = `${tenant}/${signal}/${String(partition)}`
    this.#keep(this.#streams, name, { tenant, signal, count })
  }

  #keep(widths: Map<string, Width>, name: string, width: Omit<Width, 'toldMs'>): void {
    // behind all others: the first is the one told of longest ago
    widths.delete(name)
    widths.set(name, { ...width, toldMs: this.#clock.monotonicMs() })
    const [oldest] = widths.keys()
    if (widths.size > KEPT_MAX && oldest !== undefined) widths.delete(oldest)
  }

  #freshStreams(): readonly Width[] {
    const sinceMs = this.#clock.monotonicMs() - STREAMS_FRESH_MS
    const sums = new Map<string, Width>()
    for (const width of this.#streams.values()) {
      if (width.toldMs < sinceMs) continue
      const name = `${width.tenant}/${width.signal}`
      const count = (sums.get(name)?.count ?? 0) + width.count
      sums.set(name, { ...width, count })
    }
    return [...sums.values()]
  }
}

function widthGauge(
  registry: Registry,
  name: string,
  help: string,
  read: () => readonly Width[],
): void {
  new Gauge({
    name: `tributary_ingester_tenant_${name}`,
    help,
    labelNames: ['tenant', 'signal'],
    registers: [registry],
    collect() {
      this.reset()
      const widest = read()
        .toSorted((left, right) => right.count - left.count)
        .slice(0, TENANT_LABELS_MAX)
      for (const { tenant, signal, count } of widest) this.set({ tenant, signal }, count)
    },
  })
}
