/**
 * Stores a record in Kafka and reads it back, on a topic of its own that is deleted afterwards: a record
 * that is no telemetry has no place among telemetry. Tells how long an acknowledgement takes, and how
 * far our clock is from that of the brokers.
 */
import { systemClock } from '@tributary/common/clock'
import type { KafkaConfig } from '@tributary/common/config/kafka-settings'
import { AppError } from '@tributary/common/errors'
import { parseBrokerAddress } from '@tributary/common/log/broker-socket'
import { KafkaPartitionLog, kafkaLogOptions } from '@tributary/common/log/kafka-partition-log'
import type { KafkaLogOptions } from '@tributary/common/log/kafka-partition-log'
import { TopicAdmin } from '@tributary/common/log/topic-admin'
import { BATCH_BYTES_MIN } from '@tributary/common/log/topic-check'

export interface KafkaTrial {
  /** Of records that all replicas in sync have, median. */
  readonly acknowledgedMs: number
  /** Broker's clock less ours, at most this far from the truth. */
  readonly offsetMs: number
  readonly uncertaintyMs: number
}

const RECORDS = 7
const TIMEOUT_MS = 15_000
const OPEN_PAUSE_MS = 200
const HOUR_MS = 3_600_000

/** The topic that is made for a trial. */
export function trialTopic(config: KafkaConfig): string {
  return `${config.kafkaTopic.slice(0, 240)}-doctor`
}

/**
 * @param replication of the topic, as the real one has
 * @throws AppError log_unfit where the topic may not be made; log_unavailable
 */
export async function tryKafka(config: KafkaConfig, replication: number): Promise<KafkaTrial> {
  const options = { ...kafkaLogOptions(config), topic: trialTopic(config) }
  const { topic, brokers, access } = options
  const admin = new TopicAdmin(brokers.map(parseBrokerAddress), access)
  await admin.create({
    topic,
    partitions: 1,
    replication,
    config: {
      'retention.ms': String(HOUR_MS),
      'max.message.bytes': String(BATCH_BYTES_MIN),
      'min.insync.replicas': String(Math.max(1, replication - 1)),
    },
  })
  try {
    return await tryTopic(options)
  } finally {
    await admin.delete(topic)
  }
}

async function tryTopic(options: KafkaLogOptions): Promise<KafkaTrial> {
  const log = await openSoon({ ...options, profile: 'development' })
  try {
    const sent: Sent[] = []
    for (let record = 0; record < RECORDS; record++) {
      const startMs = performance.now()
      const startUnixMs = Date.now()
      const offset = await log.produce(0, [Buffer.from('tributary doctor')], TIMEOUT_MS)
      sent.push({ offset, startUnixMs, tookMs: performance.now() - startMs })
    }
    // the first one opens connections and finds the leader
    const quickest = sent.slice(1).sort((left, right) => left.tookMs - right.tookMs)
    const { offset, startUnixMs, tookMs } = quickest[0]!
    const appendUnixMs = await appendTime(log, offset)
    const uncertaintyMs = tookMs / 2
    return {
      acknowledgedMs: quickest[quickest.length >> 1]!.tookMs,
      offsetMs: appendUnixMs - (startUnixMs + uncertaintyMs),
      uncertaintyMs,
    }
  } finally {
    await log.close()
  }
}

interface Sent {
  readonly offset: bigint
  readonly startUnixMs: number
  readonly tookMs: number
}

/** A topic that was just made may not be known to every broker yet. */
async function openSoon(options: KafkaLogOptions): Promise<KafkaPartitionLog> {
  for (const deadlineMs = performance.now() + TIMEOUT_MS; ;) {
    try {
      return await KafkaPartitionLog.open(options)
    } catch (error) {
      if (performance.now() >= deadlineMs) throw error
      await systemClock.sleep(OPEN_PAUSE_MS)
    }
  }
}

async function appendTime(log: KafkaPartitionLog, offset: bigint): Promise<number> {
  const found = Promise.withResolvers<number>()
  const reader = await log.openReader({
    records: (_, records) => {
      const record = records.find((candidate) => candidate.offset === offset)
      if (record !== undefined) found.resolve(record.appendUnixMs)
    },
    outOfRange: () => {
      found.reject(new AppError('log_unavailable', 'a record that was acknowledged is not there'))
    },
    // it goes on by itself, or the time is over
    trouble: () => undefined,
  })
  const timer = setTimeout(() => {
    found.reject(new AppError('log_unavailable', 'a record that was acknowledged does not come'))
  }, TIMEOUT_MS)
  try {
    reader.resume(0, offset)
    return await found.promise
  } finally {
    clearTimeout(timer)
    await reader.close()
  }
}
