/** What an ingester takes: the settings of its parts, in the order of the data path. */
import { clusterSettings } from './cluster-settings.ts'
import { KAFKA_RELATIONS, kafkaSettings } from './kafka-settings.ts'
import { REDIS_RELATIONS, redisSettings } from './redis-settings.ts'
import { bytes, choice, duration, integer } from './setting.ts'
import type { SettingSection } from './setting-report.ts'
import type { ConfigOf, Relation } from './setting-table.ts'
import {
  dataSettings,
  flushSettings,
  processSettings,
  storeSettings,
  walSettings,
} from './settings.ts'
import { TLS_RELATIONS, tlsSettings } from './tls-settings.ts'
import { tracingSettings } from './tracing-settings.ts'

const MIB = 1024 * 1024
const SECOND_MS = 1000

export const ownershipSettings = {
  gapPolicy: choice(['halt', 'skip'], {
    default: 'halt',
    sentence:
      'Where Kafka deleted records before they were fetched: halt the partition until a person acts, or skip them and commit the gap with its reason.',
  }),
  quarantinePerHourMax: integer({
    default: 100,
    min: 0,
    max: 1_000_000,
    sentence:
      'Batches of a partition that may be put aside an hour because nobody can read or store them; past it the partition halts.',
  }),
  handOverTimeoutMs: duration({
    default: 10 * SECOND_MS,
    min: 0,
    max: 600 * SECOND_MS,
    sentence:
      'A partition that is given away is flushed within this time, or goes without: Kafka has the rest.',
  }),
  freshnessIntervalMs: duration({
    default: 30 * SECOND_MS,
    min: SECOND_MS,
    max: 3600 * SECOND_MS,
    sentence: 'How often the store is told at most how far a partition is.',
  }),
}

/** The WAL of an ingester is a copy of what Kafka has: it is never waited for. */
export const walCacheSettings = {
  walSegmentBytesMax: bytes({
    default: 16 * MIB,
    min: MIB,
    max: 1024 * MIB,
    sentence: 'Size at which a file of the write-ahead log is closed.',
  }),
  walBytesMax: walSettings.walBytesMax,
}

export const ingesterSettings = {
  ...dataSettings,
  ...processSettings,
  ...tracingSettings,
  ...clusterSettings,
  ...tlsSettings,
  ...ownershipSettings,
  ...walCacheSettings,
  ...flushSettings,
  ...storeSettings,
  ...kafkaSettings,
  ...redisSettings,
}
export type IngesterConfig = ConfigOf<typeof ingesterSettings>

export const INGESTER_SECTIONS: readonly SettingSection[] = [
  { title: 'Process', table: { ...dataSettings, ...processSettings } },
  { title: 'Tracing', table: tracingSettings },
  { title: 'Cluster', table: clusterSettings },
  { title: 'TLS', table: tlsSettings },
  { title: 'Ownership', table: ownershipSettings },
  { title: 'Local copy of the log', table: walCacheSettings },
  { title: 'Flushing', table: flushSettings },
  { title: 'Object store', table: storeSettings },
  { title: 'Kafka', table: kafkaSettings },
  { title: 'Redis', table: redisSettings },
]

export const INGESTER_RELATIONS: readonly Relation<typeof ingesterSettings>[] = [
  ...TLS_RELATIONS,
  ...KAFKA_RELATIONS,
  ...REDIS_RELATIONS,
  (config) =>
    config.memtableBytesMax < 2 * config.flushBytes
      ? '--memtable-bytes-max must be twice --flush-bytes: one part fills while another is flushed'
      : undefined,
  (config) =>
    config.walBytesMax < 2 * config.walSegmentBytesMax
      ? '--wal-bytes-max must be twice --wal-segment-bytes-max: one file fills while another is kept'
      : undefined,
  (config) =>
    config.adminPort !== 0 && config.adminPort === config.adminGrpcPort
      ? '--admin-port and --admin-grpc-port must differ'
      : undefined,
  (config) =>
    config.objectStore === undefined
      ? '--object-store must name where all ingesters publish'
      : undefined,
  (config) =>
    config.objectStoreEndpoint !== undefined && config.objectStore?.startsWith('s3://') !== true
      ? '--object-store-endpoint needs an --object-store that starts with s3://'
      : undefined,
]
