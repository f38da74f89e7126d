/**
 * Whether a topic is fit to carry telemetry: what `doctor` shows, and what a role refuses to start on.
 * Each finding names the setting, what it is and what to do.
 */
import type { KafkaProfile } from '../config/kafka-settings.ts'
import { LIMITS } from '../limits.ts'
import type { PartitionMetadata } from './metadata-request.ts'

export interface TopicFinding {
  /** A setting of the topic, or `replication`, `partitions`. */
  readonly check: string
  readonly level: 'ok' | 'warning' | 'failure'
  readonly found: string
  /** What to do; '' where all is well. */
  readonly remedy: string
}

export interface TopicFacts {
  readonly topic: string
  readonly settings: ReadonlyMap<string, string>
  readonly partitions: readonly PartitionMetadata[]
}

const HOUR_MS = 3_600_000
/** A record must hold the largest item with its resource and the batch around it. */
export const BATCH_BYTES_MIN = LIMITS.itemBytesMax + 256 * 1024
const REPLICATION_MIN = 3
const IN_SYNC_MIN = 2
/** Kafka's words for "no bound". */
const UNBOUNDED = -1

/** All checks of a topic, failures and the fulfilled ones alike. */
export function checkTopic(facts: TopicFacts, profile: KafkaProfile): readonly TopicFinding[] {
  const { topic, settings } = facts
  const setting = (name: string): string => settings.get(name) ?? ''
  const alter = (name: string, value: string): string =>
    `kafka-configs.sh --alter --entity-type topics --entity-name ${topic} --add-config ${name}=${value}`
  const demand = (name: string, wanted: string, isFulfilled: boolean): TopicFinding => ({
    check: name,
    level: isFulfilled ? 'ok' : 'failure',
    found: setting(name),
    remedy: isFulfilled ? '' : alter(name, wanted),
  })
  const timestampType = setting('message.timestamp.type')
  const compression = setting('compression.type')
  return [
    demand('message.timestamp.type', 'LogAppendTime', timestampType === 'LogAppendTime'),
    demand('cleanup.policy', 'delete', setting('cleanup.policy') === 'delete'),
    demand('compression.type', 'producer', ['producer', 'uncompressed'].includes(compression)),
    demand(
      'max.message.bytes',
      String(BATCH_BYTES_MIN),
      Number(setting('max.message.bytes')) >= BATCH_BYTES_MIN,
    ),
    checkUnclean(setting('unclean.leader.election.enable'), profile, alter),
    checkInSync(Number(setting('min.insync.replicas')), profile, alter),
    checkReplication(facts, profile),
    checkRetention(Number(setting('retention.ms')), profile, alter),
    checkRetentionBytes(Number(setting('retention.bytes')), alter),
    { check: 'partitions', level: 'ok', found: String(facts.partitions.length), remedy: '' },
  ]
}

type Alter = (name: string, value: string) => string

/** A lack that production refuses and development is warned of. */
function grade(isFulfilled: boolean, profile: KafkaProfile): TopicFinding['level'] {
  if (isFulfilled) return 'ok'
  return profile === 'production' ? 'failure' : 'warning'
}

function checkUnclean(found: string, profile: KafkaProfile, alter: Alter): TopicFinding {
  const check = 'unclean.leader.election.enable'
  const level = grade(found === 'false', profile)
  return { check, level, found, remedy: level === 'ok' ? '' : alter(check, 'false') }
}

function checkInSync(found: number, profile: KafkaProfile, alter: Alter): TopicFinding {
  const check = 'min.insync.replicas'
  const level = grade(found >= IN_SYNC_MIN, profile)
  const remedy = level === 'ok' ? '' : alter(check, String(IN_SYNC_MIN))
  return { check, level, found: String(found), remedy }
}

function checkReplication({ topic, partitions }: TopicFacts, profile: KafkaProfile): TopicFinding {
  const least = Math.min(...partitions.map(({ replicas }) => replicas.length))
  const missing = partitions.filter(({ replicas, inSync }) => inSync.length < replicas.length)
  const found = missing.length === 0 ? String(least) : `${least}, ${missing.length} not in sync`
  if (least < REPLICATION_MIN) {
    const remedy = `make ${topic} with replication ${REPLICATION_MIN}: kafka-reassign-partitions.sh`
    return { check: 'replication', level: grade(false, profile), found, remedy }
  }
  if (missing.length === 0) return { check: 'replication', level: 'ok', found, remedy: '' }
  const remedy = 'wait for the replicas, or look after the brokers that lag'
  return { check: 'replication', level: 'warning', found, remedy }
}

/** Records must outlive the longest outage of ingesters and store, and the rebuild after it. */
function checkRetention(found: number, profile: KafkaProfile, alter: Alter): TopicFinding {
  const check = 'retention.ms'
  const isForever = found === UNBOUNDED
  if (isForever || found >= 24 * HOUR_MS) {
    return { check, level: 'ok', found: String(found), remedy: '' }
  }
  const level = found >= HOUR_MS ? 'warning' : grade(false, profile)
  return { check, level, found: String(found), remedy: alter(check, String(72 * HOUR_MS)) }
}

/** Retention by size drops records that nobody has read when more comes than was thought of. */
function checkRetentionBytes(found: number, alter: Alter): TopicFinding {
  const check = 'retention.bytes'
  const isUnbounded = found === UNBOUNDED
  return {
    check,
    level: isUnbounded ? 'ok' : 'warning',
    found: String(found),
    remedy: isUnbounded ? '' : alter(check, String(UNBOUNDED)),
  }
}
