import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'

import { AppError } from '../../src/errors.ts'
import { setFailpoints } from '../../src/failpoint.ts'
import type { ObjectStore } from '../../src/object-store/object-store.ts'
import { schemaKey } from '../../src/paths.ts'
import { loadSchema, parseSchemaVersion, resolveOrExtend } from '../../src/schema/schema-chain.ts'
import type { WantedColumn } from '../../src/schema/schema-state.ts'
import { FaultFileSystem } from '../../src/testing/fault-file-system.ts'
import { memoryStore } from '../commit/sample-commit.ts'

const item = (key: string, type: WantedColumn['type']): WantedColumn => ({
  namespace: 'attributes',
  key,
  type,
})

describe('schema chain', () => {
  let store: ObjectStore
  beforeEach(async () => {
    store = await memoryStore()
  })
  afterEach(() => {
    setFailpoints(undefined)
  })

  it('adds a version only for what is new', async () => {
    const first = await resolveOrExtend(store, 'acme', 'logs', [item('a', 'int'), item('b', 'any')])
    assert.equal(first.version, 1)
    assert.equal(await resolveOrExtend(store, 'acme', 'logs', [item('b', 'any')], first), first)
    const second = await resolveOrExtend(store, 'acme', 'logs', [item('a', 'string')], first)
    assert.equal(second.version, 2)
    const other = await resolveOrExtend(store, 'acme', 'spans', [item('a', 'string')])
    assert.equal(other.resolve('attributes', 'a', 'string'), 'attributes.a')
    const loaded = await loadSchema(store, 'acme', 'logs')
    assert.deepEqual(loaded.snapshot(), second.snapshot())
    assert.deepEqual((await loadSchema(store, 'acme', 'logs', first)).snapshot(), second.snapshot())
    assert.equal((await loadSchema(store, 'acme', 'metrics')).version, 0)
  })

  it('writes what docs/format/schema.md shows', async () => {
    await resolveOrExtend(store, 'acme', 'logs', [item('Ä@', 'int')])
    const text = Buffer.from(await store.get('schemas/acme/logs/00000001.json')).toString()
    assert.equal(
      text,
      '{"formatVersion":1,"tenant":"acme","signal":"logs","version":1,"additions":' +
        '[{"namespace":"attributes","key":"Ä@","type":"int","column":"attributes.Ä@@"}]}',
    )
  })

  it('makes racing writers agree, whoever comes first', async () => {
    for (let round = 0; round < 10; round++) {
      const tenant = `race-${round}`
      const wants = [
        [item('k', 'int'), item('x', 'int')],
        [item('k', 'string'), item('X', 'string')],
        [item('k', 'double'), item('x', 'double')],
        [item('K', 'any'), item('k', 'bool')],
      ]
      const states = await Promise.all(
        wants.map((want) => resolveOrExtend(store, tenant, 'logs', want)),
      )
      const final = await loadSchema(store, tenant, 'logs')
      const columns = final.snapshot().additions.map(({ column }) => column.toLowerCase())
      assert.equal(new Set(columns).size, 8)
      assert.equal(new Set(states.map(({ version }) => version)).size, 4)
      states.forEach((state, writer) => {
        for (const { namespace, key, type } of wants[writer]!) {
          const column = state.resolve(namespace, key, type)
          assert.ok(column !== undefined)
          assert.equal(final.resolve(namespace, key, type), column)
        }
      })
    }
  })

  it('is the same after a crash at any step, and after a lost answer', async () => {
    const points = [
      'schema:before-put',
      'store:before-link',
      'store:after-link',
      'schema:after-put',
    ]
    for (const point of points) {
      const fs = new FaultFileSystem(3)
      const crashed = await memoryStore(fs)
      await resolveOrExtend(crashed, 'acme', 'logs', [item('a', 'int')])
      setFailpoints(`${point}=throw`)
      await assert.rejects(resolveOrExtend(crashed, 'acme', 'logs', [item('b', 'int')]))
      setFailpoints(undefined)
      const restarted = await memoryStore(fs)
      const state = await resolveOrExtend(restarted, 'acme', 'logs', [item('b', 'int')])
      assert.equal(state.version, 2, point)
      assert.equal(state.resolve('attributes', 'b', 'int'), 'attributes.b')
      const next = await memoryStore(fs.losePower())
      assert.deepEqual((await loadSchema(next, 'acme', 'logs')).snapshot(), state.snapshot(), point)
    }
  })

  it('refuses a gap, a foreign and a damaged version, and names it', async () => {
    await resolveOrExtend(store, 'acme', 'logs', [item('a', 'int')])
    const state = await resolveOrExtend(store, 'acme', 'logs', [item('b', 'int')])
    const key = schemaKey('acme', 'logs', 2)
    const good = await store.get(key)
    const refused = async (body: Uint8Array | string): Promise<AppError> => {
      await store.put(key, Buffer.from(body))
      const error: unknown = await loadSchema(store, 'acme', 'logs').catch((e: unknown) => e)
      assert.ok(error instanceof AppError && error.code === 'schema_conflict', String(error))
      return error
    }
    assert.equal((await refused('{')).details['key'], key)
    await refused(await store.get(schemaKey('acme', 'logs', 1)))
    await refused(Buffer.from(good).toString().replace('"acme"', '"evil"'))
    await refused(Buffer.from(good).toString().replace('"attributes.b"', '"attributes.a"'))
    await store.put(key, good)
    assert.deepEqual((await loadSchema(store, 'acme', 'logs')).snapshot(), state.snapshot())
    await store.delete(schemaKey('acme', 'logs', 1))
    await assert.rejects(loadSchema(store, 'acme', 'logs'), { code: 'schema_conflict' })
  })

  it('refuses a version of a newer format', () => {
    const body = Buffer.from('{"formatVersion":2,"tenant":"a","signal":"logs","version":1}')
    assert.throws(() => parseSchemaVersion(body), { code: 'schema_conflict' })
  })
})
