/**
 * A cluster as a person has it at hand: one broker, one Redis, one S3 server, routers and ingesters as
 * processes without anything between, and the `tributary` command to run against it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

import { runCommandLine } from '@tributary/cli/command-line'
import { createLogger } from '@tributary/common/logger'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { startKafka, type KafkaServer } from '@tributary/common/testing/kafka-server'
import { RedisServer } from '@tributary/common/testing/redis-server'
import { startS3Server, type S3Server } from '@tributary/common/testing/s3-server'

import { TributaryProcess } from '../tributary-process.ts'
import { TOPIC } from './cluster-parts.ts'

const POLL_MS = 100

export interface CommandOutcome {
  readonly status: number
  readonly out: string
  readonly err: string
}

/** Of a cluster before this one; whoever started it stops it. */
export interface KeptParts {
  /** With its topic. */
  readonly kafka?: KafkaServer
  readonly s3?: S3Server
}

interface SmallClusterParts {
  readonly folder: string
  readonly kafka: KafkaServer
  readonly redis: RedisServer
  readonly s3: S3Server
  readonly store: ObjectStore
  readonly kept: KeptParts
}

export class SmallCluster {
  readonly folder: string
  readonly kafka: KafkaServer
  readonly redis: RedisServer
  readonly s3: S3Server
  readonly store: ObjectStore
  readonly processes = new Map<string, TributaryProcess>()
  readonly #kept: KeptParts

  private constructor({ folder, kafka, redis, s3, store, kept }: SmallClusterParts) {
    this.#kept = kept
    this.folder = folder
    this.kafka = kafka
    this.redis = redis
    this.s3 = s3
    this.store = store
  }

  static async start(partitions: number, kept: KeptParts = {}): Promise<SmallCluster> {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-small-'))
    const [kafka, redis, s3] = await Promise.all([
      kept.kafka ?? startKafka({ isOwn: true }),
      RedisServer.start(),
      kept.s3 ?? startS3Server(),
    ])
    const config = { 'message.timestamp.type': 'LogAppendTime' }
    if (kept.kafka === undefined) await kafka.createTopic(TOPIC, { partitions, config })
    const { credentials } = s3
    // commands find them where everybody's do
    process.env['AWS_ACCESS_KEY_ID'] = credentials.accessKeyId
    process.env['AWS_SECRET_ACCESS_KEY'] = credentials.secretAccessKey
    const store = await openPrefix(s3, 'small')
    return new SmallCluster({ folder, kafka, redis, s3, store, kept })
  }

  /** Another store of the bucket. */
  openStore(prefix: string): Promise<ObjectStore> {
    return openPrefix(this.s3, prefix)
  }

  /** Starts a role and waits until it is ready. */
  async add(
    role: 'router' | 'ingester',
    name: string,
    flags: readonly string[] = [],
    failpoints?: string,
  ): Promise<TributaryProcess> {
    const ports = role === 'router' ? ['--otlp-grpc-port=0', '--otlp-http-port=0'] : []
    const own =
      role === 'router' ? [] : [...this.storeFlags, `--data-dir=${join(this.folder, name)}`]
    const started = TributaryProcess.spawn({
      role,
      flags: [
        ...ports,
        ...own,
        '--admin-port=0',
        '--admin-grpc-port=0',
        `--member-name=${name}`,
        ...this.clusterFlags,
        '--beat-interval=300ms',
        '--member-time-to-live=2s',
        ...flags,
      ],
      ...(failpoints === undefined ? {} : { failpoints }),
    })
    this.processes.set(name, started)
    await started.untilReady()
    return started
  }

  get storeFlags(): readonly string[] {
    return [`--object-store=${this.store.url}`, `--object-store-endpoint=${this.s3.endpoint}`]
  }

  get redisFlags(): readonly string[] {
    return [`--redis-url=${this.redis.url}`]
  }

  get kafkaFlags(): readonly string[] {
    const brokers = `--kafka-brokers=${this.kafka.brokers.join(',')}`
    return [brokers, `--kafka-topic=${TOPIC}`, '--kafka-profile=development']
  }

  get clusterFlags(): readonly string[] {
    return [...this.kafkaFlags, ...this.redisFlags]
  }

  /** Runs `tributary <args>` in this process: a second of loading less for each. */
  async run(...args: readonly string[]): Promise<CommandOutcome> {
    const texts = { out: '', err: '' }
    const sink = (name: 'out' | 'err'): Writable =>
      new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          texts[name] += chunk.toString('utf8')
          done()
        },
      })
    const terminal = {
      out: sink('out'),
      err: sink('err'),
      isInteractive: false,
      columns: undefined,
    }
    const status = await runCommandLine(args, terminal, 'test')
    return { status, ...texts }
  }

  /** Sends log records with bodies `<mark>-<number>` through a router; they are acknowledged. */
  async sendLogs(router: string, mark: string, count: number): Promise<void> {
    const port = this.processes.get(router)!.port('http')
    const nowNanos = BigInt(Date.now()) * 1_000_000n
    const logRecords = Array.from({ length: count }, (_, index) => ({
      timeUnixNano: String(nowNanos + BigInt(index + 1)),
      body: { stringValue: `${mark}-${String(index)}` },
    }))
    const resource = { attributes: [{ key: 'service.name', value: { stringValue: mark } }] }
    const answer = await fetch(`http://127.0.0.1:${String(port)}/v1/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`not taken: ${String(answer.status)} ${text}`)
  }

  /** kill -9 of all processes at once. */
  async kill(): Promise<void> {
    await Promise.all([...this.processes.values()].map((each) => each.kill()))
  }

  async stop(): Promise<void> {
    const { kafka, s3 } = this.#kept
    await this.kill()
    await this.store.close()
    await this.redis.stop()
    if (s3 === undefined) await this.s3.stop()
    if (kafka === undefined) await this.kafka.stop()
    await rm(this.folder, { recursive: true, force: true })
  }
}

function openPrefix(s3: S3Server, prefix: string): Promise<ObjectStore> {
  const { endpoint, region, credentials, bucket } = s3
  const logger = createLogger({ name: 'test', level: 'silent' })
  return openObjectStore(`s3://${bucket}/${prefix}`, { endpoint, region, credentials, logger })
}

/** Asks until it is so. @throws Error with the last answer after `timeoutMs` */
export async function untilSo<Answer>(
  ask: () => Promise<Answer>,
  isSo: (answer: Answer) => boolean,
  timeoutMs = 20_000,
): Promise<Answer> {
  for (const deadlineMs = performance.now() + timeoutMs; ;) {
    const answer = await ask()
    if (isSo(answer)) return answer
    if (performance.now() > deadlineMs) throw new Error(`never so: ${JSON.stringify(answer)}`)
    await sleep(POLL_MS)
  }
}
