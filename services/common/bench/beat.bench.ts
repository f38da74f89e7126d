/**
 * What membership costs a real Redis: one beat in a cluster of so many members with 4 KiB of status and
 * 96 leases, and taking a lease. A cluster beats once a second and member: `serverUsPerCall` times the
 * members is the share of Redis' one core.
 *
 *     node services/common/bench/beat.bench.ts [--runs 5] [--seconds 0.5] [--json FILE]
 */
import assert from 'node:assert/strict'

import type { Member } from '../src/metadata/cluster-metadata.ts'
import { createLogger } from '../src/logger.ts'
import { plainRedisAddress } from '../src/metadata/redis-address.ts'
import { RedisClusterMetadata } from '../src/metadata/redis-cluster-metadata.ts'
import { RedisConnection } from '../src/metadata/redis-connection.ts'
import { RedisServer } from '../src/testing/redis-server.ts'
import { benchRow, finishBench, parseBenchFlags, timeRuns } from './bench-harness.ts'
import type { BenchFlags, BenchRow } from './bench-harness.ts'

const MEMBER_COUNTS = [1, 10, 100]
const LEASES = 96
const STATUS_BYTES = 4096
const TTL_MS = 3_600_000

function memberNumbered(number: number): Member {
  return {
    id: `member-${number}`,
    name: `tributary-ingester-${number}`,
    role: 'ingester',
    address: `10.0.0.${number}:4320`,
    isDraining: false,
    status: JSON.stringify({ load: 'x'.repeat(STATUS_BYTES - 11) }),
  }
}

/** Microseconds and calls that the server has spent on scripts. */
async function scriptTime(redis: RedisServer): Promise<{ calls: number; us: number }> {
  const stats = await redis.admin.info('commandstats')
  const match = /cmdstat_evalsha:calls=(\d+),usec=(\d+)/.exec(stats)
  return { calls: Number(match?.[1] ?? 0), us: Number(match?.[2] ?? 0) }
}

async function benchMembers(
  redis: RedisServer,
  members: number,
  flags: BenchFlags,
): Promise<BenchRow[]> {
  const address = plainRedisAddress(redis.host, redis.port)
  const logger = createLogger({ name: 'bench', level: 'error' })
  const connection = new RedisConnection({ address, name: 'bench', timeoutMs: 10_000, logger })
  await connection.untilReady(10_000)
  const metadata = new RedisClusterMetadata({ connection, prefix: `bench-${members}` })
  for (let number = 0; number < members; number++) {
    await metadata.beat(memberNumbered(number), TTL_MS)
  }
  let requests = 0
  const acquire = async (partition: number) => {
    const requestId = `request-${++requests}`
    const request = { partition, member: 'member-0', epochFloor: 0, requestId }
    assert.equal((await metadata.acquire(request)).kind, 'acquired')
  }
  for (let partition = 0; partition < LEASES; partition++) await acquire(partition)

  const measured = async (name: string, work: () => Promise<unknown>): Promise<BenchRow> => {
    const before = await scriptTime(redis)
    const { wallMs } = await timeRuns(work, flags, 50)
    const after = await scriptTime(redis)
    const serverUsPerCall = (after.us - before.us) / (after.calls - before.calls)
    return benchRow(name, { callMs: wallMs, serverUsPerCall })
  }
  const rows = [
    await measured(`beat, ${members} members`, async () => {
      const view = await metadata.beat(memberNumbered(0), TTL_MS)
      assert.equal(view.members.length, members)
      assert.equal(view.leases.size, LEASES)
    }),
    await measured(`acquire, ${members} members`, () => acquire(requests % LEASES)),
  ]
  await metadata.close()
  return rows
}

const flags = parseBenchFlags({ runs: 5, seconds: 0.5 })
const redis = await RedisServer.start({ configuration: ['appendfsync everysec'] })
try {
  const rows: BenchRow[] = []
  for (const members of MEMBER_COUNTS) rows.push(...(await benchMembers(redis, members, flags)))
  finishBench('beat', rows, flags)
} finally {
  await redis.stop()
}
