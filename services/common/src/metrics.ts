import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

export { Counter, Gauge, Histogram, Registry }

/** Label value for everything past the bound of a label. */
export const OTHER_LABEL = 'other'

/** Durations from 0.5 ms to 60 s: acknowledgement, fsync, flush, upload. */
export const DURATION_BUCKETS_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
]

/** Sizes from 1 KiB to 256 MiB, by fours. */
export const SIZE_BUCKETS_BYTES = Array.from({ length: 10 }, (_, power) => 1024 * 4 ** power)

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

/**
 * A filter for label values that come from outside: the first `distinctMax` different ones pass,
 * all others become `other`, so that clients cannot grow the registry.
 */
export function boundedLabel(distinctMax: number): (value: string) => string {
  const known = new Set<string>()
  return (value) => {
    if (known.has(value)) return value
    if (known.size >= distinctMax) return OTHER_LABEL
    known.add(value)
    return value
  }
}
