/**
 * Every setting of the product, in the order of the data path. A role takes the tables of its parts
 * (`standalone` all of them); help and docs/configuration.md are made from them. Bounds show what
 * has been thought through: less than the least does not work, more than the most was never meant.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { LOG_LEVELS } from '../logger.ts'
import { LIMITS } from '../limits.ts'
import { boolean, bytes, choice, duration, integer, port, text, url } from './setting.ts'
import type { SettingSection } from './setting-report.ts'
import type { ConfigOf, Relation } from './setting-table.ts'
import { credentialSettings, tenantSettings } from './tenant-settings.ts'
import { TLS_RELATIONS, tlsSettings } from './tls-settings.ts'
import { samplingSettings } from './tracing-settings.ts'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB
const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

export const dataSettings = {
  dataDir: text({
    default: './data',
    sentence: 'Folder of the write-ahead log and, unless --object-store says else, of the files.',
  }),
}

export const processSettings = {
  host: text({
    default: '127.0.0.1',
    sentence: 'Address to listen on; 0.0.0.0 takes telemetry from other machines.',
  }),
  adminPort: port({
    default: 9464,
    sentence: 'Port of health, Prometheus metrics and the flush command; 0 takes a free one.',
  }),
  adminGrpcPort: port({
    default: 9465,
    sentence: 'Port of gRPC health and reflection; 0 takes a free one.',
  }),
  stopTimeoutMs: duration({
    default: 25 * SECOND_MS,
    min: 0,
    max: HOUR_MS,
    sentence: 'A graceful stop may take this long: Kubernetes kills after 30s.',
  }),
  logLevel: choice(LOG_LEVELS, {
    default: 'info',
    sentence: 'Least severe log line that is written.',
  }),
}

export const receiveSettings = {
  otlpGrpcPort: port({ default: 4317, sentence: 'Port of OTLP/gRPC; 0 takes a free one.' }),
  otlpHttpPort: port({ default: 4318, sentence: 'Port of OTLP/HTTP; 0 takes a free one.' }),
  requestBytesMax: bytes({
    default: LIMITS.requestBytesMax,
    min: 64 * KIB,
    max: GIB,
    sentence: 'Largest request, on the wire and again after decompression.',
  }),
  inflightBytesMax: bytes({
    default: 256 * MIB,
    min: MIB,
    max: 64 * GIB,
    sentence: 'Bytes of all requests being received or not yet acknowledged; past it: retry later.',
  }),
  requestTimeoutMs: duration({
    default: 30 * SECOND_MS,
    min: 100,
    max: HOUR_MS,
    sentence: 'A received request must be stored within this time; past it: retry later.',
  }),
  connectionAgeMaxMs: duration({
    default: 30 * MINUTE_MS,
    min: SECOND_MS,
    max: 7 * DAY_MS,
    sentence: 'Connections are asked to reconnect at about this age, so that load spreads.',
  }),
  connectionsMax: integer({
    default: 20_000,
    min: 1,
    max: 1_000_000,
    sentence: 'Open connections per port; past it the one idle for longest is closed.',
  }),
  tenantsMax: integer({
    default: LIMITS.tenantsMax,
    min: 1,
    max: 100_000,
    sentence: 'Different tenants; past it a new one is told to retry later.',
  }),
  itemAgeMaxMs: duration({
    default: 0,
    min: 0,
    max: 36_500 * DAY_MS,
    sentence: 'Items older than this are rejected; 0 accepts any age.',
  }),
  itemAheadMaxMs: duration({
    default: DAY_MS,
    min: 0,
    max: 36_500 * DAY_MS,
    sentence: 'Items further in the future than this are rejected.',
  }),
}

export const walSettings = {
  walSync: choice(['always', 'group', 'none'], {
    default: 'group',
    sentence:
      'When an acknowledged request is safe on disk: after its own sync, a shared one, or not waited for.',
  }),
  walSyncIntervalMs: duration({
    default: 5,
    min: 0,
    max: SECOND_MS,
    sentence:
      'While several requests come at a time, shared syncs begin at least this far apart; a lone request never waits.',
  }),
  walSyncBytesMax: bytes({
    default: MIB,
    min: 4 * KIB,
    max: 64 * MIB,
    sentence:
      'One shared write and sync takes at most this much of what waits, but always one batch.',
  }),
  walSegmentBytesMax: bytes({
    default: LIMITS.walSegmentBytesMax,
    min: MIB,
    max: GIB,
    sentence: 'Size at which a segment of the write-ahead log is closed.',
  }),
  walBytesMax: bytes({
    default: 4 * GIB,
    min: 4 * MIB,
    max: 1024 * GIB,
    sentence: 'Disk that the write-ahead log may take; past it: retry later.',
  }),
}

export const flushSettings = {
  flushIntervalMs: duration({
    default: MINUTE_MS,
    min: 100,
    max: DAY_MS,
    sentence: 'Rows become files at this age at the latest.',
  }),
  flushBytes: bytes({
    default: 64 * MIB,
    min: 64 * KIB,
    max: 4 * GIB,
    sentence: 'Rows in memory that start a flush before their age does.',
  }),
  memtableBytesMax: bytes({
    default: 512 * MIB,
    min: MIB,
    max: 256 * GIB,
    sentence: 'All rows in memory, being flushed or not; past it: retry later.',
  }),
  flushWorkers: integer({
    default: 1,
    min: 1,
    max: 64,
    sentence: 'Worker threads that write Parquet.',
  }),
  fileBytesMax: bytes({
    default: 256 * MIB,
    min: MIB,
    max: 16 * GIB,
    sentence: 'A file is closed at this size.',
  }),
  fileRowsMax: integer({
    default: 4_000_000,
    min: 1000,
    max: 100_000_000,
    sentence: 'A file is closed at this many rows.',
  }),
  rowGroupRowsMax: integer({
    default: 128 * 1024,
    min: 1000,
    max: 10_000_000,
    sentence: 'Rows of a row group: what a reader skips or reads as one.',
  }),
  zstdLevel: integer({ default: 1, min: 1, max: 19, sentence: 'Compression level of the files.' }),
  attributeColumnsMax: integer({
    default: LIMITS.attributeColumnsMax,
    min: 1,
    max: 10_000,
    sentence: 'Attribute columns per file and namespace; rarer keys share one JSON column.',
  }),
  retryRemoval: boolean({
    default: true,
    sentence: 'Store a part of a request that a client sends again once.',
  }),
  retryWindowMs: duration({
    default: 10 * MINUTE_MS,
    min: SECOND_MS,
    max: DAY_MS,
    sentence: 'How long a part is remembered for that.',
  }),
}

export const storeSettings = {
  objectStore: url({
    default: undefined,
    schemes: ['file', 's3'],
    sentence:
      'Where the files go, file:///folder or s3://bucket/prefix; default: folder store in --data-dir.',
  }),
  objectStoreEndpoint: url({
    default: undefined,
    schemes: ['http', 'https'],
    sentence: 'Address of an S3-compatible server that is not AWS.',
  }),
  objectStoreRegion: text({ default: 'us-east-1', sentence: 'Region of the bucket.' }),
}

export const standaloneSettings = {
  ...dataSettings,
  ...processSettings,
  ...samplingSettings,
  ...receiveSettings,
  ...tlsSettings,
  ...credentialSettings,
  ...tenantSettings,
  ...walSettings,
  ...flushSettings,
  ...storeSettings,
}
export type StandaloneConfig = ConfigOf<typeof standaloneSettings>

export const STANDALONE_SECTIONS: readonly SettingSection[] = [
  { title: 'Process', table: { ...dataSettings, ...processSettings } },
  { title: 'Tracing', table: samplingSettings },
  { title: 'Receiving', table: receiveSettings },
  { title: 'TLS', table: tlsSettings },
  { title: 'Credentials', table: credentialSettings },
  { title: 'Tenants', table: tenantSettings },
  { title: 'Write-ahead log', table: walSettings },
  { title: 'Flushing', table: flushSettings },
  { title: 'Object store', table: storeSettings },
]

/** A relation of every role that takes telemetry. */
export function portsDiffer(
  config: Readonly<Record<'otlpGrpcPort' | 'otlpHttpPort' | 'adminPort' | 'adminGrpcPort', number>>,
): string | undefined {
  const { otlpGrpcPort, otlpHttpPort, adminPort, adminGrpcPort } = config
  const ports = [otlpGrpcPort, otlpHttpPort, adminPort, adminGrpcPort].filter(Boolean)
  return new Set(ports).size < ports.length
    ? '--otlp-grpc-port, --otlp-http-port, --admin-port and --admin-grpc-port must differ'
    : undefined
}

