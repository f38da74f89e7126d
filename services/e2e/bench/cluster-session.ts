/**
 * A cluster under load, all of it on this machine: one broker, a Redis, an S3 server, a router and
 * ingesters, and the client. Settings are the defaults, but for the flags of the shape. "Settled": the
 * chains have reached the log's end before CPU is read, of router and ingesters apart. At the end
 * DuckDB counts the rows.
 */
import { DuckDBInstance } from '@duckdb/node-api'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { createLogger } from '@tributary/common/logger'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { startKafka, type KafkaServer } from '@tributary/common/testing/kafka-server'
import { RedisServer } from '@tributary/common/testing/redis-server'
import { startS3Server, type S3Server } from '@tributary/common/testing/s3-server'

import { uncommittedPartitions } from '../src/cluster/chain-ends.ts'
import { ownedSince } from '../src/cluster/partition-events.ts'
import { runLoad, type LoadResult } from '../src/load/load-run.ts'
import { grpcTransport } from '../src/load/load-transport.ts'
import type { PayloadPool } from '../src/load/payload-pool.ts'
import { StoreCopy } from '../src/oracle/store-copy.ts'
import { TributaryProcess } from '../src/tributary-process.ts'
import { childrenOf, resetPeakRss, usageOf } from './process-usage.ts'

export interface ClusterShape {
  readonly partitions: number
  readonly ingesters: number
  /** Beside those that every process of the role has. */
  readonly flags?: Readonly<Partial<Record<'router' | 'ingester', readonly string[]>>>
}

export interface ClusterLoad {
  readonly connections: number
  readonly inFlight: number
  /** Requests per second; undefined sends the next when an answer comes. */
  readonly rate?: number
  readonly tenants?: number
}

export interface ClusterPhase {
  readonly load: LoadResult
  /** CPU from the first request until all is committed, by who used it, in microseconds. */
  readonly cpuUs: Readonly<Record<'router' | 'ingester' | 'broker' | 'store' | 'client', number>>
  readonly settledSeconds: number
  readonly peakRssBytes: Readonly<Record<'router' | 'ingester', number>>
  /** What the processes counted meanwhile. */
  readonly counts: Readonly<Record<keyof typeof COUNTERS, number>>
}

type UsedCpu = Readonly<Record<'router' | 'ingester' | 'broker' | 'store', number>>

interface Used extends Pick<ClusterPhase, 'counts' | 'peakRssBytes'> {
  readonly cpuUs: UsedCpu
}

/** How lines of `/metrics` begin. */
const COUNTERS = {
  producedBytes: 'tributary_router_produced_bytes_total ',
  produces: 'tributary_router_produces_total ',
  batches: 'tributary_router_produced_records_total ',
  fileBytes: 'tributary_ingester_file_bytes_total ',
  files: 'tributary_ingester_files_total ',
  commits: 'tributary_ingester_commits_total ',
  suppressed: 'tributary_ingester_suppressed_rows_total ',
  puts: 'tributary_store_requests_total{operation="put",',
  filePuts: 'tributary_store_requests_total{operation="put_file",',
  gets: 'tributary_store_requests_total{operation="get",',
  heads: 'tributary_store_requests_total{operation="head",',
  lists: 'tributary_store_requests_total{operation="list",',
} as const

const TOPIC = 'bench'
const SETTLE_TIMEOUT_MS = 180_000
const OWNED_TIMEOUT_MS = 60_000
const POLL_MS = 50

export class ClusterSession {
  readonly #folder: string
  readonly #kafka: KafkaServer
  readonly #redis: RedisServer
  readonly #s3: S3Server
  readonly #store: ObjectStore
  readonly #shape: ClusterShape
  readonly #routers: TributaryProcess[] = []
  readonly ingesters: TributaryProcess[] = []
  #acknowledged = 0
  #hasFailures = false

  private constructor(
    folder: string,
    parts: { kafka: KafkaServer; redis: RedisServer; s3: S3Server; store: ObjectStore },
    shape: ClusterShape,
  ) {
    this.#folder = folder
    this.#kafka = parts.kafka
    this.#redis = parts.redis
    this.#s3 = parts.s3
    this.#store = parts.store
    this.#shape = shape
  }

