import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'

import type { CommitFile } from '@tributary/common/commit/commit-record'
import { AppError } from '@tributary/common/errors'
import type { ObjectStore } from '@tributary/common/object-store/object-store'

import { FileCache } from '../../src/query/file-cache.ts'

const FILE_BYTES = 1000

function fileOf(name: string): CommitFile {
  return {
    key: `data/${name}`,
    bytes: FILE_BYTES,
    sha256: createHash('sha256').update(name).digest('hex'),
    rows: 1,
    tenant: 'default',
    signal: 'logs',
    hour: '2026-11-21T03',
    timeMin: '0',
    timeMax: '0',
  }
}

describe('FileCache', () => {
  let folder = ''
  let downloads: string[] = []

  /** Only what the cache calls. */
  const store = {
    getToFile: (key: string, path: string) => {
      downloads.push(key)
      writeFileSync(path, Buffer.alloc(key.includes('broken') ? FILE_BYTES / 2 : FILE_BYTES))
      if (key.includes('broken')) {
        return Promise.reject(new AppError('store_unavailable', 'connection lost'))
      }
      return Promise.resolve()
    },
  } as Partial<ObjectStore> as ObjectStore

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tributary-cache-'))
    downloads = []
  })

  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  function cacheOf(bytesMax: number): FileCache {
    return new FileCache(store, { folder, bytesMax })
  }

  it('downloads each content once and gives paths in the order of the files', async () => {
    const files = ['a', 'b', 'a', 'c', 'd', 'e'].map(fileOf)
    const paths = await cacheOf(10_000).fetch(files)
    assert.equal(downloads.length, 5)
    assert.equal(paths[0], paths[2])
    for (const path of paths) assert.equal(readFileSync(path).length, FILE_BYTES)
    await cacheOf(10_000).fetch(files)
    assert.equal(downloads.length, 5)
  })

  it('downloads a copy of the wrong size again', async () => {
    const [path = ''] = await cacheOf(10_000).fetch([fileOf('a')])
    writeFileSync(path, 'short')
    await cacheOf(10_000).fetch([fileOf('a')])
    assert.equal(readFileSync(path).length, FILE_BYTES)
  })

  it('removes the copies longest unused to stay within its bound', async () => {
    const [a = '', b = ''] = await cacheOf(2000).fetch([fileOf('a'), fileOf('b')])
    utimesSync(a, 100, 100)
    utimesSync(b, 200, 200)
    const [c = ''] = await cacheOf(2000).fetch([fileOf('c')])
    assert.deepEqual([a, b, c].map(existsSync), [false, true, true])
  })

  it('keeps the copies that the query needs, however old', async () => {
    const [a = ''] = await cacheOf(2000).fetch([fileOf('a'), fileOf('b')])
    utimesSync(a, 100, 100)
    await cacheOf(2000).fetch([fileOf('a'), fileOf('c')])
    assert.ok(existsSync(a))
    assert.equal(readdirSync(folder).length, 2)
  })

  it('refuses a query whose files do not fit, before any download', async () => {
    const files = ['a', 'b', 'c'].map(fileOf)
    await assert.rejects(cacheOf(2000).fetch(files), { code: 'invalid_config' })
    assert.deepEqual(downloads, [])
  })

  it('leaves nothing behind of a download that failed', async () => {
    await assert.rejects(cacheOf(2000).fetch([fileOf('broken')]), { code: 'store_unavailable' })
    assert.deepEqual(readdirSync(folder), [])
  })

  it('removes parts of downloads whose process died, not those under way', async () => {
    writeFileSync(join(folder, 'x.parquet.1.part'), 'old')
    writeFileSync(join(folder, 'y.parquet.2.part'), 'new')
    utimesSync(join(folder, 'x.parquet.1.part'), 100, 100)
    await cacheOf(2000).fetch([])
    assert.deepEqual(readdirSync(folder), ['y.parquet.2.part'])
  })
})
