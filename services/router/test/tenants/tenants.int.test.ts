/** Settings of tenants that change, break and vanish under a process, in a file and in a real Redis. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { runCommandLine } from '@tributary/cli/command-line'
import { systemClock } from '@tributary/common/clock'
import { redisSettings } from '@tributary/common/config/redis-settings'
import { parseSettings } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { createRegistry, type Registry } from '@tributary/common/metrics'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import { RedisServer } from '@tributary/common/testing/redis-server'
import { PassThrough } from 'node:stream'

import { openTenants, type Tenants } from '../../src/tenants/tenants.ts'

/** Of the process's clock, which the test drives; files and sockets take their own time. */
const LOOKS_EVERY_MS = 5000
const LOOKS_MAX = 500
const PAUSE_MS = 10
const RATED = { format: 1, default: { bytesPerSecond: 1000, burst: '1s' } }
const CLOSED = { format: 1, unknownTenants: 'refuse' }

/** What happens to a tenant that comes for the first time. */
let newcomers = 0
function outcome({ directory }: Tenants): string {
  const name = `t${String(newcomers++)}`
  try {
    return directory.enter(name).hasRate ? 'rated' : 'free'
  } catch (error) {
    return error instanceof AppError ? error.code : String(error)
  }
}

async function until(clock: VirtualClock, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    if (await isSo()) return
    await clock.advance(LOOKS_EVERY_MS)
    await systemClock.sleep(PAUSE_MS)
  }
  assert.fail('it never comes')
}

async function brokenOf(registry: Registry): Promise<number> {
  const metric = registry.getSingleMetric('tributary_tenants_settings_broken')
  return (await metric!.get()).values[0]!.value
}

describe('openTenants', () => {
  let folder: string
  let server: RedisServer

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-tenants-'))
    server = await RedisServer.start()
  })

  after(async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  function open(
    place: string,
    clock = new VirtualClock(),
    registry = createRegistry({ hasProcessMetrics: false }),
  ) {
    const { config } = parseSettings(redisSettings, { args: ['--redis-url', server.url] })
    return openTenants({
      tenantsMax: 100_000,
      tenantSettings: place,
      itemAgeMaxMs: 0,
      itemAheadMaxMs: 86_400_000,
      redis: config,
      clock,
      logger: createLogger({ name: 'tenants-test', level: 'silent' }),
      registry,
    })
  }

  async function command(...args: readonly string[]): Promise<number> {
    const terminal = {
      out: new PassThrough().resume(),
      err: new PassThrough().resume(),
      isInteractive: false,
      columns: 80,
    }
    return runCommandLine(['tenants', ...args, '--redis-url', server.url], terminal, '0')
  }

  it('follows a file, and keeps what it read while the file is broken or gone', async () => {
    const path = join(folder, 'tenants.json')
    await writeFile(path, JSON.stringify(RATED))
    const registry = createRegistry({ hasProcessMetrics: false })
    const clock = new VirtualClock()
    const tenants = await open(path, clock, registry)
    try {
      assert.equal(outcome(tenants), 'rated')
      await writeFile(path, JSON.stringify(CLOSED))
      await until(clock, () => outcome(tenants) === 'permission_denied')
      for (const damage of [() => writeFile(path, '{"format":1,'), () => rm(path)]) {
        await damage()
        await until(clock, async () => (await brokenOf(registry)) === 1)
        assert.equal(outcome(tenants), 'permission_denied')
        await writeFile(path, JSON.stringify(CLOSED))
        await until(clock, async () => (await brokenOf(registry)) === 0)
      }
      await writeFile(path, JSON.stringify({ format: 1 }))
      await until(clock, () => outcome(tenants) === 'free')
    } finally {
      await tenants.close()
    }
  })

  it('does not start with a file that is missing or wrong', async () => {
    const path = join(folder, 'wrong.json')
    await assert.rejects(open(path), { code: 'invalid_config' })
    await writeFile(path, '{}')
    await assert.rejects(open(path), { code: 'invalid_config' })
  })

  it('lets nobody in before redis says what holds, and keeps that when redis is emptied or gone', async () => {
    const path = join(folder, 'put.json')
    const clock = new VirtualClock()
    const registry = createRegistry({ hasProcessMetrics: false })
    const tenants = await open('redis', clock, registry)
    try {
      assert.equal(outcome(tenants), 'not_ready')
      await writeFile(path, '{"format":1,"default":{"rate":1}}')
      assert.equal(await command('set', path), 2, 'a wrong document never gets there')
      await writeFile(path, JSON.stringify(RATED))
      assert.equal(await command('check', path), 0)
      assert.equal(await command('set', path), 0)
      assert.equal(await command('show'), 0)
      await until(clock, () => outcome(tenants) === 'rated')
      await server.restartEmpty()
      await until(clock, async () => (await brokenOf(registry)) === 1)
      assert.equal(outcome(tenants), 'rated')
      await writeFile(path, JSON.stringify(CLOSED))
      assert.equal(await command('set', path), 0)
      await until(clock, () => outcome(tenants) === 'permission_denied')
    } finally {
      await tenants.close()
    }
  })
})
