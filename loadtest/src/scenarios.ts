/**
 * The loads, as a table. Rates are those of a production cluster; SCALE multiplies them, so that one
 * figure fits them to a laptop. Arrival is open loop: a slow server does not slow the clients down.
 */
export interface Scenario {
  readonly description: string
  readonly send: 'http' | 'grpc' | 'grpc-objects'
  /** Payload kinds; a request takes one of them in turn. */
  readonly payloads: readonly PayloadKind[]
  /** Requests per second over time, times SCALE; or a number of connections that each send once a second. */
  readonly arrival:
    | { readonly stages: readonly { readonly rate: number; readonly seconds: number }[] }
    | { readonly connections: number; readonly seconds: number }
  /** Tenants that take turns; 0: none named. */
  readonly tenants?: number
  /** Acknowledgements must be faster, milliseconds, for the OK ones; undefined: not judged. */
  readonly p99Ms?: number
  /** Answers that are right besides OK and "retry later". */
  readonly allowedHttp?: readonly number[]
}

export interface PayloadKind {
  readonly signal: 'logs' | 'traces' | 'metrics'
  readonly items: number
  readonly resources: number
  readonly bodyBytes: number
}

const KILOBYTE: PayloadKind = { signal: 'logs', items: 3, resources: 1, bodyBytes: 120 }
const HUNDRED: PayloadKind = { signal: 'logs', items: 100, resources: 5, bodyBytes: 120 }
const MEGABYTE: PayloadKind = { signal: 'logs', items: 3000, resources: 10, bodyBytes: 130 }
const SPANS: PayloadKind = { signal: 'traces', items: 100, resources: 5, bodyBytes: 60 }
const POINTS: PayloadKind = { signal: 'metrics', items: 200, resources: 2, bodyBytes: 0 }
const MIXED: readonly PayloadKind[] = [
  KILOBYTE,
  HUNDRED,
  SPANS,
  POINTS,
  { signal: 'logs', items: 1000, resources: 10, bodyBytes: 130 },
  { signal: 'logs', items: 20, resources: 1, bodyBytes: 10_000 },
]

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  smoke: {
    description: 'a few requests of plain objects over gRPC: does everything work at all',
    send: 'grpc-objects',
    payloads: [{ signal: 'logs', items: 10, resources: 1, bodyBytes: 100 }],
    arrival: { stages: [{ rate: 5, seconds: 5 }] },
  },
  'small-frequent': {
    description: '1 KB requests, 10,000 a second, HTTP',
    send: 'http',
    payloads: [KILOBYTE],
    arrival: { stages: [{ rate: 10_000, seconds: 60 }] },
    p99Ms: 500,
  },
  'small-frequent-grpc': {
    description: '1 KB requests, 10,000 a second, gRPC',
    send: 'grpc',
    payloads: [KILOBYTE],
    arrival: { stages: [{ rate: 10_000, seconds: 60 }] },
    p99Ms: 500,
  },
  'large-rare': {
    description: '1 MB requests, 100 a second',
    send: 'http',
    payloads: [MEGABYTE],
    arrival: { stages: [{ rate: 100, seconds: 60 }] },
    p99Ms: 1000,
  },
  mixed: {
    description: 'all signals, 1 KB to 350 KB, 1,000 a second',
    send: 'http',
    payloads: MIXED,
    arrival: { stages: [{ rate: 1000, seconds: 60 }] },
    p99Ms: 1000,
  },
  'mixed-grpc': {
    description: 'the same over gRPC',
    send: 'grpc',
    payloads: MIXED,
    arrival: { stages: [{ rate: 1000, seconds: 60 }] },
    p99Ms: 1000,
  },
  ramp: {
    description: '100 to 10,000 requests of 100 records a second within two minutes',
    send: 'http',
    payloads: [HUNDRED],
    arrival: {
      stages: [
        { rate: 100, seconds: 10 },
        { rate: 10_000, seconds: 120 },
      ],
    },
  },
  burst: {
    description: 'ten times the rate for a minute, between two minutes of the plain rate',
    send: 'http',
    payloads: [HUNDRED],
    arrival: {
      stages: [
        { rate: 500, seconds: 60 },
        { rate: 5000, seconds: 0 },
        { rate: 5000, seconds: 60 },
        { rate: 500, seconds: 0 },
        { rate: 500, seconds: 60 },
      ],
    },
  },
  'sustained-double': {
    description: 'twice what the machine can do, five minutes: bounded memory, honest answers',
    send: 'http',
    payloads: [HUNDRED],
    arrival: { stages: [{ rate: 12_000, seconds: 300 }] },
  },
  'connections-100': connections(100),
  'connections-500': connections(500),
  'connections-1000': connections(1000),
  'payload-100mb': {
    description:
      'one request of 100 MB now and then: 413 at the default limit, OK where it is raised',
    send: 'http',
    payloads: [{ signal: 'logs', items: 100_000, resources: 10, bodyBytes: 950 }],
    arrival: { connections: 1, seconds: 20 },
    allowedHttp: [413],
  },
  'memory-pressure': {
    description: '200 connections that all send 1 MB at once, again and again',
    send: 'http',
    payloads: [MEGABYTE],
    arrival: { connections: 200, seconds: 60 },
  },
  tenants: {
    description: '100 tenants take turns, 1,000 requests of 100 records a second',
    send: 'http',
    payloads: [HUNDRED],
    arrival: { stages: [{ rate: 1000, seconds: 60 }] },
    tenants: 100,
  },
}

function connections(count: number): Scenario {
  return {
    description: `${count} connections that each send 100 records a second over gRPC`,
    send: 'grpc',
    payloads: [HUNDRED],
    arrival: { connections: count, seconds: 60 },
    p99Ms: 1000,
  }
}
