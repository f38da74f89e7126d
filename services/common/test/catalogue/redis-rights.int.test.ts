import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'

import type { RedisConnection } from '@tributary/common/metadata/redis-connection'
import { AppError } from '@tributary/common/errors'
import { RedisFileIndex } from '@tributary/common/catalogue/redis-file-index'
import { plainRedisAddress } from '@tributary/common/metadata/redis-address'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisRoutingStore } from '@tributary/common/metadata/redis-routing-store'
import { RedisServer } from '@tributary/common/testing/redis-server'
import { memberNamed } from '../metadata/cluster-metadata-contract.ts'
import { connectTo } from '../metadata/redis-parties.ts'
import { keysOf, span } from './file-index-contract.ts'

const PAGE = new URL('../../../../docs/format/redis.md', import.meta.url)

/** The rules of the user that the page names. */
function documentedRules(): string {
  const line = /^user tributary on >PASSWORD (.*)$/m.exec(readFileSync(PAGE, 'utf8'))
  assert.ok(line !== null, 'docs/format/redis.md names a user')
  return line[1]!
}

describe('the rights that docs/format/redis.md asks for', () => {
  let server: RedisServer
  let connection: RedisConnection
  before(async () => {
    const user = { name: 'tributary', password: 'secret', rules: documentedRules() }
    server = await RedisServer.start({ user })
    const address = {
      ...plainRedisAddress(server.host, server.port),
      ...{ username: user.name, password: user.password },
    }
    connection = await connectTo(server, { address })
  })
  after(async () => {
    connection.close()
    await server.stop()
  })

  it('are enough for members and leases', async () => {
    const metadata = new RedisClusterMetadata({ connection, prefix: 'tributary' })
    await metadata.beat(memberNamed('a'), 5000)
    const request = { partition: 0, member: 'a', epochFloor: 0, requestId: 'one' }
    assert.deepEqual(await metadata.acquire(request), { kind: 'acquired', epoch: 1 })
    await metadata.release(0, 'a', 1)
    await metadata.leave('a')
    assert.deepEqual((await metadata.view()).members, [])
  })

  it('are enough for the routing table and what it is made from', async () => {
    const store = new RedisRoutingStore({ connection, prefix: 'tributary' })
    assert.equal(await store.takeMaking('a', 5000), true)
    assert.equal(await store.writeTable({ version: 1, text: '{}' }), true)
    assert.deepEqual(await store.readTable(0), { version: 1, text: '{}' })
    await store.publishRates('a', '{}', 5000)
    assert.equal((await store.readRates()).size, 1)
    await store.leaveMaking('a')
  })

  it('are enough for the file index, and for making it anew', async () => {
    const index = new RedisFileIndex({ connection, prefix: 'tributary', storeId: 'store-1' })
    const { files } = span(0, 10)
    await index.apply(span(0, 10))
    const { generation } = await index.state()
    assert.deepEqual(await index.lookup(generation, files), files)
    await index.reset(generation)
    const build = await index.build()
    await build.applyAll([span(0, 10)])
    assert.notEqual(await build.chainOf(span(0, 10).id), undefined)
    assert.equal(await build.publish(), true)
    assert.deepEqual(await keysOf(index), [files[0]!.key])
  })

  it('end at the prefix, and at what harms others', async () => {
    const other = new RedisRoutingStore({ connection, prefix: 'other' })
    await assert.rejects(other.takeMaking('a', 5000), { code: 'metadata_unavailable' })
    const harmful = [['FLUSHALL'], ['KEYS', '*'], ['CONFIG', 'GET', '*'], ['DEBUG', 'SLEEP', '0']]
    for (const [name = '', ...args] of harmful) {
      await assert.rejects(connection.command(name, ...args), (error: unknown) => {
        return error instanceof AppError && error.details['reason'] === 'no_access'
      })
    }
  })
})
