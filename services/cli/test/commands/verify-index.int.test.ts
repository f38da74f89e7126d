import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'

import { RedisServer } from '@tributary/common/testing/redis-server'

import { runCommandLine } from '../../src/command-line.ts'
import type { IndexReport } from '../../src/verify/index-check.ts'
import { MemoryTerminal } from '../memory-terminal.ts'
import { StoreFixture } from '../store-fixture.ts'

const STORE_ID = '01234567-89ab-cdef-0123-456789abcdef'

describe('tributary verify of the index', () => {
  let redis: RedisServer
  let store: StoreFixture

  before(async () => {
    redis = await RedisServer.start()
  })
  after(() => redis.stop())
  beforeEach(async () => {
    await redis.admin.flushall()
    store = new StoreFixture()
    store.write('store.json', Buffer.from(JSON.stringify({ formatVersion: 1, id: STORE_ID })))
  })
  afterEach(() => {
    store.remove()
  })

  async function verify(...flags: readonly string[]) {
    const terminal = new MemoryTerminal()
    const args = ['verify', '--data-dir', store.dataDir, '--no-contents', ...flags]
    const status = await runCommandLine([...args, '--redis-url', redis.url], terminal, '0')
    return { status, terminal }
  }

  async function hourKeys(): Promise<string[]> {
    return redis.admin.keys('{tributary}:*:files:*')
  }

  it('makes an index of nothing whole, and proves it', async () => {
    await store.commit(
      { sql: 'SELECT 1 AS x', rows: 1, schemaVersion: 0 },
      { sql: 'SELECT 2 AS x', rows: 1, schemaVersion: 0, hour: 'late' },
    )
    await store.commit({ sql: 'SELECT 3 AS x', rows: 1, schemaVersion: 0, tenant: 'acme' })
    const empty = await verify('--check-index')
    assert.equal(empty.status, 0, empty.terminal.outText)
    assert.match(
      empty.terminal.outText,
      /\nindex is true: 0 files, 3 files behind it in the commits\n$/,
    )
    const repaired = await verify('--repair-index')
    assert.equal(repaired.status, 0, repaired.terminal.errText)
    assert.match(
      repaired.terminal.outText,
      /\nmade anew: 3 files of 2 commits in 1 chains, in \d+\.\d s\nindex is true: 3 files\n$/,
    )
    assert.equal((await hourKeys()).length, 3)
    assert.equal((await verify('--check-index')).status, 0)
  })

  it('says what is wrong, with status 1, and mends it', async () => {
    const [file = ''] = await store.commit({ sql: 'SELECT 1 AS x', rows: 1, schemaVersion: 0 })
    await store.commit({ sql: 'SELECT 2 AS x', rows: 1, schemaVersion: 0 })
    await verify('--repair-index')
    const [key = ''] = await hourKeys()
    await redis.admin.hdel(key, file.slice(file.lastIndexOf('/') + 1))
    const wrong = await verify('--check-index')
    assert.equal(wrong.status, 1)
    assert.match(
      wrong.terminal.outText,
      /\nindex is NOT true: 2 files, 1 missing, 0 different, 0 in no/,
    )
    assert.match(wrong.terminal.outText, new RegExp(`\\n  ${file}\\n`))
    const mended = await verify('--repair-index', '--json')
    assert.equal(mended.status, 0)
    const { index } = JSON.parse(mended.terminal.outText) as { index: IndexReport }
    assert.equal(index.before.isTrue, false)
    assert.equal(index.rebuilt?.files, 2)
    assert.equal(index.after?.isTrue, true)
    // the wrong one is gone
    assert.equal((await hourKeys()).length, 1)
    assert.ok((await hourKeys())[0]!.includes(index.after.generation))
  })

  it('indexes nothing of a broken chain, with status 1', async () => {
    const [first = ''] = await store.commit()
    await store.commit()
    rmSync(join(store.root, first))
    const { status, terminal } = await verify('--repair-index')
    assert.equal(status, 1)
    assert.match(terminal.errText, /a gap between commits/)
  })

  it("says that Redis is away, or the store nobody's", async () => {
    rmSync(join(store.root, 'store.json'))
    const nobody = await verify('--check-index')
    assert.equal(nobody.status, 1)
    assert.match(nobody.terminal.errText, /no store\.json/)
    const terminal = new MemoryTerminal()
    store.write('store.json', Buffer.from(JSON.stringify({ formatVersion: 1, id: STORE_ID })))
    const args = ['verify', '--data-dir', store.dataDir, '--check-index', '--redis-timeout', '50ms']
    const status = await runCommandLine(
      [...args, '--redis-url', 'redis://127.0.0.1:1'],
      terminal,
      '0',
    )
    assert.equal(status, 1)
    assert.match(terminal.errText, /metadata store does not answer/)
  })
})
