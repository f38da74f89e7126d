import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, describe, it } from 'node:test'

import { Redis } from 'ioredis'

import { RedisSentinels } from '@tributary/common/testing/redis-sentinels'
import { RedisServer, redisForTests } from '@tributary/common/testing/redis-server'

describe('RedisServer', () => {
  it('keeps what was written over a kill, and loses it where it restarts empty', async () => {
    const server = await RedisServer.start()
    after(() => server.stop())
    await server.admin.set('a', '1')
    await server.restart()
    assert.equal(await server.admin.get('a'), '1')
    await server.restartEmpty()
    assert.equal(await server.admin.get('a'), null)
  })

  it('goes back to a backup, and keeps what is written then', async () => {
    const server = await RedisServer.start()
    after(() => server.stop())
    await server.admin.set('a', 'old')
    const backup = await server.backup()
    await server.admin.set('a', 'new')
    await server.restartFrom(backup)
    assert.equal(await server.admin.get('a'), 'old')
    await server.admin.set('b', '2')
    await server.restart()
    assert.equal(await server.admin.get('b'), '2')
  })

  it('answers nothing while it is stopped', async () => {
    const server = await RedisServer.start()
    after(() => server.stop())
    const { admin } = server
    server.pause()
    let isAnswered = false
    const answer = admin.ping().then(() => (isAnswered = true))
    // a second Redis starts and answers meanwhile: time enough for this one
    const other = await redisForTests()
    await other.stop()
    assert.equal(isAnswered, false)
    server.resume()
    await answer
  })

  it('speaks TLS and knows users', async () => {
    const user = { name: 'app', password: 'secret', rules: '+@all ~app:*' }
    const server = await RedisServer.start({ hasTls: true, user })
    after(() => server.stop())
    const client = new Redis(server.url, {
      username: user.name,
      password: user.password,
      tls: { ca: readFileSync(server.caFile) },
      protocol: 2,
    })
    after(() => client.disconnect())
    await client.set('app:a', '1')
    await assert.rejects(client.set('other', '1'), /NOPERM/)
  })
})

describe('RedisSentinels', () => {
  it('fails over, without the writes that the replica did not get', async () => {
    const set = await RedisSentinels.start()
    after(() => set.stop())
    const old = await set.master()
    await old.admin.set('a', 'kept')
    await set.untilReplicated()
    await set.cutReplication()
    await old.admin.set('a', 'lost')
    await old.kill()
    const master = await set.untilMasterIsNot(old)
    assert.equal(await master.admin.get('a'), 'kept')
  })
})
