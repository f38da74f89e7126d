/** Keys of a real Redis that is stopped, emptied and set back under the process that asks it. */
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { after, before, describe, it } from 'node:test'

import { runCommandLine } from '@tributary/cli/command-line'
import { KeyRing } from '@tributary/cli/keys/key-ring'
import { systemClock } from '@tributary/common/clock'
import { redisSettings } from '@tributary/common/config/redis-settings'
import { parseSettings } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { generateApiKey } from '@tributary/common/tenants/api-key'
import { openKeyStore } from '@tributary/common/tenants/key-place'
import type { KeyStore } from '@tributary/common/tenants/key-store'
import { RedisServer } from '@tributary/common/testing/redis-server'

import { KeyCache } from '../../src/tenants/key-cache.ts'

const STALE_MAX_MS = 60_000
const POLL_MS = 20

describe('KeyCache over Redis', () => {
  let server: RedisServer
  let store: KeyStore
  let keys: KeyRing
  let cache: KeyCache

  before(async () => {
    server = await RedisServer.start()
    const { config } = parseSettings(redisSettings, { args: ['--redis-url', server.url] })
    const logger = createLogger({ name: 'key-cache-test', level: 'silent' })
    store = openKeyStore({ place: 'redis', redis: config, clock: systemClock, logger })
    keys = new KeyRing(store, systemClock)
    cache = new KeyCache({ store, clock: systemClock, logger, staleMaxMs: STALE_MAX_MS })
    await untilAnswered()
  })

  after(async () => {
    await store.close()
    await server.stop()
  })

  async function untilAnswered(): Promise<void> {
    for (;;) {
      try {
        await store.exists()
        return
      } catch {
        await systemClock.sleep(POLL_MS)
      }
    }
  }

  /** The code of a refusal, or the tenant. */
  async function outcomeOf(text: string): Promise<string> {
    try {
      return (await cache.check(text)).tenant
    } catch (error) {
      return error instanceof AppError ? error.code : String(error)
    }
  }

  it('cannot say no before the first key was made', async () => {
    assert.equal(await outcomeOf(generateApiKey().text), 'credentials_unavailable')
  })

  it('knows keys that the command makes, and those that it revokes', async () => {
    const written: string[] = []
    const out = new PassThrough({ encoding: 'utf8' }).on('data', (text: string) => {
      written.push(text)
    })
    const terminal = { out, err: new PassThrough().resume(), isInteractive: false, columns: 80 }
    const flags = ['--api-keys', 'redis', '--redis-url', server.url]
    const args = ['keys', 'create', '--tenant', 'shop', ...flags]
    assert.equal(await runCommandLine(args, terminal, '0'), 0)
    const text = written.join('').trimEnd()
    assert.equal(await outcomeOf(text), 'shop')
    const id = text.slice(5, 15)
    assert.equal(await runCommandLine(['keys', 'revoke', id, ...flags], terminal, '0'), 0)
    await cache.refresh()
    assert.equal(await outcomeOf(text), 'unauthenticated')
    assert.equal(await outcomeOf(generateApiKey().text), 'unauthenticated')
  })

  for (const [name, pull, mend] of [
    ['killed', () => server.kill(), () => server.restart()],
    [
      'standing still',
      () => {
        server.pause()
      },
      () => {
        server.resume()
      },
    ],
  ] as const) {
    it(`believes keys in use and answers others retryable while redis is ${name}`, async () => {
      const { key } = await keys.create('shop', '', 0)
      const { key: unused } = await keys.create('billing', '', 0)
      assert.equal(await outcomeOf(key), 'shop')
      await pull()
      try {
        assert.equal(await outcomeOf(unused), 'credentials_unavailable')
        assert.equal(await outcomeOf(generateApiKey().text), 'credentials_unavailable')
        await cache.refresh()
        assert.ok(!(cache.check(key) instanceof Promise), 'does not wait')
        assert.equal(cache.isStoreAway, true)
      } finally {
        await mend()
      }
      await untilAnswered()
      assert.equal(await outcomeOf(unused), 'billing')
      await cache.refresh()
      assert.equal(await outcomeOf(key), 'shop')
      assert.equal(cache.isStoreAway, false)
    })
  }

  it('believes keys in use that redis lost when it was set back, and takes no loss for a no', async () => {
    await keys.create('shop', '', 0)
    const backup = await server.backup()
    const { key } = await keys.create('shop', '', 0)
    assert.equal(await outcomeOf(key), 'shop')
    await server.restartFrom(backup)
    await untilAnswered()
    await cache.refresh()
    assert.equal(await outcomeOf(key), 'shop')
    assert.ok(cache.lostRecords > 0)
  })

  it('refuses nobody when redis comes back empty', async () => {
    const { key } = await keys.create('shop', '', 0)
    const { key: unused } = await keys.create('billing', '', 0)
    assert.equal(await outcomeOf(key), 'shop')
    await server.restartEmpty()
    await untilAnswered()
    await cache.refresh()
    assert.equal(await outcomeOf(key), 'shop')
    assert.equal(await outcomeOf(unused), 'credentials_unavailable')
  })
})
