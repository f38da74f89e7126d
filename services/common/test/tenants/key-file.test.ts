import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'

import { systemClock } from '../../src/clock.ts'
import { AppError } from '../../src/errors.ts'
import { KeyFile } from '../../src/tenants/key-file.ts'
import { KEYS_MAX, REVOKED_KEPT_MS } from '../../src/tenants/key-store.ts'
import { keyRecordOf } from '../../src/testing/key-records.ts'

const DAY_MS = 86_400_000

describe('KeyFile', () => {
  let folder: string
  let path: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tributary-key-file-'))
    path = join(folder, 'keys', 'keys.json')
  })

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  function keyFile(): KeyFile {
    return new KeyFile(path, systemClock)
  }

  it('gives back what another one of the same path put, readable to its owner alone', async () => {
    const records = [
      keyRecordOf('shop'),
      keyRecordOf('*'),
      { ...keyRecordOf('billing'), note: 'é' },
    ]
    await keyFile().put(records)
    assert.deepEqual(await keyFile().list(), records)
    assert.deepEqual(
      await keyFile().find([records[1]!.id, 'unknown000']),
      new Map([[records[1]!.id, records[1]]]),
    )
    assert.equal((await stat(path)).mode & 0o777, 0o600)
  })

  it('sees each change, also one within a millisecond', async () => {
    const reader = keyFile()
    const record = keyRecordOf('shop')
    for (let index = 0; index < 50; index++) {
      const changed = { ...record, note: String(index) }
      await keyFile().put([changed])
      assert.deepEqual((await reader.find([record.id])).get(record.id), changed)
    }
  })

  it('keeps the records of writers that write together', async () => {
    const records = Array.from({ length: 20 }, () => keyRecordOf('shop'))
    await Promise.all(records.map((record) => keyFile().put([record])))
    const ids = (await keyFile().list()).map(({ id }) => id)
    assert.deepEqual(ids.sort(), records.map(({ id }) => id).sort())
  })

  it('never takes a damaged file for one without the key', async () => {
    const records = [keyRecordOf('shop'), keyRecordOf('billing')]
    await keyFile().put(records)
    const whole = await readFile(path)
    for (let length = 0; length < whole.length - 1; length++) {
      await writeFile(path, whole.subarray(0, length))
      await assert.rejects(keyFile().find([records[0]!.id]), isUnavailable, `${length} bytes`)
    }
    const damages = [
      whole.toString().replace('"format": 1', '"format": 2'),
      whole.toString().replace(records[1]!.id, records[0]!.id),
      whole.toString().replace('"shop"', '"Shop"'),
      whole.toString().replace('hmac-sha256', 'plain'),
      whole.toString().replace(/"createdAt": "[^"]*"/, '"createdAt": "soon"'),
      '[]',
    ]
    for (const text of damages) {
      await writeFile(path, text)
      await assert.rejects(keyFile().find([records[0]!.id]), isUnavailable, text)
    }
  })

  it('answers nothing while its file is gone, and again when it is back', async () => {
    const record = keyRecordOf('shop')
    const reader = keyFile()
    await assert.rejects(reader.find([record.id]), isUnavailable)
    await keyFile().put([record])
    assert.equal((await reader.find([record.id])).size, 1)
    await rm(path)
    await assert.rejects(reader.find([record.id]), isUnavailable)
    await keyFile().put([record])
    assert.equal((await reader.find([record.id])).size, 1)
  })

  it('forgets keys that were revoked long ago', async () => {
    const long = new Date(Date.now() - REVOKED_KEPT_MS - DAY_MS).toISOString()
    const lately = new Date(Date.now() - DAY_MS).toISOString()
    const old = { ...keyRecordOf('shop'), revokedAt: long }
    const recent = { ...keyRecordOf('shop'), revokedAt: lately }
    await keyFile().put([old, recent])
    await keyFile().put([])
    assert.deepEqual(
      (await keyFile().list()).map(({ id }) => id),
      [recent.id],
    )
  })

  it('refuses more keys than it can hold, and keeps what it had', async () => {
    const record = keyRecordOf('shop')
    await keyFile().put([record])
    const many = Array.from({ length: KEYS_MAX }, (_, index) => ({
      ...record,
      id: String(index).padStart(10, '0'),
    }))
    await assert.rejects(keyFile().put(many), (error) => codeOf(error) === 'invalid_config')
    assert.deepEqual(await keyFile().list(), [record])
  })
})

function codeOf(error: unknown): string {
  return error instanceof AppError ? error.code : ''
}

function isUnavailable(error: unknown): boolean {
  return codeOf(error) === 'credentials_unavailable'
}
