import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { RedisRoutingStore } from '@tributary/common/metadata/redis-routing-store'
import { RedisServer } from '@tributary/common/testing/redis-server'
import type { RedisConnection } from '@tributary/common/metadata/redis-connection'
import { connectTo } from './redis-parties.ts'
import { describeRoutingContract } from './routing-store-contract.ts'

describe('RedisRoutingStore', () => {
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

  let stores = 0
  describeRoutingContract(() => {
    const store = new RedisRoutingStore({ connection, prefix: `routing-${++stores}` })
    // the store's clock is the server's: what passes here passes there
    return Promise.resolve({ store, pass: (durationMs) => sleep(durationMs + 5) })
  })

  it('takes what is no table for none, and overwrites it', async () => {
    const store = new RedisRoutingStore({ connection, prefix: 'foreign' })
    await server.admin.hset('{foreign}:routing', 'version', 'x', 'text', 'y')
    assert.deepEqual(await store.readTable(5), { version: 0, text: '' })
    assert.equal(await store.writeTable({ version: 1, text: 'ours' }), true)
    assert.deepEqual(await store.readTable(0), { version: 1, text: 'ours' })
  })
})
