import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { after, before, describe, it } from 'node:test'

import { setFailpoints } from '../../src/failpoint.ts'
import { createLogger } from '../../src/logger.ts'
import type { ObjectStore } from '../../src/object-store/object-store.ts'
import { openObjectStore } from '../../src/object-store/object-store.ts'
import { storeIdentity } from '../../src/object-store/store-identity.ts'
import { FaultFileSystem } from '../../src/testing/fault-file-system.ts'
import { collect, storeContract } from './store-contract.ts'

const logger = createLogger({ name: 'test', level: 'silent' })
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const sha256 = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tributary-store-'))
})
after(async () => {
  setFailpoints(undefined)
  await rm(folder, { recursive: true })
})

let storeCount = 0
async function freshStore(): Promise<{ store: ObjectStore; root: string }> {
  const root = join(folder, `store-${storeCount++}`)
  return { store: await openObjectStore(pathToFileURL(root).href, { logger }), root }
}

storeContract('FileObjectStore', async () => {
  const { store, root } = await freshStore()
  await mkdir(join(root, '..', 'spool'), { recursive: true })
  return { store, spoolFolder: join(root, '..', 'spool') }
})

describe('FileObjectStore', () => {
  it('keeps every object below its folder, whatever the key', async () => {
    const { store } = await freshStore()
    const keys = [
      '../x',
      'a/../../x',
      '/etc/x',
      'a//b',
      'a/',
      '',
      '.hidden',
      'a/./b',
      'a\\b',
      'a\0',
    ]
    for (const key of keys) {
      await assert.rejects(store.put(key, bytes('x')), { code: 'invalid_key' }, key)
      await assert.rejects(store.get(key), { code: 'invalid_key' }, key)
      await assert.rejects(store.delete(key), { code: 'invalid_key' }, key)
      await assert.rejects(store.putFile(key, '/dev/null', 0, ''), { code: 'invalid_key' }, key)
    }
    assert.deepEqual(await collect(store.list('../')), [])
    assert.deepEqual(await collect(store.list('a/../')), [])
  })

  it('does not take a file on the path of a key for the object', async () => {
    const { store } = await freshStore()
    await store.put('a/b', bytes('x'))
    await assert.rejects(store.put('a/b/c', bytes('y'), { onlyIfAbsent: true }), {
      code: 'store_unavailable',
    })
    assert.equal(await store.head('a/b/c'), undefined)
    assert.equal(await store.head('a'), undefined)
    await assert.rejects(store.get('a'), { code: 'object_missing' })
  })

  it('leaves temporary files only when a put dies before its link', async () => {
    const { store, root } = await freshStore()
    setFailpoints('store:before-link=throw')
    await assert.rejects(store.put('commits/x', bytes('1'), { onlyIfAbsent: true }))
    setFailpoints(undefined)
    assert.equal(await store.head('commits/x'), undefined)
    assert.deepEqual(await readdir(join(root, '.temporary')), [])
    await store.put('commits/x', bytes('2'), { onlyIfAbsent: true })
  })

  it('removes the temporary files of dead processes at start, and no others', async () => {
    const { root } = await freshStore()
    const uuid = '00000000-0000-4000-8000-000000000000'
    const host = hostname().replace(/[^A-Za-z0-9.-]/g, '-')
    const temporary = join(root, '.temporary')
    const dead = `${host}~4194305~${uuid}`
    const kept = [`${host}~1~${uuid}`, `${host}~${process.pid}~${uuid}`, `elsewhere~7~${uuid}`]
    for (const name of [dead, ...kept]) await writeFile(join(temporary, name), 'x')
    await openObjectStore(pathToFileURL(root).href, { logger })
    assert.deepEqual((await readdir(temporary)).sort(), kept.sort())
  })

  it('replaces a damaged object when its file is published again', async () => {
    const { store, root } = await freshStore()
    const path = join(root, '..', 'again.parquet')
    const body = bytes('the right bytes')
    await writeFile(path, body)
    await store.putFile('data/a', path, body.length, sha256(body))
    await rm(join(root, 'data/a'))
    await writeFile(join(root, 'data/a'), 'the wrong bytes')
    await store.putFile('data/a', path, body.length, sha256(body))
    assert.equal(await readFile(join(root, 'data/a'), 'utf8'), 'the right bytes')
  })

  it('refuses a file whose size is not the one promised', async () => {
    const { store, root } = await freshStore()
    const path = join(root, '..', 'short.parquet')
    await writeFile(path, 'abc')
    await assert.rejects(store.putFile('data/short', path, 4, sha256(bytes('abc'))), {
      code: 'object_mismatch',
    })
    assert.equal(await store.head('data/short'), undefined)
  })

  it('goes on after its folder was removed below it', async () => {
    const { store, root } = await freshStore()
    await store.put('a/b', bytes('1'))
    await rm(join(root, 'a'), { recursive: true })
    await assert.rejects(store.put('a/b', bytes('2')), { code: 'store_unavailable' })
    await store.put('a/b', bytes('3'))
    assert.deepEqual(await store.get('a/b'), bytes('3'))
  })

  it('takes a folder with any name, and says when a URL names none', async () => {
    const root = join(folder, 'a b%20c ü')
    await (await openObjectStore(pathToFileURL(root).href, { logger })).put('a', bytes('x'))
    assert.equal(await readFile(join(root, 'a'), 'utf8'), 'x')
    for (const url of ['file://host/x', 'file:///a%2fb', 'ftp://x/y', 'folder', '']) {
      await assert.rejects(openObjectStore(url, { logger }), { code: 'invalid_config' }, url)
    }
  })

  it('does not show foreign and hidden files', async () => {
    const { store, root } = await freshStore()
    await store.put('a/b', bytes('1'))
    await writeFile(join(root, 'a', '.DS_Store'), 'x')
    await writeFile(join(root, 'a', 'a file'), 'x')
    assert.deepEqual(await collect(store.list('')), ['a/b'])
  })
})

