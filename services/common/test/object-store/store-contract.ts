/** What every backend of the object store must do; each runs it against a fresh store. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { AppError } from '../../src/errors.ts'
import type { ObjectEntry, ObjectStore } from '../../src/object-store/object-store.ts'
import { storeIdentity } from '../../src/object-store/store-identity.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const sha256 = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')

/** The keys of a listing. */
export async function collect(entries: AsyncIterable<ObjectEntry>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of entries) keys.push(key)
  return keys
}

export function storeContract(
  name: string,
  open: () => Promise<{ store: ObjectStore; spoolFolder: string }>,
): void {
  describe(`${name} as an object store`, () => {
    let store: ObjectStore
    let spoolFolder: string
    before(async () => {
      const opened = await open()
      store = opened.store
      spoolFolder = opened.spoolFolder
    })
    after(() => store.close())

    it('passes its own probe', async () => {
      await store.probe()
      assert.deepEqual(await collect(store.list('probe')), [])
    })

    it('gives back what was put, and replaces it', async () => {
      await store.put('put/a', bytes('first'))
      await store.put('put/a', bytes('second'), { sha256: sha256(bytes('second')) })
      assert.deepEqual(Buffer.from(await store.get('put/a')).toString(), 'second')
      assert.deepEqual(await store.head('put/a'), { bytes: 6 })
      await store.put('put/empty', new Uint8Array(0))
      assert.equal((await store.get('put/empty')).length, 0)
    })

    it('refuses bytes that are not those that were hashed', async () => {
      await assert.rejects(store.put('put/b', bytes('x'), { sha256: sha256(bytes('y')) }), {
        code: 'object_mismatch',
      })
      assert.equal(await store.head('put/b'), undefined)
    })

    it('lets exactly one of 30 racing creators win, and keeps its bytes', async () => {
      for (let round = 0; round < 3; round++) {
        const key = `race/${round}`
        const outcomes = await Promise.all(
          Array.from({ length: 30 }, (_, writer) =>
            store.put(key, bytes(`writer ${writer}`), { onlyIfAbsent: true }).then(
              () => writer,
              (error: unknown) => {
                assert.ok(
                  error instanceof AppError && error.code === 'object_exists',
                  String(error),
                )
                return undefined
              },
            ),
          ),
        )
        const winners = outcomes.filter((writer) => writer !== undefined)
        assert.equal(winners.length, 1)
        assert.equal(Buffer.from(await store.get(key)).toString(), `writer ${winners[0]}`)
      }
    })

    it('has one id, whoever asks first', async () => {
      const ids = await Promise.all(Array.from({ length: 8 }, () => storeIdentity(store)))
      assert.equal(new Set(ids).size, 1)
      assert.match(ids[0]!, /^[0-9a-f-]{36}$/)
      assert.equal(await storeIdentity(store), ids[0])
    })

    it('says which object is missing, and deletes it again without error', async () => {
      await assert.rejects(store.get('nothing/here'), { code: 'object_missing' })
      await assert.rejects(store.getToFile('nothing/here', join(spoolFolder, 'nothing')), {
        code: 'object_missing',
      })
      assert.equal(await store.head('nothing/here'), undefined)
      await store.delete('nothing/here')
      await store.put('gone/a', bytes('x'))
      await store.delete('gone/a')
      await store.delete('gone/a')
      assert.equal(await store.head('gone/a'), undefined)
    })

    it('bounds what it reads into memory, and reads parts', async () => {
      await store.put('part/a', bytes('0123456789'))
      await assert.rejects(store.get('part/a', { bytesMax: 9 }), { code: 'object_too_large' })
      const read = async (offset: number, length: number) =>
        Buffer.from(
          await store.get('part/a', { bytesMax: 10, range: { offset, length } }),
        ).toString()
      assert.equal(await read(0, 4), '0123')
      assert.equal(await read(8, 4), '89')
      assert.equal(await read(3, 7), '3456789')
      assert.equal(await read(20, 4), '')
    })

    it('publishes a finished file, again with the same bytes too', async () => {
      const body = Buffer.alloc(3_000_000, 'parquet')
      const path = join(spoolFolder, 'finished.parquet')
      await writeFile(path, body)
      for (let time = 0; time < 2; time++) {
        await store.putFile('data/finished', path, body.length, sha256(body))
      }
      assert.deepEqual(await store.head('data/finished'), { bytes: body.length })
      const copy = join(spoolFolder, 'copy.parquet')
      await writeFile(copy, 'what was here before, and longer'.repeat(200_000))
      await store.getToFile('data/finished', copy)
      assert.ok(body.equals(await readFile(copy)))
      assert.ok(body.equals(await readFile(path)), 'the file of the caller stays')
    })

    it('lists by ascending key, from anywhere, under any prefix', async () => {
      const keys = ['a', 'a-b', 'a.b', 'a/b', 'a0', 'ab', 'a/b-c', 'a/b.d', 'A/b', 'b/c/d', 'b/c-d']
      // no key may be a path prefix of another: 'a' and 'a/b' live in different listings
      const safe = keys.filter((key) => !keys.some((other) => other.startsWith(`${key}/`)))
      for (const key of safe) await store.put(`list/${key}`, bytes(key))
      const all = safe.map((key) => `list/${key}`).sort()
      assert.deepEqual(await collect(store.list('list/')), all)
      for (const prefix of [
        'list/a',
        'list/a/',
        'list/b/c',
        'list/a/b',
        'list/zz',
        'lis',
        'list/A',
      ]) {
        const expected = all.filter((key) => key.startsWith(prefix))
        assert.deepEqual(await collect(store.list(prefix)), expected, prefix)
        for (const start of [
          'list/a',
          'list/a/',
          'list/a/b',
          'list/a/b-',
          'list/a0',
          'list/b/c',
          'm',
        ]) {
          assert.deepEqual(
            await collect(store.list(prefix, start)),
            expected.filter((key) => key > start),
            `${prefix} after ${start}`,
          )
        }
      }
      for await (const entry of store.list('list/b/')) {
        assert.equal(entry.bytes, entry.key.length - 'list/'.length)
        assert.ok(Math.abs(Date.now() - entry.lastModifiedMs) < 600_000)
      }
    })
  })
}
