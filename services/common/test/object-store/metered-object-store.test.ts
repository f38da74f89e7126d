import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'

import { createLogger } from '../../src/logger.ts'
import { createRegistry } from '../../src/metrics.ts'
import { MeteredObjectStore } from '../../src/object-store/metered-object-store.ts'
import { openObjectStore } from '../../src/object-store/object-store.ts'

describe('MeteredObjectStore', () => {
  it('counts calls by outcome, bytes that were stored, and how long it took', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-metered-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const logger = createLogger({ name: 'test', level: 'silent' })
    const registry = createRegistry({ hasProcessMetrics: false })
    let nowMs = 0
    const clock = { monotonicMs: () => (nowMs += 250) }
    const behind = await openObjectStore(pathToFileURL(folder).href, { logger })
    const store = new MeteredObjectStore(behind, { registry, clock })
    await store.put('a', new Uint8Array(3), { onlyIfAbsent: true })
    await assert.rejects(store.put('a', new Uint8Array(5), { onlyIfAbsent: true }))
    await store.put('b', new Uint8Array(4))
    assert.equal((await store.get('a')).length, 3)
    await assert.rejects(store.get('c'))
    const keys: string[] = []
    for await (const { key } of store.list('')) keys.push(key)
    assert.deepEqual(keys, ['a', 'b'])
    for await (const { key } of store.list('z')) assert.fail(key)
    const text = await registry.metrics()
    const lines = [
      'tributary_store_requests_total{operation="put",outcome="ok"} 2',
      'tributary_store_requests_total{operation="put",outcome="object_exists"} 1',
      'tributary_store_requests_total{operation="get",outcome="object_missing"} 1',
      'tributary_store_requests_total{operation="list",outcome="ok"} 2',
      'tributary_store_put_bytes_total 7',
      'tributary_store_seconds_bucket{operation="put",le="0.25"} 3',
      'tributary_store_seconds_sum{operation="get"} 0.5',
    ]
    for (const line of lines) assert.ok(text.split('\n').includes(line), `${line}\n${text}`)
  })
})
