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

/** A registry of one process (or of one test): metrics take it as `registers: [registry]`. */
export function createRegistry(options: RegistryOptions = {}): Registry {
  const registry = new Registry()
  if (options.hasProcessMetrics ?? true) collectDefaultMetrics({ register: registry })
  return registry
}