  static async start(shape: ClusterShape): Promise<ClusterSession> {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-bench-'))
    const [kafka, redis, s3] = await Promise.all([
      startKafka({ isOwn: true, javaOptions: [] }),
      RedisServer.start(),
      startS3Server(),
    ])
    const { endpoint, region, credentials } = s3
    const logger = createLogger({ name: 'bench', level: 'error' })
    const store = await openObjectStore(storeUrl(s3), { endpoint, region, credentials, logger })
    const session = new ClusterSession(folder, { kafka, redis, s3, store }, shape)
    try {
      await kafka.createTopic(TOPIC, {
        partitions: shape.partitions,
        config: { 'message.timestamp.type': 'LogAppendTime' },
      })
      for (let n = 1; n <= shape.ingesters; n++)
        await session.startIngester(`ingester-${String(n)}`)
      await session.#startRouter()
      await session.untilOwned(0)
      return session
    } catch (error) {
      await session.stop()
      throw error
    }
  }

  async startIngester(name: string): Promise<TributaryProcess> {
    const { accessKeyId, secretAccessKey } = this.#s3.credentials
    const ingester = TributaryProcess.spawn({
      role: 'ingester',
      environment: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
      flags: [
        ...this.#flags(name),
        `--data-dir=${join(this.#folder, name)}`,
        `--object-store=${storeUrl(this.#s3)}`,
        `--object-store-endpoint=${this.#s3.endpoint}`,
        ...(this.#shape.flags?.ingester ?? []),
      ],
    })
    this.ingesters.push(ingester)
    await ingester.untilReady()
    return ingester
  }

  /** Waits until each partition was owned after `sinceUnixMs`. @returns when each was */
  async untilOwned(sinceUnixMs: number, count = this.#shape.partitions): Promise<number[]> {
    const endMs = performance.now() + OWNED_TIMEOUT_MS
    for (;;) {
      const owned = ownedSince(this.#logs(), sinceUnixMs)
      if (owned.size >= count) return [...owned.values()]
      assert.ok(performance.now() < endMs, `only ${String(owned.size)} partitions are owned`)
      await sleep(POLL_MS)
    }
  }

  #logs(): string[] {
    return this.ingesters.map(({ log }) => log)
  }

  /** Sends without settling. */
  async send(pool: PayloadPool, shape: ClusterLoad, seconds: number): Promise<LoadResult> {
    const address = `127.0.0.1:${String(this.#routers[0]!.port('grpc'))}`
    const transport = grpcTransport(address, pool.signal, shape.connections, shape.tenants)
    const { inFlight, rate } = shape
    const load = await runLoad({ pool, transport, seconds, rate, inFlight })
    transport.close()
    this.#acknowledged += load.records
    // what was refused for lack of room on our side was never sent
    if (Object.keys(load.failures).some((status) => status !== 'unsent')) this.#hasFailures = true
    return load
  }

  /** Load, flush, wait for the commits, and what that cost. */
  async measure(pool: PayloadPool, shape: ClusterLoad, seconds: number): Promise<ClusterPhase> {
    for (const { pid } of [...this.#routers, ...this.ingesters]) resetPeakRss(pid)
    const before = await this.#used()
    const client = process.cpuUsage()
    const startMs = performance.now()
    const load = await this.send(pool, shape, seconds)
    const { user, system } = process.cpuUsage(client)
    await this.settle()
    const settledSeconds = (performance.now() - startMs) / 1000
    const { counts, cpuUs, peakRssBytes } = await this.#usedSince(before)
    const phase = { load, settledSeconds, counts, peakRssBytes }
    return { ...phase, cpuUs: { ...cpuUs, client: user + system } }
  }

  /** What a cluster without load uses meanwhile. */
  async idle(seconds: number): Promise<Pick<ClusterPhase, 'counts'> & { cpuUs: UsedCpu }> {
    await this.settle()
    const before = await this.#used()
    await sleep(seconds * 1000)
    return this.#usedSince(before)
  }

  /** Flushes until the chains have reached the log's end. */
  async settle(): Promise<void> {
    const endMs = performance.now() + SETTLE_TIMEOUT_MS
    for (;;) {
      for (const { adminUrl } of this.ingesters.filter(({ isRunning }) => isRunning)) {
        const answer = await fetch(`${adminUrl}/flush`, { method: 'POST' })
        assert.ok(answer.ok, `flush: ${await answer.text()}`)
      }
      const behind = await uncommittedPartitions(this.#store, this.#kafka, TOPIC)
      if (behind.length === 0) return
      assert.ok(performance.now() < endMs, behind.join('; '))
    }
  }

  /** DuckDB finds every acknowledged row in the committed files, once. */
  async verify(): Promise<void> {
    await this.settle()
    const copy = await StoreCopy.create(this.#store)
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    try {
      const paths = (await copy.refresh()).map(({ path }) => `'${path}'`)
      const result = await connection.runAndReadAll(
        `select count(*) from read_parquet([${paths.join(',')}], hive_partitioning = false, union_by_name = true)`,
      )
      const stored = Number(result.getRows()[0]![0])
      if (this.#hasFailures) assert.ok(stored >= this.#acknowledged, 'no row is lost')
      else assert.equal(stored, this.#acknowledged, 'every row is stored once')
    } finally {
      connection.closeSync()
      instance.closeSync()
      await copy.remove()
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#routers, ...this.ingesters].map((each) => each.kill()))
    await this.#store.close()
    await Promise.all([this.#kafka.stop(), this.#redis.stop(), this.#s3.stop()])
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #startRouter(): Promise<void> {
    const router = TributaryProcess.spawn({
      role: 'router',
      flags: [
        ...[...this.#flags('router-1'), '--otlp-grpc-port=0', '--otlp-http-port=0'],
        ...(this.#shape.flags?.router ?? []),
      ],
    })
    this.#routers.push(router)
    await router.untilReady()
  }

  #flags(name: string): string[] {
    return [
      ...[`--member-name=${name}`, '--admin-port=0', '--admin-grpc-port=0'],
      `--kafka-brokers=${this.#kafka.brokers.join(',')}`,
      `--kafka-topic=${TOPIC}`,
      '--kafka-profile=development',
      `--redis-url=${this.#redis.url}`,
    ]
  }

  async #used(): Promise<Used> {
    const sum = (pids: readonly number[], pick: (pid: number) => number): number =>
      pids.reduce((total, pid) => total + pick(pid), 0)
    const cpu = (pids: readonly number[]): number => sum(pids, (pid) => usageOf(pid).cpuUs)
    const peak = (pids: readonly number[]): number => sum(pids, (pid) => usageOf(pid).peakRssBytes)
    const routers = this.#routers.map(({ pid }) => pid)
    const running = this.ingesters.filter(({ isRunning }) => isRunning)
    const ingesters = running.map(({ pid }) => pid)
    const counts = await this.#counts(running)
    return {
      counts,
      peakRssBytes: { router: peak(routers), ingester: peak(ingesters) },
      cpuUs: {
        ...{ router: cpu(routers), ingester: cpu(ingesters) },
        ...{ broker: cpu(childrenNamed('java')), store: cpu(childrenNamed('versitygw')) },
      },
    }
  }

  async #usedSince(before: Used): Promise<Used> {
    const { counts, cpuUs, peakRssBytes } = await this.#used()
    return {
      counts: differenceOf(counts, before.counts),
      cpuUs: differenceOf(cpuUs, before.cpuUs),
      peakRssBytes,
    }
  }

  async #counts(ingesters: readonly TributaryProcess[]): Promise<ClusterPhase['counts']> {
    const texts = await Promise.all(
      [...this.#routers, ...ingesters].map(async ({ adminUrl }) =>
        (await fetch(`${adminUrl}/metrics`)).text(),
      ),
    )
    const lines = texts.flatMap((text) => text.split('\n'))
    return Object.fromEntries(
      Object.entries(COUNTERS).map(([name, metric]) => [
        name,
        lines
          .filter((line) => line.startsWith(metric))
          .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0),
      ]),
    ) as ClusterPhase['counts']
  }
}

function storeUrl({ bucket }: S3Server): string {
  return `s3://${bucket}/bench`
}

function differenceOf<Name extends string>(
  after: Readonly<Record<Name, number>>,
  before: Readonly<Record<Name, number>>,
): Record<Name, number> {
  const names = Object.keys(after) as Name[]
  return Object.fromEntries(names.map((name) => [name, after[name] - before[name]])) as Record<
    Name,
    number
  >
}

/** Processes that this one has started, by the beginning of their names. */
function childrenNamed(name: string): number[] {
  return childrenOf(process.pid).filter((pid) =>
    readFileSync(`/proc/${String(pid)}/comm`, 'utf8').startsWith(name),
  )
}
