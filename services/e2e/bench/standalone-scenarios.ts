/** The loads under which the standalone process is measured (design: performance, "Bars"). */
import type { PoolOptions } from '../src/load/payload-pool.ts'
import type { LoadShape } from './standalone-session.ts'

export interface Scenario {
  readonly pool: Omit<PoolOptions, 'startUnixNano'>
  readonly shape: LoadShape
  /** Proved by the smoke run. */
  readonly isSmoke?: boolean
}

const GRPC: LoadShape = { transport: 'grpc', connections: 4, inFlight: 8 }
const HTTP: LoadShape = { transport: 'http', connections: 8, inFlight: 8 }
/** Requests per second under way at most, in an open loop: two seconds' worth of the goal. */
const OPEN_IN_FLIGHT = 600

/**
 * 400,000 different rows: about what one flush holds. With fewer, a page holds rows of several rounds,
 * and whatever of them does not change compresses as no real rows do.
 */
const LOGS = { signal: 'logs', records: 1000, resources: 10, requests: 400 } as const
const SPANS = { signal: 'spans', records: 1000, resources: 10, requests: 400 } as const
const POINTS = { signal: 'metrics', records: 1000, resources: 10, requests: 400 } as const

function atRate(requestsPerSecond: number): LoadShape {
  return { ...GRPC, rate: requestsPerSecond, inFlight: OPEN_IN_FLIGHT }
}

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'logs gRPC, 1,000 records of 10 services': { pool: LOGS, shape: GRPC, isSmoke: true },
  'logs gRPC, open loop 300 requests/s': { pool: LOGS, shape: atRate(300) },
  'logs gRPC, open loop 150 requests/s': { pool: LOGS, shape: atRate(150) },
  'logs gRPC, open loop 75 requests/s': { pool: LOGS, shape: atRate(75) },
  'logs HTTP, 1,000 records of 10 services': { pool: LOGS, shape: HTTP },
  'logs JSON, 1,000 records of 10 services': {
    pool: { ...LOGS, encoding: 'json' },
    shape: { ...HTTP, transport: 'json' },
    isSmoke: true,
  },
  'spans gRPC, 1,000 of 10 services': { pool: SPANS, shape: GRPC, isSmoke: true },
  'points gRPC, 1,000 of 10 services': { pool: POINTS, shape: GRPC, isSmoke: true },
  'points gRPC, 1,000 with 100 sparse labels': {
    pool: { ...POINTS, sparseKeys: 100 },
    shape: GRPC,
  },
  'points gRPC, one-point requests': {
    pool: { signal: 'metrics', records: 1, requests: 50_000 },
    shape: { ...GRPC, connections: 16, inFlight: 64 },
  },
  'logs gRPC, one-record requests': {
    pool: { signal: 'logs', records: 1, requests: 50_000 },
    shape: { ...GRPC, connections: 16, inFlight: 64 },
  },
  'logs gRPC, 100-record requests': {
    pool: { ...LOGS, records: 100, requests: 4000 },
    shape: { ...GRPC, inFlight: 16 },
  },
  'logs gRPC, 10,000-record requests': {
    pool: { ...LOGS, records: 10_000, requests: 40 },
    shape: GRPC,
  },
  'logs gRPC, 1 KB requests at 10,000/s': {
    pool: { signal: 'logs', records: 3, requests: 50_000 },
    shape: { transport: 'grpc', connections: 8, rate: 10_000, inFlight: 2000 },
  },
  'logs gRPC, 1 MB requests at 100/s': {
    pool: { ...LOGS, records: 3400, requests: 120 },
    shape: { ...GRPC, rate: 100, inFlight: 100 },
  },
  'logs gRPC, 1 MB requests at 50/s': {
    pool: { ...LOGS, records: 3400, requests: 120 },
    shape: { ...GRPC, rate: 50, inFlight: 100 },
  },
  'logs gRPC, 10,000 resources': {
    pool: { ...LOGS, resources: 100, resourcesInAll: 10_000 },
    shape: GRPC,
  },
  'logs gRPC, 100,000 resources, 10 a request': {
    pool: { ...LOGS, resourcesInAll: 100_000 },
    shape: GRPC,
  },
  'logs gRPC, 100,000 resources': {
    pool: { ...LOGS, resources: 500, resourcesInAll: 100_000, requests: 200 },
    shape: GRPC,
  },
  'logs gRPC, 200 sparse keys': { pool: { ...LOGS, sparseKeys: 200 }, shape: GRPC },
  'logs gRPC, low cardinality': { pool: { ...LOGS, cardinality: 20 }, shape: GRPC },
  'logs gRPC, 10 KB records': {
    pool: { ...LOGS, records: 20, resources: 5, requests: 200, bodyBytesMin: 10_000 },
    shape: GRPC,
  },
}

/** Which row a scenario is compared with. */
export const COMPARED_WITH: Readonly<Record<string, string>> = {
  'logs gRPC, 10,000 resources': 'logs gRPC, 1,000 records of 10 services',
  'logs gRPC, 100,000 resources, 10 a request': 'logs gRPC, 1,000 records of 10 services',
  'logs gRPC, 100,000 resources': 'logs gRPC, 1,000 records of 10 services',
}

/** Small requests, beside the same receiver with a handler that does nothing. */
export const SMALL_REQUESTS: Scenario = {
  pool: { signal: 'logs', records: 10, requests: 20_000 },
  shape: { transport: 'grpc', connections: 64, inFlight: 64 },
}
