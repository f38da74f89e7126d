import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

export { Counter, Gauge, Histogram, Registry }

/** Durations from 0.5 ms to 60 s: acknowledgement, fsync, flush, upload. */
export const DURATION_BUCKETS_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
]

export interface RegistryOptions {
  /** Process metrics (CPU, memory, descriptors, garbage collection) too; default true. */
  readonly hasProcessMetrics?: boolean
}

/**
 * Period of the library's own `nodejs_eventloop_lag_*`, which count it in. Its default of 10 ms wakes an
 * idle process a hundred times a second, for what `tributary_event_loop_*` say better.
 */
const LAG_PERIOD_MS = 50

/** A registry of one process (or of one test): metrics take it as `registers: [registry]`. */
export function createRegistry(options: RegistryOptions = {}): Registry {
  const registry = new Registry()
  if (options.hasProcessMetrics ?? true) {
    const eventLoopMonitoringPrecision = LAG_PERIOD_MS
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision })
  }
  return registry
}

/** Label of all tenants past TENANT_LABELS_MAX; no tenant can have this name. */
export const OTHER_TENANTS = '(others)'
/** The first so many tenants of a process have series of their own. */
export const TENANT_LABELS_MAX = 100

export interface TenantCounterSettings {
  readonly name: string
  readonly help: string
}

/**
 * A counter by tenant whose labels clients cannot grow: the first TENANT_LABELS_MAX tenants have one
 * each, all others share one. A series never changes its meaning, so that rates stay true.
 */
export class TenantCounter {
  readonly #counts = new Map<string, number>()

  constructor(registry: Registry, { name, help }: TenantCounterSettings) {
    const counts = this.#counts
    new Counter({
      name,
      help,
      labelNames: ['tenant'],
      registers: [registry],
      collect() {
        this.reset()
        for (const [tenant, count] of counts) this.inc({ tenant }, count)
      },
    })
  }

  add(tenant: string, value: number): void {
    const counts = this.#counts
    const known = counts.get(tenant)
    if (known !== undefined) counts.set(tenant, known + value)
    else if (counts.size < TENANT_LABELS_MAX) counts.set(tenant, value)
    else counts.set(OTHER_TENANTS, (counts.get(OTHER_TENANTS) ?? 0) + value)
  }
}
