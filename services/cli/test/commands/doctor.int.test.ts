import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'

import { startKafka } from '@tributary/common/testing/kafka-server'
import type { KafkaServer } from '@tributary/common/testing/kafka-server'
import { RedisServer } from '@tributary/common/testing/redis-server'
import { S3_ACCESS_DENIED, S3FaultProxy } from '@tributary/common/testing/s3-fault-proxy'
import { startS3Server } from '@tributary/common/testing/s3-server'
import type { S3Server } from '@tributary/common/testing/s3-server'

import { runCommandLine } from '../../src/command-line.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { MemoryTerminal } from '../memory-terminal.ts'

/** What docs/format/redis.md says that a user needs. */
const RULES =
  '~{tributary}:* resetchannels -@all +@read +@write +@scripting +@connection -@dangerous +info +time'
const GOOD_TOPIC = { 'message.timestamp.type': 'LogAppendTime', 'max.message.bytes': '4194304' }

let folder: string
let kafka: KafkaServer
let redis: RedisServer
let s3: S3Server
let proxy: S3FaultProxy

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-doctor-test-'))
  const [ownKafka, ownRedis, ownS3] = await Promise.all([
    startKafka({ isOwn: true }),
    RedisServer.start({
      user: { name: 'tributary', password: 'right', rules: RULES },
    }),
    startS3Server(),
  ])
  kafka = ownKafka
  redis = ownRedis
  s3 = ownS3
  proxy = await S3FaultProxy.start(s3)
  await kafka.createTopic('good', { partitions: 6, config: GOOD_TOPIC })
  process.env['AWS_ACCESS_KEY_ID'] = s3.credentials.accessKeyId
  process.env['AWS_SECRET_ACCESS_KEY'] = s3.credentials.secretAccessKey
})

after(async () => {
  await proxy.stop()
  await s3.stop()
  await redis.stop()
  await kafka.stop()
  rmSync(folder, { recursive: true, force: true })
})

interface Report {
  readonly status: number
  readonly verdict: string
  readonly findings: readonly Finding[]
  /** The findings of a check, as `level: found`, and their remedies. */
  readonly of: (area: string, check: string) => string
}

async function doctor(...flags: readonly string[]): Promise<Report> {
  const { status, text } = await run('--json', ...flags)
  const report = JSON.parse(text) as Pick<Report, 'verdict' | 'findings'>
  return {
    ...report,
    status,
    of: (area, check) =>
      report.findings
        .filter((finding) => finding.area === area && finding.check === check)
        .map(({ level, found, remedy }) => `${level}: ${found} -> ${remedy}`)
        .join('\n'),
  }
}

async function run(...flags: readonly string[]): Promise<{ status: number; text: string }> {
  const terminal = new MemoryTerminal()
  const given = new Set(flags.map((flag) => flag.split('=')[0]))
  const standard = [
    `--kafka-brokers=${kafka.brokers.join(',')}`,
    '--kafka-topic=good',
    `--redis-url=${redis.url}`,
    `--object-store=s3://${s3.bucket}/doctor`,
    `--object-store-endpoint=${proxy.endpoint}`,
    `--data-dir=${folder}`,
    '--profile=development',
    '--wal-bytes-max=4MiB',
  ].filter((flag) => !given.has(flag.split('=')[0]))
  const status = await runCommandLine(['doctor', ...standard, ...flags], terminal, '0')
  assert.equal(terminal.errText, '')
  return { status, text: terminal.outText }
}

function problems({ findings }: Report): string[] {
  return findings.filter(({ level }) => level !== 'ok').map(({ area, check }) => `${area} ${check}`)
}

