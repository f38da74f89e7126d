import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import type { RedisConnection } from '@tributary/common/metadata/redis-connection'
import { RedisFileIndex } from '@tributary/common/catalogue/redis-file-index'
import { parseIndexKey, parseRedisKey } from '@tributary/common/metadata/redis-keys'
import { RedisServer } from '@tributary/common/testing/redis-server'
import { connectTo } from '../metadata/redis-parties.ts'
import { describeIndexContract, keysOf, span } from './file-index-contract.ts'

describe('RedisFileIndex', () => {
  let server: RedisServer
  let connection: RedisConnection
  before(async () => {
    server = await RedisServer.start()
    connection = await connectTo(server)
  })
  after(async () => {
    connection.close()
    await server.stop()
  })

  let prefixes = 0
  describeIndexContract(() => {
    const prefix = `index-${++prefixes}`
    return Promise.resolve({
      connect: () => new RedisFileIndex({ connection, prefix, storeId: 'store-1' }),
      flushAll: async () => void (await server.admin.flushall()),
    })
  })

  it('throws away the index of another store', async () => {
    const mine = new RedisFileIndex({ connection, prefix: 'moved', storeId: 'store-1' })
    await mine.apply(span(0, 10))
    const other = new RedisFileIndex({ connection, prefix: 'moved', storeId: 'store-2' })
    assert.deepEqual(await keysOf(other), [])
    assert.deepEqual(await other.apply(span(10, 20)), { kind: 'behind', end: 0n })
  })

  it('deletes what nobody reads any more, and writes no key but its own', async () => {
    await server.admin.flushall()
    const index = new RedisFileIndex({ connection, prefix: 'swept', storeId: 'store-1' })
    const samples = Array.from({ length: 1200 }, (_, at) => ({ tenant: `t${at}` }))
    await index.apply(span(0, 10, ...samples))
    const abandoned = await index.build()
    await abandoned.apply(span(0, 10, ...samples))
    const build = await index.build()
    await build.apply(span(0, 20))
    assert.equal(await build.publish(), true)
    const keys = await server.admin.keys('*')
    for (const key of keys) {
      const parsed = parseIndexKey(key)
      assert.ok(
        parsed?.generation === build.generation || parseRedisKey(key)?.kind === 'index',
        key,
      )
    }
    assert.equal(keys.length, 4)
  })

  it('takes entries of others for none', async () => {
    const index = new RedisFileIndex({ connection, prefix: 'foreign', storeId: 'store-1' })
    const good = span(0, 10)
    await index.apply(good)
    const { generation } = await index.state()
    const key = `{foreign}:${generation}`
    await server.admin.hset(`${key}:files:acme/logs/2026-11-21T03`, 'x', 'y')
    await server.admin.zadd(`${key}:hours`, 0, 'nonsense', 0, '../../x/logs/late')
    await server.admin.hset(`${key}:files:nonsense`, 'x', 'y')
    await server.admin.hset(`${key}:ends`, 'a', 'b')
    assert.deepEqual(await keysOf(index), [good.files[0]!.key])
  })
})
