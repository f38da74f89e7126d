/**
 * The log in Kafka: the port (partition-log.ts) over connections of kafkajs and requests of our own.
 *
 *     TopicMap       who leads what, which topic it is        <- everybody
 *     KafkaProducer  one sender per broker
 *     KafkaReader    one fetch loop per broker
 *     TopicAdmin     the topic's settings, at the start and when a size was refused
 */
import { AppError } from '../errors.ts'
import { systemClock } from '../clock.ts'
import type { Clock } from '../clock.ts'
import type { KafkaConfig, KafkaProfile } from '../config/kafka-settings.ts'
import { addressText } from './broker-link.ts'
import type { BrokerAddress, KafkaAccess } from './broker-socket.ts'
import { parseBrokerAddress } from './broker-socket.ts'
import { KafkaError, NO_ERROR, toLogError } from './kafka-error.ts'
import { LogTime } from './log-time.ts'
import { newestAppendRequest } from './newest-append-request.ts'
import { KafkaProducer } from './kafka-producer.ts'
import type { ProduceCounts } from './kafka-producer.ts'
import { KafkaReader } from './kafka-reader.ts'
import { EARLIEST, LATEST, offsetsRequest } from './offsets-request.ts'
import type { OffsetQuestion } from './offsets-request.ts'
import type {
  LogReader,
  LogReaderHandler,
  OffsetBounds,
  PartitionLog,
  Traceparents,
} from './partition-log.ts'
import { BATCH_HEADER_BYTES, RECORD_FRAMING_BYTES_MAX } from './record-batch.ts'
import { TopicAdmin } from './topic-admin.ts'
import { checkTopic } from './topic-check.ts'
import type { TopicFinding } from './topic-check.ts'
import { TopicMap } from './topic-map.ts'

export interface KafkaLogOptions {
  /** host:port of some brokers; the others are found through them. */
  readonly brokers: readonly string[]
  readonly topic: string
  readonly access: KafkaAccess
  /** What the topic must be like; default production. */
  readonly profile?: KafkaProfile
  /** How long a broker holds a fetch where it has nothing; default 200 ms. */
  readonly fetchWaitMs?: number
  readonly clock?: Clock
}

/** What the settings say. */
export function kafkaLogOptions(config: KafkaConfig): KafkaLogOptions {
  const { kafkaSaslMechanism, kafkaSaslUsername, kafkaSaslPasswordFile } = config
  const { kafkaCaFile, kafkaCertFile, kafkaKeyFile } = config
  return {
    brokers: config.kafkaBrokers.split(','),
    topic: config.kafkaTopic,
    profile: config.kafkaProfile,
    fetchWaitMs: config.kafkaFetchWaitMs,
    access: {
      clientId: config.kafkaClientId,
      connectTimeoutMs: config.kafkaConnectTimeoutMs,
      tls: config.kafkaTls
        ? { caFile: kafkaCaFile, certFile: kafkaCertFile, keyFile: kafkaKeyFile }
        : undefined,
      sasl:
        kafkaSaslMechanism === 'none'
          ? undefined
          : {
              mechanism: kafkaSaslMechanism,
              username: kafkaSaslUsername ?? '',
              passwordFile: kafkaSaslPasswordFile ?? '',
            },
    },
  }
}

/** Also how long a partition that is resumed may wait for a fetch of others to end. */
const FETCH_WAIT_MS = 200
const FETCH_BYTES_MAX = 8 * 1024 * 1024
const PARTITION_BYTES_MAX = 1024 * 1024
const BOUNDS_TIMEOUT_MS = 2000

export class KafkaPartitionLog implements PartitionLog {
  readonly topic: string
  readonly logId: string
  readonly time: LogTime
  readonly #options: KafkaLogOptions
  readonly #clock: Clock
  readonly #map: TopicMap
  readonly #admin: TopicAdmin
  readonly #producer: KafkaProducer
  readonly #readers = new Set<KafkaReader>()
  #batchBytesMax: number
  #isRereading = false

