/**
 * Three real ingesters on a real Kafka, Redis and S3 server: one is killed and comes back, one is drained,
 * while rows come in all the time. In the end DuckDB counts what the chains name: every row once.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, it } from 'node:test'

import { batchChunks } from '@tributary/common/columnar/chunk-list'
import { DuckDBInstance } from '@duckdb/node-api'

import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { writeEnvelopeWithBatch } from '@tributary/common/columnar/envelope-writer'
import { systemClock } from '@tributary/common/clock'
import { KafkaPartitionLog } from '@tributary/common/log/kafka-partition-log'
import { createLogger } from '@tributary/common/logger'
import type { Lease } from '@tributary/common/metadata/cluster-metadata'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { redisSettings } from '@tributary/common/config/redis-settings'
import { parseSettings } from '@tributary/common/config/setting-table'
import { Signal } from '@tributary/common/signal'
import { startKafka, type KafkaServer } from '@tributary/common/testing/kafka-server'
import { payload } from '@tributary/common/testing/payloads'
import { RedisServer } from '@tributary/common/testing/redis-server'
import { startS3Server, type S3Server } from '@tributary/common/testing/s3-server'
import { verifyStore } from '@tributary/common/verify/verify'

import { uncommittedPartitions } from '../src/cluster/chain-ends.ts'
import { handOverPausesMs } from '../src/cluster/partition-events.ts'
import { StoreCopy } from '../src/oracle/store-copy.ts'
import { TributaryProcess } from '../src/tributary-process.ts'

const TOPIC = 'ingesters'
const PARTITIONS = 6
const RECORDS = 50
const NAMES = ['alpha', 'beta', 'gamma']
const logger = createLogger({ name: 'test', level: 'silent' })

let folder: string
let kafka: KafkaServer
let redis: RedisServer
let s3: S3Server
let store: ObjectStore
let log: KafkaPartitionLog
let metadata: RedisClusterMetadata
let connection: RedisConnection
const running = new Map<string, TributaryProcess>()

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-ingesters-'))
  kafka = await startKafka({ isOwn: true })
  await kafka.createTopic(TOPIC, { partitions: PARTITIONS })
  redis = await RedisServer.start()
  s3 = await startS3Server()
  const { endpoint, region, credentials } = s3
  store = await openObjectStore(storeUrl(), { endpoint, region, credentials, logger })
  log = await KafkaPartitionLog.open({
    brokers: kafka.brokers,
    topic: TOPIC,
    profile: 'development',
    access: { clientId: 'test', connectTimeoutMs: 3000, tls: undefined, sasl: undefined },
  })
  const { config } = parseSettings(redisSettings, { args: [`--redis-url=${redis.url}`] })
  const address = redisAddress(config)
  connection = new RedisConnection({ address, name: 'test', timeoutMs: 1000, logger })
  metadata = new RedisClusterMetadata({ connection, prefix: config.redisPrefix })
})

after(async () => {
  for (const process of running.values()) await process.kill()
  connection.close()
  await log.close()
  await store.close()
  await s3.stop()
  await redis.stop()
  await kafka.stop()
  await rm(folder, { recursive: true, force: true })
})

function storeUrl(): string {
  return `s3://${s3.bucket}/ingesters`
}

async function start(name: string): Promise<TributaryProcess> {
  const process = TributaryProcess.spawn({
    role: 'ingester',
    environment: {
      AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
    },
    flags: [
      `--member-name=${name}`,
      `--data-dir=${join(folder, name)}`,
      `--object-store=${storeUrl()}`,
      `--object-store-endpoint=${s3.endpoint}`,
      `--kafka-brokers=${kafka.brokers.join(',')}`,
      `--kafka-topic=${TOPIC}`,
      '--kafka-profile=development',
      `--redis-url=${redis.url}`,
      '--admin-port=0',
      '--admin-grpc-port=0',
      '--flush-interval=1s',
      '--beat-interval=500ms',
      '--member-time-to-live=3s',
    ],
  })
  running.set(name, process)
  await process.untilReady()
  return process
}

/** Appends requests of unique rows to all partitions until told to stop; counts what was stored. */
async function produceUntil(stop: AbortSignal): Promise<number> {
  const builder = new BatchBuilder(Signal.logs)
  let calls = 0
  for (; !stop.aborted; calls++) {
    const arrivalUnixNano = systemClock.nowUnixNano()
    decodeInto(builder, payload('logs', { records: RECORDS, call: calls }), {
      tenant: 'default',
      arrivalUnixNano,
    })
    const batchId = Buffer.alloc(16)
    batchId.writeUInt32LE(calls + 1)
    const { signal, rowCount, otlpBytes, minTimeUnixNano, maxTimeUnixNano } = builder
    const header = { signal, rowCount, otlpBytes, minTimeUnixNano, maxTimeUnixNano }
    const bytes = writeEnvelopeWithBatch(
      { ...header, tenant: 'default', batchId, arrivalUnixNano, chunks: batchChunks([]) },
      builder,
    )
    builder.reset()
    await log.produce(calls % PARTITIONS, [bytes], 10_000)
    await systemClock.sleep(5)
  }
  return calls * RECORDS
}