export const STANDALONE_RELATIONS: readonly Relation<typeof standaloneSettings>[] = [
  ...TLS_RELATIONS,
  (config) =>
    config.inflightBytesMax < 2 * config.requestBytesMax
      ? '--inflight-bytes-max must be twice --request-bytes-max: a request counts with the rows made of it'
      : undefined,
  (config) =>
    config.apiKeys === 'redis' || config.tenantSettings === 'redis'
      ? '--api-keys and --tenant-settings name files: standalone has no redis'
      : undefined,
  (config) =>
    config.memtableBytesMax < 2 * config.flushBytes
      ? '--memtable-bytes-max must be twice --flush-bytes: one part fills while another is flushed'
      : undefined,
  (config) =>
    config.memtableBytesMax < config.flushBytes + config.requestBytesMax
      ? '--memtable-bytes-max must hold one request of --request-bytes-max beside --flush-bytes'
      : undefined,
  (config) =>
    config.walBytesMax < 2 * config.walSegmentBytesMax
      ? '--wal-bytes-max must be twice --wal-segment-bytes-max: one segment fills while another is kept'
      : undefined,
  portsDiffer,
  (config) =>
    config.objectStoreEndpoint !== undefined && config.objectStore?.startsWith('s3://') !== true
      ? '--object-store-endpoint needs an --object-store that starts with s3://'
      : undefined,
]

/** Where the files go: what --object-store says, else the folder `store` in the data folder. */
export function objectStoreUrl(config: Pick<StandaloneConfig, 'dataDir' | 'objectStore'>): string {
  return config.objectStore ?? pathToFileURL(resolve(config.dataDir, 'store')).href
}