describe('FileObjectStore on a failing disk', () => {
  const url = 'file:///store'
  const open = (fs: FaultFileSystem): Promise<ObjectStore> => openObjectStore(url, { logger, fs })

  for (const code of ['ENOSPC', 'EIO', 'EROFS', 'EDQUOT']) {
    for (const operation of ['open', 'write', 'sync', 'link', 'syncDirectory'] as const) {
      it(`answers store_unavailable to ${code} of ${operation}, and the next put succeeds`, async () => {
        const fs = new FaultFileSystem(1)
        const store = await open(fs)
        await store.put('commits/warm', bytes('0'))
        fs.inject({ operation, code })
        await assert.rejects(store.put('commits/a', bytes('1'), { onlyIfAbsent: true }), {
          code: 'store_unavailable',
        })
        await store.put('commits/a', bytes('1'), { onlyIfAbsent: true }).catch((error: unknown) => {
          // the name was made before the folder's sync failed: the outcome was unknown, as promised
          assert.equal((error as { code?: string }).code, 'object_exists')
          assert.equal(operation, 'syncDirectory')
        })
        const next = await open(fs.losePower())
        assert.deepEqual(await next.get('commits/a'), bytes('1'))
      })
    }
  }

  it('writes everything where single writes fall short', async () => {
    const fs = new FaultFileSystem(1)
    const store = await open(fs)
    fs.inject({ operation: 'write', partialBytes: 3, times: 5 })
    await store.put('a/b', bytes('a longer text than that'))
    assert.deepEqual(await store.get('a/b'), bytes('a longer text than that'))
  })

  it('keeps what it confirmed through a power loss, whatever else is lost', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const fs = new FaultFileSystem(seed)
      const store = await open(fs)
      const id = await storeIdentity(store)
      await store.put('commits/l/t/0/1.json', bytes('one'), { onlyIfAbsent: true })
      // dies between link and sync of the folder
      setFailpoints('store:after-link=throw')
      await assert.rejects(store.put('commits/l/t/0/2.json', bytes('two'), { onlyIfAbsent: true }))
      setFailpoints(undefined)
      const second = await open(fs)
      await second.settle('commits/l/t/0/')
      const seen = await collect(second.list('commits/'))
      const third = await open(fs.losePower())
      assert.deepEqual(await collect(third.list('commits/')), seen, `seed ${seed}`)
      assert.equal(await storeIdentity(third), id)
      assert.deepEqual(await third.get('commits/l/t/0/1.json'), bytes('one'))
    }
  })

  it('tells nobody of an existing object before its name is durable', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const fs = new FaultFileSystem(seed)
      const store = await open(fs)
      setFailpoints('store:after-link=throw')
      await assert.rejects(store.put('commits/a', bytes('winner'), { onlyIfAbsent: true }))
      setFailpoints(undefined)
      const other = await open(fs)
      await assert.rejects(other.put('commits/a', bytes('loser'), { onlyIfAbsent: true }), {
        code: 'object_exists',
      })
      const next = await open(fs.losePower())
      assert.deepEqual(await next.get('commits/a'), bytes('winner'), `seed ${seed}`)
    }
  })

  it('says that a file system without hard links is unfit', async () => {
    const fs = new FaultFileSystem(1)
    const store = await open(fs)
    fs.inject({ operation: 'link', code: 'ENOTSUP', times: Infinity })
    await assert.rejects(store.probe(), { code: 'store_unfit' })
  })
})
