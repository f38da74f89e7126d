/** What an ingester takes: the settings of its parts, in the order of the data path. */
import { clusterSettings } from './cluster-settings.ts'
import { KAFKA_RELATIONS, kafkaSettings } from './kafka-settings.ts'
import { REDIS_RELATIONS, redisSettings } from './redis-settings.ts'
import { choice, duration, integer } from './setting.ts'
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

const SECOND_MS = 1000

/** A log that Kafka has needs no sync of its own. */
const { walSegmentBytesMax, walBytesMax } = walSettings

export const ownershipSettings = {
  handOverTimeoutMs: duration({
    default: 10 * SECOND_MS,
    min: 100,
    max: 600 * SECOND_MS,
    sentence: 'A partition is given away after this time although its last rows are not committed.',
  }),
  gapPolicy: choice(['halt', 'skip'], {
    default: 'halt',
    sentence:
      'What becomes of a partition whose next records Kafka has deleted: it waits for a person, or skips them and says so in a commit.',
  }),
  quarantinePerHourMax: integer({
    default: 10,
    min: 0,
    max: 1_000_000,
    sentence:
      'Records of a partition that may be put aside unread per hour; past it the partition halts.',
  }),
}

export const ingesterSettings = {
  ...dataSettings,
  ...processSettings,
  ...clusterSettings,
  ...tlsSettings,
  ...ownershipSettings,
  walSegmentBytesMax,
  walBytesMax,
  ...flushSettings,
  ...storeSettings,
  ...kafkaSettings,
  ...redisSettings,
}
export type IngesterConfig = ConfigOf<typeof ingesterSettings>

export const INGESTER_SECTIONS: readonly SettingSection[] = [
  { title: 'Process', table: { ...dataSettings, ...processSettings } },
  { title: 'Cluster', table: clusterSettings },
  { title: 'TLS', table: tlsSettings },
  { title: 'Ownership', table: ownershipSettings },
  { title: 'Write-ahead log', table: { walSegmentBytesMax, walBytesMax } },
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
    config.objectStore === undefined
      ? '--object-store is needed: all ingesters of a cluster share it'
      : undefined,
  (config) =>
    config.memtableBytesMax < 2 * config.flushBytes
      ? '--memtable-bytes-max must be twice --flush-bytes: one part fills while another is flushed'
      : undefined,
  (config) =>
    config.walBytesMax < 2 * config.walSegmentBytesMax
      ? '--wal-bytes-max must be twice --wal-segment-bytes-max: one segment fills while another is kept'
      : undefined,
]
