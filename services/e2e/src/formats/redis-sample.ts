/**
 * What a cluster keeps in Redis, by example: everything that this build writes there for a fixed cluster, as
 * data; put into an empty Redis again, and read by this build, whichever wrote it. Redis has no version
 * numbers: a build that knows more leaves out what it does not find, one that knows less what it does not know.
 */
import assert from 'node:assert/strict'

import { RedisFileIndex } from '@tributary/common/catalogue/redis-file-index'
import type { CommitFile } from '@tributary/common/commit/commit-record'
import { spanOf } from '@tributary/common/catalogue/index-filling'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisRoutingStore } from '@tributary/common/metadata/redis-routing-store'
import { parseRoutingTable, serializeRoutingTable } from '@tributary/common/routing/routing-table'
import type { RedisServer } from '@tributary/common/testing/redis-server'

import { connectToRedis } from '../cluster/redis-client.ts'
import { SAMPLE_RATES, SAMPLE_STATUS, SAMPLE_TABLE } from './cluster-samples.ts'
import { SAMPLE_COMMIT } from './store-samples.ts'

/** Of the script's clock: members of the sample live at this moment. */
const NOW_UNIX_MS = 1_795_230_000_000
const TIME_TO_LIVE_MS = 15_000
/** By the clock of Redis itself, which no test can set. */
const HUNDRED_YEARS_MS = 3_155_760_000_000
const MEMBER = {
  ...{ id: 'ingester-2.0f0e0d0c', name: 'ingester-2', role: 'ingester' as const },
  ...{ address: '10.0.0.7:9465', isDraining: false, status: SAMPLE_STATUS },
}
/** The chain of the sample begins at 0 for the index. */
const COMMIT = { ...SAMPLE_COMMIT, start: '0' }

export type RedisContent = Readonly<
  Record<
    string,
    { readonly type: string; readonly value: string | Readonly<Record<string, string>> }
  >
>

interface Parties {
  readonly metadata: RedisClusterMetadata
  readonly routing: RedisRoutingStore
  readonly index: RedisFileIndex
}

async function withParties<Result>(
  redis: RedisServer,
  use: (parties: Parties) => Promise<Result>,
): Promise<Result> {
  const { connection, prefix } = await connectToRedis(redis.url)
  const clock = { nowUnixMs: () => NOW_UNIX_MS }
  try {
    return await use({
      metadata: new RedisClusterMetadata({ connection, prefix, clock }),
      routing: new RedisRoutingStore({ connection, prefix }),
      index: new RedisFileIndex({ connection, prefix, storeId: 'store-1' }),
    })
  } finally {
    connection.close()
  }
}

/** Has this build write the sample, and gives what lies in Redis then. */
export async function writeRedisSample(redis: RedisServer): Promise<RedisContent> {
  await withParties(redis, async ({ metadata, routing, index }) => {
    await metadata.beat(MEMBER, TIME_TO_LIVE_MS)
    const lease = { partition: 7, member: MEMBER.id, epochFloor: 8, requestId: 'request-1' }
    assert.equal((await metadata.acquire(lease)).kind, 'acquired')
    const text = serializeRoutingTable(SAMPLE_TABLE)
    assert.ok(await routing.writeTable({ version: SAMPLE_TABLE.version, text }))
    await routing.publishRates('router-1', SAMPLE_RATES, HUNDRED_YEARS_MS)
    await index.state()
    assert.equal((await index.apply(spanOf(COMMIT))).kind, 'applied')
  })
  return contentOf(redis)
}

/** What this build finds there. */
export function readRedisSample(redis: RedisServer): Promise<unknown> {
  return withParties(redis, async ({ metadata, routing, index }) => {
    const { incarnationAgeMs: _age, ...view } = await metadata.view()
    const stored = await routing.readTable(-1)
    const { generation, chains } = await index.state()
    const files: CommitFile[] = []
    for await (const page of index.scan(generation, {})) files.push(...page.files)
    return {
      view,
      table: parseRoutingTable(stored?.text ?? ''),
      rates: await routing.readRates(),
      ...{ generation, chains, files },
    }
  })
}

/** Puts it back into an empty Redis. */
export async function restore({ admin }: RedisServer, content: RedisContent): Promise<void> {
  for (const [key, { type, value }] of Object.entries(content)) {
    if (typeof value === 'string') await admin.set(key, value)
    else if (type === 'hash') await admin.hset(key, value)
    else if (type === 'set') await admin.sadd(key, ...Object.keys(value))
    else
      for (const [member, score] of Object.entries(value))
        await admin.call('ZADD', key, score, member)
  }
}

async function contentOf({ admin }: RedisServer): Promise<RedisContent> {
  const content: Record<string, RedisContent[string]> = {}
  const keys = await admin.keys('*')
  for (const key of keys.sort()) {
    const type = await admin.type(key)
    content[key] = { type, value: await valueOf(type, key) }
  }
  return content

  async function valueOf(type: string, key: string): Promise<RedisContent[string]['value']> {
    switch (type) {
      case 'string':
        return (await admin.get(key)) ?? ''
      case 'hash':
        return sorted(await admin.hgetall(key))
      case 'set':
        return sorted(Object.fromEntries((await admin.smembers(key)).map((member) => [member, ''])))
      case 'zset': {
        const flat = await admin.zrange(key, '0', '-1', 'WITHSCORES')
        const pairs = flat.flatMap((text, at) => (at % 2 === 0 ? [[text, flat[at + 1]!]] : []))
        return sorted(Object.fromEntries(pairs) as Record<string, string>)
      }
      default:
        throw new Error(`a key of type ${type}: ${key}`)
    }
  }
}

function sorted(fields: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).sort(([left], [right]) => (left < right ? -1 : 1)),
  )
}

/** The content without what differs from run to run: random ids, which also stand in keys, and times. */
export function shapeOf(content: RedisContent): string {
  const shapes = Object.entries(content).map(([key, held]) => {
    return withoutRandom(JSON.stringify({ [key]: held }, undefined, 2))
  })
  return shapes.sort().join('\n')
}

function withoutRandom(text: string): string {
  return text
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<random>')
    .replaceAll(/\b[0-9a-f]{16,}\b/g, '<random>')
    .replaceAll(/\b\d{13}\b/g, '<time>')
}
