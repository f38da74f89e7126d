/** Real Kafka and Redis with routers in front, as far as the log: no ingester reads it, the test does. */
import { setTimeout as sleep } from 'node:timers/promises'

import { chunkEntries } from '@tributary/common/columnar/chunk-list'
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { KafkaPartitionLog } from '@tributary/common/log/kafka-partition-log'
import { startKafka, type KafkaServer } from '@tributary/common/testing/kafka-server'
import { RedisServer } from '@tributary/common/testing/redis-server'

import { TributaryProcess } from '../tributary-process.ts'

export interface SiteOptions {
  readonly brokers: 1 | 3
  readonly topic: string
  readonly partitions: number
  /** Default: one on each broker. */
  readonly replication?: number
  readonly topicConfig?: Readonly<Record<string, string>>
}

/** An envelope in the log. */
export interface StoredEnvelope {
  readonly partition: number
  readonly header: EnvelopeHeader
}

const CLOCK_HOOK = import.meta.resolve('../cluster/clock-hook.ts')
const READ_TIMEOUT_MS = 20_000
const POLL_MS = 20

export class RouterSite {
  readonly kafka: KafkaServer
  readonly redis: RedisServer
  readonly topic: string
  readonly routers: TributaryProcess[] = []

  private constructor(kafka: KafkaServer, redis: RedisServer, topic: string) {
    this.kafka = kafka
    this.redis = redis
    this.topic = topic
  }

  static async start({ brokers, topic, ...options }: SiteOptions): Promise<RouterSite> {
    const [kafka, redis] = await Promise.all([
      startKafka({ brokers, isOwn: true }),
      RedisServer.start(),
    ])
    const site = new RouterSite(kafka, redis, topic)
    await site.createTopic(topic, options)
    return site
  }

  async createTopic(
    topic: string,
    { partitions, replication, topicConfig }: Omit<SiteOptions, 'brokers' | 'topic'>,
  ): Promise<void> {
    await this.kafka.createTopic(topic, {
      partitions,
      ...(replication === undefined ? {} : { replication }),
      config: { 'message.timestamp.type': 'LogAppendTime', ...topicConfig },
    })
  }

  /** Starts a router and waits until it serves. */
  async router(
    name: string,
    flags: readonly string[] = [],
    topic = this.topic,
  ): Promise<TributaryProcess> {
    const router = this.spawnRouter(name, flags, topic)
    await router.untilReady()
    return router
  }

  /** @param clockHours how far its wall clock is ahead; the monotonic one is left alone */
  spawnRouter(
    name: string,
    flags: readonly string[] = [],
    topic = this.topic,
    clockHours = 0,
  ): TributaryProcess {
    const ports = ['otlp-grpc', 'otlp-http', 'admin', 'admin-grpc'].map(
      (port) => `--${port}-port=0`,
    )
    const router = TributaryProcess.spawn({
      role: 'router',
      nodeOptions: clockHours === 0 ? [] : [`--import=${CLOCK_HOOK}?hours=${String(clockHours)}`],
      flags: [
        ...ports,
        `--member-name=${name}`,
        `--kafka-brokers=${this.kafka.brokers.join(',')}`,
        `--kafka-topic=${topic}`,
        '--kafka-profile=development',
        `--redis-url=${this.redis.url}`,
        ...flags,
      ],
    })
    this.routers.push(router)
    return router
  }

  /** All envelopes that are in the log now, by partition and offset. */
  async stored(topic = this.topic): Promise<StoredEnvelope[]> {
    const log = await KafkaPartitionLog.open({
      brokers: this.kafka.brokers,
      topic,
      access: { clientId: 'test', connectTimeoutMs: 3000 },
      profile: 'development',
    })
    const found = new Map<number, StoredEnvelope[]>()
    const reader = await log.openReader({
      records: (partition, records) => {
        const envelopes = found.get(partition) ?? []
        found.set(partition, envelopes)
        for (const { value } of records) {
          envelopes.push({ partition, header: decodeEnvelope(new Uint8Array(value)).header })
        }
      },
      outOfRange: () => undefined,
      trouble: () => undefined,
    })
    try {
      const bounds = await log.bounds()
      for (const partition of bounds.keys()) reader.resume(partition, 0n)
      const isRead = (): boolean =>
        [...bounds].every(([partition, { end }]) => (found.get(partition)?.length ?? 0) >= end)
      const endMs = performance.now() + READ_TIMEOUT_MS
      while (!isRead()) {
        if (performance.now() > endMs) throw new Error('the log could not be read in time')
        await sleep(POLL_MS)
      }
    } finally {
      await reader.close()
      await log.close()
    }
    return [...found].sort(([left], [right]) => left - right).flatMap(([, envelopes]) => envelopes)
  }

  async stop(): Promise<void> {
    await Promise.all(this.routers.map((router) => router.kill()))
    await Promise.all([this.kafka.stop(), this.redis.stop()])
  }
}

/** `<partition> <hash>` of every chunk, each once, sorted. */
export function chunkPlaces(envelopes: readonly StoredEnvelope[]): string[] {
  const places = envelopes.flatMap(({ partition, header }) =>
    chunkEntries(header.chunks).map(
      ({ hash }) => `${String(partition)} ${Buffer.from(hash).toString('hex')}`,
    ),
  )
  return [...new Set(places)].sort()
}

/** Rows in the log, each chunk counted once: a repeat is dropped by who reads it. */
export function distinctRows(envelopes: readonly StoredEnvelope[]): number {
  const rows = new Map<string, number>()
  for (const { header } of envelopes) {
    for (const { hash, rowCount } of chunkEntries(header.chunks)) {
      rows.set(Buffer.from(hash).toString('hex'), rowCount)
    }
  }
  return [...rows.values()].reduce((sum, count) => sum + count, 0)
}

/** Whether the router says that it is ready. */
export async function isReady(router: TributaryProcess): Promise<boolean> {
  const answer = await fetch(`${router.adminUrl}/readyz`)
  await answer.arrayBuffer()
  return answer.status === 200
}

/** Waits for a condition. @throws Error after `timeoutMs` */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const endMs = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`not within ${String(timeoutMs)} ms: ${what}`)
    await sleep(POLL_MS)
  }
}