describe('tributary doctor', () => {
  beforeEach(() => {
    proxy.heal()
  })

  it('finds a fit cluster fit, warns of one broker, and leaves nothing behind', async () => {
    const report = await doctor('--ingesters=3')
    assert.deepEqual(problems(report), ['kafka min.insync.replicas', 'kafka replication'])
    assert.equal(report.verdict, 'warning')
    assert.equal(report.status, 0)
    assert.match(report.of('clock', 'against Kafka'), /^ok: \d+ ms/)
    assert.match(report.of('clock', 'against the store'), /^ok: \d+ ms/)
    assert.match(report.of('store', 'multipart upload'), /^ok: works/)
    const topics = await kafka.withAdmin((admin) => admin.listTopics())
    assert.deepEqual(
      topics.filter((name) => name.includes('doctor')),
      [],
    )
    assert.deepEqual(await redis.admin.keys('*doctor*'), [])
    // every probe of the store was deleted again
    const puts = proxy.seen.filter(({ operation }) => /^put|complete/i.test(operation))
    const keys = new Set(puts.map(({ key }) => key))
    const deleted = proxy.seen.filter(({ operation }) => /^delete/i.test(operation))
    assert.ok(keys.size >= 3)
    assert.deepEqual(
      [...keys].filter((key) => !deleted.some((request) => request.key === key)),
      [],
    )
  })

  it('writes a line for each thing, remedies below, the verdict last', async () => {
    const { text } = await run('--only=kafka,disk')
    assert.match(text, /^kafka\n {2}ok {7}brokers +1 answer/)
    assert.match(text, /\n {2}warning {2}replication +1\n +-> make good with replication 3/)
    assert.match(text, /\nfit, with warnings: \d+ ok, 2 warning, 0 failure\n$/)
  })

  it('refuses what can lose data in production, with the command that mends it', async () => {
    const report = await doctor('--only=kafka,clock', '--profile=production')
    assert.equal(report.status, 1)
    assert.match(report.of('kafka', 'acknowledgement'), /^(ok|warning): \d/)
    assert.deepEqual(problems(report), ['kafka min.insync.replicas', 'kafka replication'])
    assert.match(report.of('kafka', 'min.insync.replicas'), /--add-config min.insync.replicas=2/)
  })

  it('says that the topic is missing, and how to make it', async () => {
    const report = await doctor('--only=kafka', '--kafka-topic=nowhere')
    assert.equal(report.status, 1)
    assert.match(report.of('kafka', 'topic'), /missing -> tributary topic create .*nowhere/)
  })

  it('says that a topic keeps the times of its clients, and is too small for its ingesters', async () => {
    await kafka.createTopic('bad', {
      partitions: 2,
      config: {
        'message.timestamp.type': 'CreateTime',
        'max.message.bytes': '100000',
        'retention.ms': '60000',
      },
    })
    const report = await doctor('--only=kafka', '--kafka-topic=bad', '--ingesters=3')
    assert.equal(report.status, 1)
    assert.match(
      report.of('kafka', 'message.timestamp.type'),
      /^failure: CreateTime -> .*message.timestamp.type=LogAppendTime/,
    )
    assert.match(report.of('kafka', 'max.message.bytes'), /^failure: 100000 -> /)
    assert.match(report.of('kafka', 'retention.ms'), /^warning: 60000 -> /)
    assert.match(report.of('kafka', 'partitions of an ingester'), /^failure: 2 for 3 /)
  })

  it('says which broker does not answer, and goes on with the rest', async () => {
    const report = await doctor('--kafka-brokers=127.0.0.1:1', '--only=kafka,redis,clock')
    assert.equal(report.status, 1)
    assert.match(report.of('kafka', 'brokers'), /^failure: 127\.0\.0\.1:1: ECONNREFUSED -> is it/)
    assert.match(report.of('redis', 'connection'), /^ok/)
  })

  it('says that Redis refuses the password', async () => {
    const passwordFile = join(folder, 'password')
    writeFileSync(passwordFile, 'wrong')
    const url = `--redis-url=redis://tributary@127.0.0.1:${redis.port}`
    const flags = ['--only=redis', url, `--redis-password-file=${passwordFile}`]
    const wrong = await doctor(...flags)
    assert.equal(wrong.status, 1)
    assert.match(wrong.of('redis', 'connection'), /^failure: .*WRONGPASS.* -> .*password/)
    writeFileSync(passwordFile, 'right\n')
    assert.deepEqual(problems(await doctor(...flags)), [])
  })

  it('says that Redis forgets: evicting keys, or writing nothing', async () => {
    await redis.admin.config('SET', 'maxmemory', '100mb')
    await redis.admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await redis.admin.config('SET', 'appendonly', 'no')
    try {
      const report = await doctor('--only=redis')
      assert.equal(report.status, 1)
      assert.match(
        report.of('redis', 'maxmemory-policy'),
        /^failure: allkeys-lru, .* -> redis-cli CONFIG SET maxmemory-policy noeviction/,
      )
      assert.match(report.of('redis', 'persistence'), /^warning: appendonly no -> /)
    } finally {
      await redis.admin.config('SET', 'appendonly', 'yes')
      await redis.admin.config('SET', 'maxmemory-policy', 'noeviction')
      await redis.admin.config('SET', 'maxmemory', '0')
    }
  })

  it('says that a user may not run scripts', async () => {
    await redis.admin.call(
      ...(['ACL', 'SETUSER', 'narrow', 'on', '>narrow', '~*', '+@all', '-@scripting'] as const),
    )
    const report = await doctor(
      '--only=redis',
      `--redis-url=redis://narrow:narrow@127.0.0.1:${redis.port}`,
    )
    assert.equal(report.status, 1)
    assert.match(report.of('redis', 'scripts'), /^failure: .*NOPERM.* -> .*rights/)
  })

  it('says that a store ignores create-only writes', async () => {
    proxy.inject({ fault: { kind: 'unconditional' }, times: Infinity })
    const report = await doctor('--only=store')
    assert.equal(report.status, 1)
    assert.deepEqual(problems(report), ['store create-only writes'])
    assert.match(report.of('store', 'create-only writes'), /ignores .* -> .*If-None-Match/)
  })

  it('says which right is missing', async () => {
    proxy.inject({ fault: S3_ACCESS_DENIED, times: Infinity, operations: ['list'] })
    const report = await doctor('--only=store')
    assert.equal(report.status, 1)
    assert.deepEqual(problems(report), ['store list', 'store list after write'])
    assert.match(report.of('store', 'list'), /-> allow s3:ListBucket/)
  })

  it('says that reads are stale', async () => {
    const pass = { kind: 'pass' } as const
    proxy.inject({ fault: pass, operations: ['list'] })
    proxy.inject({ fault: { kind: 'stale' }, times: Infinity, operations: ['list'] })
    const report = await doctor('--only=store')
    assert.deepEqual(problems(report), ['store list after write'])
  })

  it('says that the bucket is missing, or that nobody is there', async () => {
    const missing = await doctor('--only=store', '--object-store=s3://nowhere-at-all/x')
    assert.match(missing.of('store', 'list'), /bucket is missing.* -> make the bucket/)
    const away = await doctor('--only=store', '--object-store-endpoint=http://127.0.0.1:1')
    assert.equal(away.status, 1)
    assert.deepEqual(problems(away), ['store list'])
    assert.match(away.of('store', 'list'), /-> is it reachable/)
  })

  it('says that the data folder can not be written, or has no room', async () => {
    const closed = join(folder, 'a-file')
    writeFileSync(closed, '')
    const report = await doctor('--only=disk', `--data-dir=${closed}`)
    assert.equal(report.status, 1)
    assert.match(report.of('disk', 'data folder'), /-> name a folder/)
    const full = await doctor('--only=disk', '--wal-bytes-max=1024GiB')
    assert.match(full.of('disk', 'free space'), /^warning: \d+ MiB free, the log may take 1048576/)
  })
})
