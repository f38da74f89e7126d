/**
 * What each role is told on its command line in a test cluster: small bounds, so that every step of
 * the data path happens many times a minute, and short times, so that a takeover is seen in seconds.
 */
export interface RoleFacts {
  readonly dataDir: string
  readonly storeUrl: string
  readonly storeEndpoint: string
  readonly ports: { readonly grpc: number; readonly http: number; readonly admin: number }
}

const SMALL_FLUSHES = [
  '--flush-interval=2s',
  '--flush-bytes=1MiB',
  '--memtable-bytes-max=32MiB',
  '--request-bytes-max=4MiB',
]
/** A request may be tried again for as long as the longest outage lasts. */
const LONG_WINDOW = '--retry-window=6h'

function storeFlags({ storeUrl, storeEndpoint }: RoleFacts): string[] {
  return [`--object-store=${storeUrl}`, `--object-store-endpoint=${storeEndpoint}`]
}

function portFlags({ grpc, http, admin }: RoleFacts['ports']): string[] {
  return [
    `--otlp-grpc-port=${String(grpc)}`,
    `--otlp-http-port=${String(http)}`,
    `--admin-port=${String(admin)}`,
    '--admin-grpc-port=0',
  ]
}

export function standaloneFlags(facts: RoleFacts): string[] {
  return [
    `--data-dir=${facts.dataDir}`,
    ...portFlags(facts.ports),
    ...storeFlags(facts),
    ...SMALL_FLUSHES,
    LONG_WINDOW,
    '--wal-segment-bytes-max=1MiB',
    '--wal-bytes-max=64MiB',
  ]
}
