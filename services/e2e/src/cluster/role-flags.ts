/**
 * What each role is told on its command line in a test cluster: small bounds, so that every step of
 * the data path happens many times a minute, and short times, so that a takeover is seen in seconds.
 */
import type { ProcessRole } from './cluster-process.ts'
import { TOPIC } from './cluster-parts.ts'

export interface RoleFacts {
  readonly name: string
  readonly dataDir: string
  readonly storeUrl: string
  readonly storeEndpoint: string
  readonly brokers: readonly string[]
  readonly redisUrl: string
  readonly ports: { readonly grpc: number; readonly http: number; readonly admin: number }
}

/** A request may be tried again for as long as the longest outage lasts. */
const LONG_WINDOW = '--retry-window=6h'
const SMALL_FLUSHES = [
  '--flush-interval=2s',
  '--flush-bytes=1MiB',
  '--memtable-bytes-max=32MiB',
  LONG_WINDOW,
]
const SMALL_LOG = ['--wal-segment-bytes-max=1MiB', '--wal-bytes-max=64MiB']
const SMALL_REQUESTS = ['--request-bytes-max=4MiB']
const SHORT_LIVES = ['--beat-interval=500ms', '--member-time-to-live=3s']

export function roleFlags(role: ProcessRole, facts: RoleFacts): string[] {
  const admin = [`--admin-port=${String(facts.ports.admin)}`, '--admin-grpc-port=0']
  switch (role) {
    case 'standalone':
      return [
        ...admin,
        ...receiveFlags(facts),
        ...storeFlags(facts),
        ...SMALL_FLUSHES,
        ...SMALL_LOG,
        `--data-dir=${facts.dataDir}`,
      ]
    case 'router':
      return [...admin, ...receiveFlags(facts), ...clusterFlags(facts), LONG_WINDOW]
    case 'ingester':
      return [
        ...admin,
        ...storeFlags(facts),
        ...clusterFlags(facts),
        ...SMALL_FLUSHES,
        ...SMALL_LOG,
        `--data-dir=${facts.dataDir}`,
      ]
  }
}

function storeFlags({ storeUrl, storeEndpoint }: RoleFacts): string[] {
  return [`--object-store=${storeUrl}`, `--object-store-endpoint=${storeEndpoint}`]
}

function receiveFlags({ ports: { grpc, http } }: RoleFacts): string[] {
  return [`--otlp-grpc-port=${String(grpc)}`, `--otlp-http-port=${String(http)}`, ...SMALL_REQUESTS]
}

function clusterFlags({ name, brokers, redisUrl }: RoleFacts): string[] {
  return [
    `--member-name=${name}`,
    `--kafka-brokers=${brokers.join(',')}`,
    `--kafka-topic=${TOPIC}`,
    `--redis-url=${redisUrl}`,
    ...SHORT_LIVES,
  ]
}
