import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'

import { CommitChain } from '../../src/commit/commit-chain.ts'
import { serializeCommitRecord } from '../../src/commit/commit-record.ts'
import type { CommitRecord } from '../../src/commit/commit-record.ts'
import type { ObjectStore } from '../../src/object-store/object-store.ts'
import { commitKey } from '../../src/paths.ts'
import { sweepOrphans } from '../../src/verify/orphan-sweep.ts'
import { verifyStore } from '../../src/verify/verify.ts'
import { verifyExitStatus } from '../../src/verify/verify-report.ts'
import type { ProblemKind } from '../../src/verify/verify-report.ts'
import { PARTITION, commitFile, commitRecord, memoryStore } from '../commit/sample-commit.ts'
import { fillStore, putDataFile, putSidecar } from './sample-store.ts'

/** The memory file system knows no times: everything is as old as 1970. */
const AN_HOUR_OLD = { graceMs: Date.now() + 3_600_000 }
const OLD = { graceMs: 60_000 }

describe('verifyStore', () => {
  let store: ObjectStore
  let records: CommitRecord[]
  beforeEach(async () => {
    store = await memoryStore()
    records = await fillStore(store)
  })

  async function problems(options = OLD): Promise<[ProblemKind, string][]> {
    const report = await verifyStore(store, options)
    assert.equal(verifyExitStatus(report), report.problems.length === 0 ? 0 : 1)
    return report.problems.map(({ kind, key }) => [kind, key])
  }

  /** Writes a commit without the checks of the chain. */
  async function forge(start: bigint, change: (json: Record<string, unknown>) => void) {
    const key = commitKey(PARTITION, start)
    const bytes = await store.get(key).catch(() => serializeCommitRecord(records[2]!))
    const json = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>
    change(json)
    await store.put(key, Buffer.from(JSON.stringify(json)))
    return key
  }

  async function flip(key: string, at: number): Promise<void> {
    const body = (await store.get(key)).slice()
    body.set([body.at(at)! ^ 1], at < 0 ? body.length + at : at)
    await store.put(key, body)
  }

  it('proves a whole store, and tells holes with their reasons', async () => {
    const report = await verifyStore(store, OLD)
    assert.deepEqual(report.problems, [])
    assert.equal(report.isWhole, true)
    assert.equal(verifyExitStatus(report), 0)
    assert.equal(report.files, 5)
    assert.equal(report.rows, 45)
    assert.deepEqual(report.holes, [
      { ...PARTITION, start: '40', end: '42', reason: 'log damaged' },
    ])
    const [chain, other] = report.chains
    assert.deepEqual(chain, {
      ...{ ...PARTITION, commits: 3, end: '251' },
      ...{ rowsIn: 45, rowsStored: 45, rowsSuppressed: 0, rowsQuarantined: 0 },
    })
    assert.equal(other!.end, '9')
    assert.deepEqual(JSON.parse(JSON.stringify(report)), report)
  })

  it('proves an empty store', async () => {
    const report = await verifyStore(await memoryStore())
    assert.equal(report.isWhole, true)
    assert.equal(report.files, 0)
  })

  it('finds a missing file', async () => {
    const { key } = records[1]!.files[0]!
    await store.delete(key)
    assert.deepEqual(await problems(), [['file_missing', key]])
  })

  it('finds a flipped bit at any place of a file', async () => {
    const { key } = records[0]!.files[0]!
    for (const at of [0, 5, 100, -100, -9, -1]) {
      await flip(key, at)
      assert.deepEqual(await problems(), [['file_hash', key]], `byte ${at}`)
      await flip(key, at)
    }
    assert.deepEqual(await problems(), [])
  })

  it('finds a file that was cut or grew', async () => {
    const { key } = records[0]!.files[1]!
    const body = await store.get(key)
    for (const other of [body.subarray(0, -1), Buffer.concat([body, Buffer.from('x')])]) {
      await store.put(key, other)
      assert.deepEqual(await problems(), [['file_size', key]])
    }
  })

  it('finds rows that are not those of the commit', async () => {
    const key = await forge(100n, (json) => {
      const files = json['files'] as { rows: number }[]
      files[0]!.rows++
      files[1]!.rows--
    })
    const found = await problems()
    assert.deepEqual(
      found.map(([kind]) => kind),
      ['file_rows', 'file_rows'],
    )
    await forge(100n, (json) => {
      ;(json['files'] as { rows: number }[])[0]!.rows--
    })
    assert.deepEqual((await problems())[0], ['counts_wrong', key])
  })

  it('finds rows in that are not stored, suppressed or quarantined', async () => {
    const key = await forge(100n, (json) => {
      ;(json['counts'] as { rowsIn: number }).rowsIn++
    })
    assert.deepEqual(await problems(), [['counts_wrong', key]])
  })

  it('finds a file that says something else about itself than its commit', async () => {
    const range = { start: 251n, end: 252n }
    const written = await putDataFile(store, range, { signal: 'metrics' }, 9)
    const key = await forge(251n, (json) => {
      Object.assign(json, { start: '251', end: '252', files: [written] })
      json['counts'] = { rowsIn: 10, rowsStored: 10, rowsSuppressed: 0, rowsQuarantined: 0 }
      json['schemaVersions'] = { 'acme/metrics': 0 }
    })
    assert.ok(key)
    assert.deepEqual(await problems(), [['file_footer', written.key]])
  })

  it('finds a file that is no Parquet', async () => {
    const range = { start: 251n, end: 252n }
    const body = Buffer.from('this is not a Parquet file at all')
    const file = commitFile(range, { body })
    await store.put(file.key, body)
    await forge(251n, (json) => {
      Object.assign(json, { start: '251', end: '252', files: [file] })
      json['counts'] = { rowsIn: 10, rowsStored: 10, rowsSuppressed: 0, rowsQuarantined: 0 }
      json['schemaVersions'] = { 'acme/logs': 1 }
    })
    assert.deepEqual(await problems(), [['file_unreadable', file.key]])
  })

  it('finds a gap where a commit is missing, at the start too', async () => {
    await store.delete(commitKey(PARTITION, 100n))
    const found = await problems()
    assert.deepEqual(found[0], ['gap', commitKey(PARTITION, 250n)])
    // its files and its sidecar are named by nobody now
    assert.deepEqual(
      found.slice(1).map(([kind]) => kind),
      ['orphan', 'orphan', 'orphan'],
    )
    await store.delete(commitKey(PARTITION, 0n))
    assert.deepEqual((await problems())[0], ['gap', commitKey(PARTITION, 250n)])
  })

  it('finds an overlap', async () => {
    const key = await forge(200n, (json) => {
      Object.assign(json, { start: '200', end: '251', files: [] })
    })
    const found = await problems()
    assert.deepEqual(found, [
      ['overlap', key],
      ['overlap', commitKey(PARTITION, 250n)],
    ])
  })

  it('finds a damaged commit and goes on behind it', async () => {
    const key = commitKey(PARTITION, 100n)
    await flip(key, 0)
    await store.delete(records[0]!.files[0]!.key)
    const found = await problems()
    assert.deepEqual(found[0], ['commit_damaged', key])
    assert.deepEqual(found.at(-1), ['file_missing', records[0]!.files[0]!.key])
  })

  it('finds a commit under the key of another one', async () => {
    await store.put(commitKey(PARTITION, 251n), await store.get(commitKey(PARTITION, 0n)))
    const kinds = (await problems()).map(([kind]) => kind)
    assert.ok(kinds.includes('commit_foreign'))
    assert.ok(kinds.includes('file_twice'))
    await store.put('commits/readme.txt', Buffer.from('x'))
    assert.ok((await problems()).some(([, key]) => key === 'commits/readme.txt'))
  })

  it('finds a missing and a damaged sidecar', async () => {
    const [first, second] = records
    await store.delete(first!.hashes!)
    await flip(second!.hashes!, 50)
    assert.deepEqual(await problems(), [
      ['sidecar_missing', first!.hashes],
      ['sidecar_damaged', second!.hashes],
    ])
  })

  it('finds a schema version that is missing or damaged', async () => {
    await store.put('schemas/acme/logs/00000001.json', Buffer.from('{}'))
    assert.deepEqual(await problems(), [['schema_broken', 'schemas/acme/logs/']])
    await store.delete('schemas/acme/logs/00000001.json')
    assert.deepEqual(await problems(), [['schema_version_missing', 'schemas/acme/logs/']])
  })

  it('calls a file that no commit names an orphan when it is old, not when it is young', async () => {
    const { key } = await putDataFile(store, { start: 0n, end: 90n }, {})
    const sidecar = await putSidecar(store, { start: 3n, end: 90n })
    await store.put('data/acme/logs/_temporary.txt', Buffer.from('x'))
    assert.deepEqual(await problems(), [
      ['orphan', 'data/acme/logs/_temporary.txt'],
      ['orphan', key],
      ['orphan', sidecar],
    ])
    assert.deepEqual(await problems(AN_HOUR_OLD), [])
    const report = await verifyStore(store, AN_HOUR_OLD)
    assert.equal(report.pending.length, 3)
  })

  it('proves a store that is written and swept meanwhile, without any grace', async () => {
    const writer = { isWriting: true }
    const write = async (): Promise<void> => {
      const chain = await CommitChain.open(store, PARTITION)
      for (let count = 0; count < 60; count++) {
        const range = { start: chain.end, end: chain.end + 2n }
        await putDataFile(store, { start: range.start, end: range.end + 5n }, {}, 1)
        const files = [await putDataFile(store, range, {}, 1)]
        const hashes = await putSidecar(store, range)
        const schemaVersions = { 'acme/logs': 1 }
        const record = commitRecord(range.start, range.end, { files, hashes, schemaVersions })
        assert.equal(await chain.append(record), 'committed')
      }
      writer.isWriting = false
    }
    let swept = 0
    const sweep = async (): Promise<void> => {
      while (writer.isWriting) swept += (await sweepOrphans(store, { graceMs: -1 })).deletedCount
      swept += (await sweepOrphans(store, { graceMs: -1 })).deletedCount
    }
    const prove = async (): Promise<void> => {
      while (writer.isWriting) {
        const { problems: found } = await verifyStore(store, { graceMs: Infinity })
        assert.deepEqual(found, [])
      }
    }
    await Promise.all([write(), sweep(), prove()])
    assert.equal(swept, 60)
    assert.equal((await verifyStore(store, { graceMs: -1 })).isWhole, true)
  })

  it('does not call lost what a commit may still name, however old', async () => {
    const { key } = await putDataFile(store, { start: 251n, end: 300n }, {})
    const report = await verifyStore(store, OLD)
    assert.equal(report.isWhole, true)
    assert.deepEqual(
      report.pending.map((pending) => pending.key),
      [key],
    )
  })
})
