import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, beforeEach, describe, it } from 'node:test'

import { systemClock } from '../../src/clock.ts'
import { AppError } from '../../src/errors.ts'
import type { RedisConnection } from '../../src/metadata/redis-connection.ts'
import { keyRecordText } from '../../src/tenants/key-record.ts'
import { KEYS_MAX, REVOKED_KEPT_MS } from '../../src/tenants/key-store.ts'
import { RedisKeyStore } from '../../src/tenants/redis-key-store.ts'
import { keyRecordOf } from '../../src/testing/key-records.ts'
import { RedisServer } from '../../src/testing/redis-server.ts'
import { connectTo } from '../metadata/redis-parties.ts'

describe('RedisKeyStore', () => {
  let server: RedisServer
  let connection: RedisConnection
  let prefix: string
  let store: RedisKeyStore

  before(async () => {
    server = await RedisServer.start()
    connection = await connectTo(server, { timeoutMs: 500 })
  })

  beforeEach(() => {
    prefix = randomUUID()
    store = new RedisKeyStore({ connection, prefix, clock: systemClock })
  })

  after(async () => {
    connection.close()
    await server.stop()
  })

  const hash = (): string => `{${prefix}}:keys`

  it('gives back what was put', async () => {
    const records = [keyRecordOf('shop'), { ...keyRecordOf('*'), note: 'é' }]
    await store.put(records)
    const byId = (a: { readonly id: string }, b: { readonly id: string }): number =>
      a.id < b.id ? -1 : 1
    // ids are random, and a list is in no order of its own
    assert.deepEqual((await store.list()).toSorted(byId), records.toSorted(byId))
    assert.deepEqual(
      await store.find([records[1]!.id, 'unknown000']),
      new Map([[records[1]!.id, records[1]]]),
    )
  })

  it('takes an empty redis for one that lost its keys, not for one without the key', async () => {
    await assert.rejects(store.find(['unknown000']), isUnavailable)
    await assert.rejects(store.list(), isUnavailable)
    assert.equal(await store.exists(), false)
    await store.put([])
    assert.equal(await store.exists(), true)
    assert.equal((await store.find(['unknown000'])).size, 0)
    await connection.command('DEL', hash())
    await assert.rejects(store.find(['unknown000']), isUnavailable)
  })

  it('does not understand another format, and leaves it alone', async () => {
    await connection.command('HSET', hash(), '#format', '2')
    await assert.rejects(store.find(['unknown000']), isUnavailable)
    await assert.rejects(store.put([keyRecordOf('shop')]), isUnavailable)
    assert.equal(await connection.command('HLEN', hash()), 1)
  })

  it('lets one damaged record stand in the way of no other', async () => {
    const [good, bad, later] = [keyRecordOf('shop'), keyRecordOf('shop'), keyRecordOf('billing')]
    await store.put([good, bad])
    await connection.command('HSET', hash(), bad.id, '{"id":')
    const found = await store.find([good.id, bad.id])
    assert.deepEqual(found.get(good.id), good)
    assert.equal(found.has(bad.id), true)
    assert.equal(found.get(bad.id), undefined)
    await store.put([later, bad])
    assert.equal((await store.list()).length, 3)
  })

  it('never revives a revoked key by a write that comes late', async () => {
    const record = keyRecordOf('shop')
    const revoked = { ...record, revokedAt: new Date().toISOString() }
    await store.put([record])
    await store.put([revoked])
    await store.put([{ ...record, expiresAt: '2099-01-01T00:00:00.000Z' }])
    assert.deepEqual((await store.find([record.id])).get(record.id), revoked)
  })

  it('forgets keys that were revoked long ago', async () => {
    const long = new Date(Date.now() - REVOKED_KEPT_MS - 86_400_000).toISOString()
    const old = { ...keyRecordOf('shop'), revokedAt: long }
    const recent = { ...keyRecordOf('shop'), revokedAt: new Date().toISOString() }
    await store.put([old, recent])
    await store.put([])
    assert.equal(await connection.command('HEXISTS', hash(), old.id), 0)
    assert.deepEqual(await store.list(), [recent])
  })

  it('refuses more keys than it may hold, and keeps what it had', async () => {
    const record = keyRecordOf('shop')
    await store.put([record])
    const fields = Array.from({ length: KEYS_MAX - 1 }, (_, index) => {
      const id = String(index).padStart(10, '0')
      return [id, keyRecordText({ ...record, id })]
    })
    await connection.command('HSET', hash(), ...fields.flat())
    await assert.rejects(
      store.put([keyRecordOf('shop')]),
      (error) => error instanceof AppError && error.code === 'invalid_config',
    )
    await store.put([{ ...record, note: 'changed' }])
    assert.equal(await connection.command('HLEN', hash()), KEYS_MAX + 1)
  })

  it('answers nothing while redis stands still, and again when it goes on', async () => {
    const record = keyRecordOf('shop')
    await store.put([record])
    server.pause()
    try {
      await assert.rejects(store.find([record.id]), isUnavailable)
    } finally {
      server.resume()
    }
    await connection.untilReady(10_000)
    assert.equal((await store.find([record.id])).size, 1)
  })
})

function isUnavailable(error: unknown): boolean {
  return error instanceof AppError && error.code === 'credentials_unavailable'
}
