import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'

import { parseApiKey } from '@tributary/common/tenants/api-key'

import { runCommandLine } from '../../src/command-line.ts'
import { MemoryTerminal } from '../memory-terminal.ts'

interface Listed {
  readonly id: string
  readonly tenant: string
  readonly standing: string
  readonly note: string
  readonly expiresAt?: string
}

describe('tributary keys', () => {
  let folder: string
  let path: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-keys-'))
    path = join(folder, 'keys.json')
  })

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  async function keys(...words: readonly string[]) {
    const terminal = new MemoryTerminal()
    const status = await runCommandLine(['keys', ...words, '--api-keys', path], terminal, '0')
    return { status, out: terminal.outText, err: terminal.errText }
  }

  async function create(...flags: readonly string[]): Promise<{ id: string; text: string }> {
    const { status, out, err } = await keys('create', '--tenant', 'shop', ...flags)
    assert.equal(status, 0, err)
    const key = parseApiKey(out.trimEnd())
    assert.ok(key !== undefined, 'standard output is the key alone')
    return key
  }

  async function list(): Promise<readonly Listed[]> {
    const { status, out } = await keys('list', '--json')
    assert.equal(status, 0)
    return JSON.parse(out) as readonly Listed[]
  }

  it('creates a key, shows it once, and keeps only its hash', async () => {
    const { id, text } = await create('--note', 'checkout service')
    const secret = text.slice(-49)
    assert.ok(!(await readFile(path, 'utf8')).includes(secret))
    for (const { out } of [await keys('list'), await keys('list', '--json')]) {
      assert.ok(out.includes(id) && out.includes('checkout service'))
      assert.ok(!out.includes(secret) && !out.includes('hmac-sha256'))
    }
  })

  it('revokes a key for good', async () => {
    const { id } = await create()
    assert.equal((await keys('revoke', id)).status, 0)
    assert.equal((await keys('revoke', id)).status, 0, 'twice is no mistake')
    assert.deepEqual(
      (await list()).map(({ standing }) => standing),
      ['revoked'],
    )
    assert.equal((await keys('rotate', id)).status, 1)
  })

  it('rotates a key: the old one ends after its grace, the new one is like it', async () => {
    const old = await create('--note', 'n', '--expires-in', '30d')
    const { out } = await keys('rotate', old.id, '--grace', '1h', '--json')
    const issued = JSON.parse(out) as { id: string; tenant: string; key: string }
    assert.equal(parseApiKey(issued.key)?.id, issued.id)
    const [first, second] = await list()
    assert.deepEqual([first!.id, second!.id], [old.id, issued.id])
    const leftMs = Date.parse(first!.expiresAt!) - Date.now()
    assert.ok(leftMs > 3_500_000 && leftMs <= 3_600_000)
    assert.deepEqual([second!.tenant, second!.note, second!.standing], ['shop', 'n', 'live'])
    assert.ok(Date.parse(second!.expiresAt!) - Date.now() > 29 * 86_400_000)
  })

  it('never gives a rotated key a longer life than it had', async () => {
    const { id } = await create('--expires-in', '10m')
    const [before] = await list()
    await keys('rotate', id, '--grace', '7d')
    assert.equal((await list())[0]!.expiresAt, before!.expiresAt)
  })

  it('says what is wrong with the words', async () => {
    const mistakes: readonly (readonly string[])[] = [
      [],
      ['make'],
      ['create'],
      ['create', '--tenant', 'Not/A/Name'],
      ['create', '0123456789', '--tenant', 'shop'],
      ['revoke'],
      ['list', '0123456789'],
    ]
    for (const words of mistakes) assert.equal((await keys(...words)).status, 2, words.join(' '))
    await create()
    assert.equal((await keys('revoke', '0123456789')).status, 1)
  })

  it('does not take a missing file for an empty one when it lists', async () => {
    assert.equal((await keys('list')).status, 1)
  })
})