/** Waits until the leases are as wanted; gives the time that it took, milliseconds. */
async function until(
  isSo: (owners: ReadonlyMap<number, string>) => boolean,
  limitMs: number,
): Promise<number> {
  const startMs = performance.now()
  for (;;) {
    const { leases, members } = await metadata.view()
    const names = new Map(members.map(({ id, name }) => [id, name]))
    const held = [...leases.values()].filter(({ owner }) => owner !== '')
    const owners = new Map(
      held.map(({ partition, owner }: Lease) => [partition, names.get(owner)!]),
    )
    const tookMs = performance.now() - startMs
    if (isSo(owners)) return tookMs
    assert.ok(tookMs < limitMs, `after ${tookMs} ms: ${JSON.stringify([...owners])}`)
    await systemClock.sleep(50)
  }
}

function isSharedBy(owners: ReadonlyMap<number, string>, ...names: string[]): boolean {
  const counts = names.map((name) => [...owners.values()].filter((owner) => owner === name).length)
  const share = PARTITIONS / names.length
  return owners.size === PARTITIONS && counts.every((count) => count === share)
}

async function countRows(): Promise<{ rows: number; distinct: number }> {
  const copy = await StoreCopy.create(store)
  const instance = await DuckDBInstance.create(':memory:')
  const connected = await instance.connect()
  try {
    const paths = (await copy.refresh()).map(({ path }) => `'${path}'`)
    const result = await connected.runAndReadAll(
      `select count(*), count(distinct trace_id || span_id) from read_parquet([${paths.join(',')}])`,
    )
    const [rows, distinct] = result.getRows()[0]!
    return { rows: Number(rows), distinct: Number(distinct) }
  } finally {
    connected.closeSync()
    instance.closeSync()
    await copy.remove()
  }
}

void it('three ingesters store every row once through kill, takeover, return and drain', async (t) => {
  for (const name of NAMES) await start(name)
  await until((owners) => isSharedBy(owners, ...NAMES), 30_000)
  const stopping = new AbortController()
  const produced = produceUntil(stopping.signal)
  await systemClock.sleep(2500)

  await running.get('alpha')!.kill()
  const takeoverMs = await until((owners) => {
    return owners.size === PARTITIONS && ![...owners.values()].includes('alpha')
  }, 15_000)
  t.diagnostic(`takeover after kill -9: ${Math.round(takeoverMs)} ms`)
  assert.ok(takeoverMs <= 10_000)

  await systemClock.sleep(1500)
  await start('alpha')
  await until((owners) => isSharedBy(owners, ...NAMES), 30_000)
  await systemClock.sleep(1500)
  assert.equal(await running.get('beta')!.stop(), 0)
  await until((owners) => isSharedBy(owners, 'alpha', 'gamma'), 20_000)
  await systemClock.sleep(1500)
  stopping.abort()
  const rows = await produced
  const pauses = handOverPausesMs([...running.values()].map(({ log: text }) => text))
  t.diagnostic(`pauses of handovers: ${pauses.map(Math.round).join(', ')} ms`)
  assert.ok(pauses.length >= 4)

  for (const name of ['alpha', 'gamma']) assert.equal(await running.get(name)!.stop(), 0)
  assert.deepEqual(await uncommittedPartitions(store, kafka, TOPIC), [])
  const report = await verifyStore(store)
  assert.deepEqual(report.problems, [])
  assert.deepEqual(await countRows(), { rows, distinct: rows })
})