  private constructor(
    options: KafkaLogOptions,
    map: TopicMap,
    admin: TopicAdmin,
    batchBytesMax: number,
  ) {
    this.topic = options.topic
    this.logId = logIdOf(map)
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.time = new LogTime(this.#clock)
    this.#map = map
    this.#admin = admin
    this.#batchBytesMax = batchBytesMax
    this.#producer = new KafkaProducer({
      map,
      access: options.access,
      clock: this.#clock,
      time: this.time,
      batchBytesMax: () => this.#batchBytesMax,
      onTooLarge: () => void this.#rereadBound(),
    })
  }

  /**
   * Connects, finds the topic and checks it.
   * @throws AppError log_unavailable: not now; log_unfit: the topic is missing or not fit, or we have no
   *   right to it, with the findings in `details`; invalid_config for an address that is none
   */
  static async open(options: KafkaLogOptions): Promise<KafkaPartitionLog> {
    const bootstrap = options.brokers.map(parseBrokerAddress)
    const { topic, access } = options
    const map = new TopicMap({ topic, bootstrap, access, clock: options.clock ?? systemClock })
    try {
      await map.start()
      const admin = new TopicAdmin(bootstrap, access)
      const settings = await admin.settingsOf(topic)
      const facts = { topic, settings, partitions: map.partitions }
      const findings = checkTopic(facts, options.profile ?? 'production')
      refuseUnfit(topic, findings)
      const log = new KafkaPartitionLog(options, map, admin, batchBoundOf(settings))
      await log.#askNewestAppend()
      return log
    } catch (error) {
      map.close()
      throw toLogError(error, { topic, brokers: options.brokers })
    }
  }

  get recordBytesMax(): number {
    return this.#batchBytesMax - BATCH_HEADER_BYTES - RECORD_FRAMING_BYTES_MAX
  }

  get partitionCount(): number {
    return this.#map.partitionCount
  }

  /** For metrics. */
  get counts(): Readonly<ProduceCounts> {
    return this.#producer.counts
  }

  leaderOf(partition: number): string | undefined {
    const leader = this.#map.leaderOf(partition)
    return leader === undefined ? undefined : addressText(leader.address)
  }

  produce(
    partition: number,
    values: readonly Uint8Array[],
    timeoutMs: number,
    traceparents?: Traceparents,
  ): Promise<bigint> {
    return this.#producer.produce(partition, values, timeoutMs, traceparents)
  }

  async bounds(): Promise<ReadonlyMap<number, OffsetBounds>> {
    // also how a topic that was made anew is noticed within a second
    const failure = await this.#map.refresh().catch((error: unknown) => error)
    if (this.#map.foreign !== undefined) throw this.#map.foreign
    const questions = this.#questionsByBroker()
    const answers = await Promise.allSettled(
      [...questions].map(([address, asked]) => this.#askBounds(address, asked)),
    )
    const bounds = new Map<number, OffsetBounds>()
    let reason: unknown = failure ?? new KafkaError('no partition has a leader', 'moved')
    for (const answer of answers) {
      if (answer.status === 'rejected') reason = answer.reason
      else for (const [partition, found] of answer.value) bounds.set(partition, found)
    }
    if (bounds.size === 0) throw toLogError(reason, { topic: this.topic })
    return bounds
  }

  /** The topic's settings and replicas, judged. @throws AppError log_unavailable, log_unfit */
  async check(profile: KafkaProfile): Promise<readonly TopicFinding[]> {
    const settings = await this.#admin.settingsOf(this.topic)
    return checkTopic({ topic: this.topic, settings, partitions: this.#map.partitions }, profile)
  }

  openReader(handler: LogReaderHandler): Promise<LogReader> {
    const reader = new KafkaReader({
      map: this.#map,
      access: this.#options.access,
      clock: this.#clock,
      handler,
      limits: () => ({
        waitMs: this.#options.fetchWaitMs ?? FETCH_WAIT_MS,
        bytesMax: FETCH_BYTES_MAX,
        partitionBytesMax: Math.max(PARTITION_BYTES_MAX, this.#batchBytesMax),
      }),
      boundsOf: (partition) => this.#boundsOf(partition),
      onClose: (closed) => this.#readers.delete(closed),
    })
    this.#readers.add(reader)
    return Promise.resolve(reader)
  }

  async close(): Promise<void> {
    this.#producer.close()
    for (const reader of [...this.#readers]) await reader.close()
    this.#map.close()
  }

  /** Without an answer, or from brokers before 3.0, the time is known with the first produce. */
  async #askNewestAppend(): Promise<void> {
    const answers = await Promise.allSettled(
      [...this.#questionsByBroker()].map(([address, questions]) =>
        this.#map.links
          .to(address)
          .exchange(newestAppendRequest(this.topic, questions), BOUNDS_TIMEOUT_MS),
      ),
    )
    for (const answer of answers) {
      if (answer.status === 'fulfilled') this.time.isAfter(answer.value.newestUnixMs)
    }
  }

  async #boundsOf(partition: number): Promise<OffsetBounds> {
    const leader = this.#map.leaderOf(partition)
    if (leader === undefined) throw new KafkaError('no leader', 'moved')
    const question = { partition, leaderEpoch: leader.epoch }
    const found = (await this.#askBounds(leader.address, [question])).get(partition)
    if (found === undefined) throw new KafkaError('no bounds', 'busy')
    return found
  }

  #questionsByBroker(): ReadonlyMap<BrokerAddress, readonly OffsetQuestion[]> {
    const byId = new Map<number, { address: BrokerAddress; questions: OffsetQuestion[] }>()
    for (let partition = 0; partition < this.#map.partitionCount; partition++) {
      const leader = this.#map.leaderOf(partition)
      if (leader === undefined) continue
      const broker = byId.get(leader.id) ?? { address: leader.address, questions: [] }
      broker.questions.push({ partition, leaderEpoch: leader.epoch })
      byId.set(leader.id, broker)
    }
    return new Map([...byId.values()].map(({ address, questions }) => [address, questions]))
  }

  /** Bounds of the partitions for which both answers are good. */
  async #askBounds(
    address: BrokerAddress,
    questions: readonly OffsetQuestion[],
  ): Promise<ReadonlyMap<number, OffsetBounds>> {
    const link = this.#map.links.to(address)
    const [earliest, latest] = await Promise.all(
      ([EARLIEST, LATEST] as const).map((time) =>
        link.exchange(offsetsRequest(this.topic, questions, time), BOUNDS_TIMEOUT_MS),
      ),
    )
    const bounds = new Map<number, OffsetBounds>()
    for (const { partition } of questions) {
      const start = earliest?.results.get(partition)
      const end = latest?.results.get(partition)
      if (start?.errorCode !== NO_ERROR || end?.errorCode !== NO_ERROR) continue
      bounds.set(partition, { start: start.offset, end: end.offset })
    }
    return bounds
  }

  async #rereadBound(): Promise<void> {
    if (this.#isRereading) return
    this.#isRereading = true
    try {
      this.#batchBytesMax = batchBoundOf(await this.#admin.settingsOf(this.topic))
    } catch {
      // the next batch that is refused asks again
    } finally {
      this.#isRereading = false
    }
  }
}

/** Cluster and topic: both are unique over all of Kafka, and never change. */
function logIdOf(map: TopicMap): string {
  const id = `${map.clusterId}_${map.topicId}`
  // ids made by Kafka never begin so; those of hand-made clusters may
  return /^[A-Za-z0-9_]/.test(id) ? id : `_${id}`
}

function batchBoundOf(settings: ReadonlyMap<string, string>): number {
  return Number(settings.get('max.message.bytes'))
}

function refuseUnfit(topic: string, findings: readonly TopicFinding[]): void {
  const failures = findings.filter(({ level }) => level === 'failure')
  if (failures.length === 0) return
  throw new AppError('log_unfit', 'the topic is not fit to carry telemetry', {
    details: { topic, findings: failures },
  })
}
