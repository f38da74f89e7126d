import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'

import { CommitChain } from '../../src/commit/commit-chain.ts'
import { setFailpoints } from '../../src/failpoint.ts'
import type { ObjectStore } from '../../src/object-store/object-store.ts'
import { commitKey } from '../../src/paths.ts'
import { sweepOrphans } from '../../src/verify/orphan-sweep.ts'
import { verifyStore } from '../../src/verify/verify.ts'
import { PARTITION, commitRecord, memoryStore } from '../commit/sample-commit.ts'
import { fillStore, putDataFile, putSidecar } from './sample-store.ts'

const YOUNG = { graceMs: Date.now() + 3_600_000 }
const OLD = { graceMs: 60_000 }

describe('sweepOrphans', () => {
  let store: ObjectStore
  beforeEach(async () => {
    store = await memoryStore()
    await fillStore(store)
  })
  afterEach(() => {
    setFailpoints(undefined)
  })

  it('deletes what no commit names nor ever will, and nothing else', async () => {
    const orphans = [
      // lost to another writer at the same start, and at a start that no commit has
      (await putDataFile(store, { start: 0n, end: 90n }, {})).key,
      (await putDataFile(store, { start: 7n, end: 90n }, { hour: 'late' })).key,
      await putSidecar(store, { start: 100n, end: 249n }),
    ]
    const foreign = 'data/acme/logs/readme.txt'
    await store.put(foreign, Buffer.from('x'))
    const open = await putDataFile(store, { start: 251n, end: 300n }, {})
    const dry = await sweepOrphans(store, { ...OLD, isDryRun: true })
    assert.deepEqual([...dry.deleted].sort(), orphans.sort())
    assert.ok((await store.head(orphans[0]!)) !== undefined)
    assert.equal((await sweepOrphans(store, YOUNG)).deletedCount, 0)
    const swept = await sweepOrphans(store, OLD)
    assert.deepEqual([...swept.deleted].sort(), orphans)
    assert.equal(swept.keptCount, 2)
    for (const key of orphans) assert.equal(await store.head(key), undefined)
    assert.ok((await store.head(open.key)) !== undefined)
    await store.delete(foreign)
    assert.equal((await verifyStore(store, OLD)).isWhole, true)
    assert.equal((await sweepOrphans(store, OLD)).deletedCount, 0)
  })

  it('never takes the files of a writer that slept between upload and commit', async () => {
    const range = { start: 251n, end: 300n }
    const file = await putDataFile(store, range, {}, 1)
    const chain = await CommitChain.open(store, PARTITION)
    assert.equal((await sweepOrphans(store, { graceMs: -1 })).deletedCount, 0)
    const schemaVersions = { 'acme/logs': 1 }
    const outcome = await chain.append(commitRecord(251n, 300n, { files: [file], schemaVersions }))
    assert.equal(outcome, 'committed')
    assert.equal((await sweepOrphans(store, { graceMs: -1 })).deletedCount, 0)
    assert.equal((await verifyStore(store, OLD)).isWhole, true)
  })

  it('deletes nothing while a commit cannot be read', async () => {
    const { key } = await putDataFile(store, { start: 0n, end: 90n }, {})
    await store.put(commitKey(PARTITION, 100n), Buffer.from('{'))
    await assert.rejects(sweepOrphans(store, OLD), { code: 'chain_broken' })
    await store.delete(commitKey(PARTITION, 100n))
    await assert.rejects(sweepOrphans(store, OLD), { code: 'chain_broken' })
    assert.ok((await store.head(key)) !== undefined)
  })

  it('goes on after it died in the middle', async () => {
    for (const hour of ['2026-11-21T01', '2026-11-21T02', 'late']) {
      await putDataFile(store, { start: 0n, end: 90n }, { hour })
    }
    setFailpoints('sweep:before-delete=throw@2')
    await assert.rejects(sweepOrphans(store, OLD))
    setFailpoints(undefined)
    assert.equal((await sweepOrphans(store, OLD)).deletedCount, 2)
    assert.equal((await verifyStore(store, OLD)).isWhole, true)
  })
})
