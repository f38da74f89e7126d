/** What a router takes: the settings of its parts, in the order of the data path. */
import { clusterSettings } from './cluster-settings.ts'
import { KAFKA_RELATIONS, kafkaSettings } from './kafka-settings.ts'
import { REDIS_RELATIONS, redisSettings } from './redis-settings.ts'
import { bytes, duration } from './setting.ts'
import type { SettingSection } from './setting-report.ts'
import type { ConfigOf, Relation } from './setting-table.ts'
import { flushSettings, portsDiffer, processSettings, receiveSettings } from './settings.ts'
import { credentialSettings, tenantSettings } from './tenant-settings.ts'
import { TLS_RELATIONS, tlsSettings } from './tls-settings.ts'
import { samplingSettings } from './tracing-settings.ts'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB
const SECOND_MS = 1000

export const routingSettings = {
  produceTimeoutMs: duration({
    // below the 10 s after which OTLP clients give up by default
    default: 8 * SECOND_MS,
    min: 100,
    max: 600 * SECOND_MS,
    sentence:
      'A batch must be stored in Kafka within this time, retries included; past it: retry later.',
  }),
  produceLingerMaxMs: duration({
    default: 20,
    min: 0,
    max: SECOND_MS,
    sentence:
      'While produces are many, a partition without one waits up to this long for more rows; while they are few, never.',
  }),
  partitionBytesPerSecond: bytes({
    default: 8 * MIB,
    min: KIB,
    max: 64 * GIB,
    sentence:
      'OTLP a second of one tenant and signal that one partition takes: what is more spreads over several.',
  }),
  retryWindowMs: flushSettings.retryWindowMs,
}

export const routerSettings = {
  ...processSettings,
  ...samplingSettings,
  ...clusterSettings,
  ...receiveSettings,
  ...tlsSettings,
  ...credentialSettings,
  ...tenantSettings,
  ...routingSettings,
  ...kafkaSettings,
  ...redisSettings,
}
export type RouterConfig = ConfigOf<typeof routerSettings>

export const ROUTER_SECTIONS: readonly SettingSection[] = [
  { title: 'Process', table: processSettings },
  { title: 'Tracing', table: samplingSettings },
  { title: 'Cluster', table: clusterSettings },
  { title: 'Receiving', table: receiveSettings },
  { title: 'TLS', table: tlsSettings },
  { title: 'Credentials', table: credentialSettings },
  { title: 'Tenants', table: tenantSettings },
  { title: 'Routing', table: routingSettings },
  { title: 'Kafka', table: kafkaSettings },
  { title: 'Redis', table: redisSettings },
]

export const ROUTER_RELATIONS: readonly Relation<typeof routerSettings>[] = [
  ...TLS_RELATIONS,
  ...KAFKA_RELATIONS,
  ...REDIS_RELATIONS,
  (config) =>
    config.inflightBytesMax < 4 * config.requestBytesMax
      ? '--inflight-bytes-max must be four times --request-bytes-max: one partition may hold a quarter of it'
      : undefined,
  (config) =>
    config.produceTimeoutMs > config.requestTimeoutMs
      ? '--produce-timeout must not be above --request-timeout: nobody waits for it any more'
      : undefined,
  portsDiffer,
]
