/** Settings that are measured at several values, each under the load that shows what it does. */
import type { PoolOptions } from '../src/load/payload-pool.ts'
import type { ClusterLoad, ClusterShape } from './cluster-session.ts'
import type { LoadShape } from './standalone-session.ts'

interface MeasuredSetting {
  readonly flag: string
  /** The first one is the default. */
  readonly values: readonly string[]
  /** Of the load, in words. */
  readonly under: string
  readonly pool: Omit<PoolOptions, 'startUnixNano'>
  /** Flags beside it, of all values. */
  readonly beside?: readonly string[]
  /** Before it is measured; some settings take effect slowly. */
  readonly warmSeconds?: number
}

export interface StandaloneSetting extends MeasuredSetting {
  readonly load: LoadShape
}

export interface ClusterSetting extends MeasuredSetting {
  readonly role: 'router' | 'ingester'
  readonly load: ClusterLoad
  readonly shape: ClusterShape
}

/** 400,000 different rows: about what one flush holds. */
const LOGS = { signal: 'logs', records: 1000, resources: 10, requests: 400 } as const
const SMALL_LOGS = { signal: 'logs', records: 10, requests: 20_000 } as const
const HUNDREDS = { ...LOGS, records: 100, requests: 4000 } as const

const GRPC = { transport: 'grpc', connections: 4 } as const
const SATURATED: LoadShape = { ...GRPC, inFlight: 8 }
/** The pool has 400 requests; one that is under way may not be sent again. */
const OPEN_IN_FLIGHT = 380

export const STANDALONE_SETTINGS: readonly StandaloneSetting[] = [
  {
    ...{ flag: '--flush-bytes', values: ['64MiB', '8MiB', '256MiB'] },
    under: 'saturated with requests of 1,000 logs',
    ...{ pool: LOGS, load: SATURATED },
  },
  {
    ...{ flag: '--zstd-level', values: ['1', '3', '9'] },
    under: 'saturated with requests of 1,000 logs',
    ...{ pool: LOGS, load: SATURATED },
  },
  {
    ...{ flag: '--row-group-rows-max', values: ['131072', '16384', '1000000'] },
    under: 'saturated with requests of 1,000 logs',
    ...{ pool: LOGS, load: SATURATED },
  },
  {
    ...{ flag: '--flush-workers', values: ['1', '2'] },
    under: 'saturated with requests of 1,000 logs',
    ...{ pool: LOGS, load: SATURATED },
  },
  {
    ...{ flag: '--retry-removal', values: ['true', 'false'] },
    under: 'saturated with requests of 1,000 logs',
    ...{ pool: LOGS, load: SATURATED },
  },
  {
    ...{ flag: '--flush-interval', values: ['1m', '500ms', '2s'] },
    under: '100 requests of 1,000 logs a second',
    ...{ pool: LOGS, load: { ...GRPC, inFlight: OPEN_IN_FLIGHT, rate: 100 } },
  },
  {
    ...{ flag: '--inflight-bytes-max', values: ['256MiB', '8MiB', '32MiB'] },
    // a request may take half of the bound
    beside: ['--request-bytes-max=4MiB'],
    under: 'asked for 1,000 requests of 1,000 logs a second, more than it can',
    ...{ pool: LOGS, load: { ...GRPC, inFlight: OPEN_IN_FLIGHT, rate: 1000 } },
  },
  {
    ...{ flag: '--wal-sync', values: ['group', 'always', 'none'] },
    under: '1,500 requests of 10 logs a second over 64 connections',
    ...{ pool: SMALL_LOGS, load: { ...GRPC, connections: 64, inFlight: 2000, rate: 1500 } },
  },
  {
    ...{ flag: '--wal-sync-interval', values: ['5ms', '0', '20ms'] },
    under: '1,500 requests of 10 logs a second over 64 connections',
    ...{ pool: SMALL_LOGS, load: { ...GRPC, connections: 64, inFlight: 2000, rate: 1500 } },
  },
]

const SIX: ClusterShape = { partitions: 6, ingesters: 1 }
const MANY: ClusterShape = { partitions: 24, ingesters: 1 }
const STEADY: ClusterLoad = { connections: 4, inFlight: OPEN_IN_FLIGHT, rate: 40 }

export const CLUSTER_SETTINGS: readonly ClusterSetting[] = [
  {
    ...{ role: 'router', flag: '--produce-linger-max', values: ['20ms', '0', '100ms'] },
    under: '600 requests of 100 logs a second by 100 tenants, 24 partitions',
    ...{ pool: HUNDREDS, load: { ...STEADY, inFlight: 2000, rate: 600, tenants: 100 } },
    shape: MANY,
  },
  {
    ...{ role: 'router', flag: '--partition-bytes-per-second', values: ['8MiB', '1MiB', '64MiB'] },
    under: '40 requests of 1,000 logs a second by one tenant, 24 partitions',
    ...{ pool: LOGS, load: STEADY, shape: MANY, warmSeconds: 8 },
  },
  {
    ...{ role: 'ingester', flag: '--kafka-fetch-wait', values: ['200ms', '10ms', '1s'] },
    under: '5 requests of 1,000 logs a second by 12 tenants, 24 partitions',
    ...{ pool: LOGS, load: { ...STEADY, rate: 5, tenants: 12 }, shape: MANY },
  },
  {
    ...{ role: 'ingester', flag: '--flush-interval', values: ['1m', '500ms', '2s'] },
    under: '40 requests of 1,000 logs a second by 12 tenants, 6 partitions',
    ...{ pool: LOGS, load: { ...STEADY, tenants: 12 }, shape: SIX },
  },
  {
    ...{ role: 'ingester', flag: '--flush-workers', values: ['1', '2'] },
    under: 'saturated with requests of 1,000 logs by 12 tenants, 6 partitions',
    ...{ pool: LOGS, load: { connections: 4, inFlight: 16, tenants: 12 }, shape: SIX },
  },
]
