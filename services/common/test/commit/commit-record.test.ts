import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import {
  COMMIT_BYTES_MAX,
  parseCommitRecord,
  serializeCommitRecord,
} from '../../src/commit/commit-record.ts'
import { hashesKey } from '../../src/paths.ts'
import { PARTITION, commitFile, commitRecord } from './sample-commit.ts'

const RANGE = { start: 512n, end: 900n }
const SIDECAR = hashesKey(PARTITION, RANGE, 'ab'.repeat(32))
const full = commitRecord(512n, 900n, {
  epoch: 7,
  hashes: SIDECAR,
  schemaVersions: { 'acme/logs': 3, 'acme/metrics': 0, 'zeta/spans': 1 },
  files: [
    commitFile(RANGE),
    commitFile(RANGE, { hour: 'late', rows: 5 }),
    commitFile(RANGE, { tenant: 'zeta', signal: 'spans', rows: 1 }),
  ],
  counts: { rowsIn: 21, rowsStored: 16, rowsSuppressed: 3, rowsQuarantined: 2 },
  holes: [{ start: '600', end: '602', reason: 'quarantined: no schema' }],
})

/** The commit as plain JSON with one member replaced, by a path of names. */
function changed(path: string, value: unknown): Uint8Array {
  const document = JSON.parse(Buffer.from(serializeCommitRecord(full)).toString()) as unknown
  const names = path.split('.')
  let parent = document as Record<string, unknown>
  for (const name of names.slice(0, -1)) parent = parent[name] as Record<string, unknown>
  if (value === undefined) Reflect.deleteProperty(parent, names.at(-1)!)
  else parent[names.at(-1)!] = value
  return Buffer.from(JSON.stringify(document))
}

describe('commit record', () => {
  it('comes back as it was', () => {
    assert.deepEqual(parseCommitRecord(serializeCommitRecord(full)), full)
  })

  it('is the same bytes for the same commit, whatever the order of members', () => {
    const shuffled = Object.fromEntries(Object.entries(full).reverse()) as unknown as typeof full
    assert.deepEqual(serializeCommitRecord(shuffled), serializeCommitRecord(full))
  })

  it('leaves out members that it does not know', () => {
    assert.deepEqual(parseCommitRecord(changed('later', { a: 1 })), full)
    assert.deepEqual(parseCommitRecord(changed('counts.later', 5)), full)
  })

  const damages: [string, unknown][] = [
    ['formatVersion', 2],
    ['formatVersion', '1'],
    ['logId', undefined],
    ['topic', 5],
    ['partition', -1],
    ['partition', 1.5],
    ['start', 512],
    ['start', '0512'],
    ['start', '900'],
    ['end', '9223372036854775808'],
    ['end', '-1'],
    ['epoch', 2 ** 60],
    ['writer', null],
    ['schemaVersions', []],
    ['schemaVersions', { 'acme/logs': 3, '../x/logs': 1 }],
    ['schemaVersions', { 'acme/logs': 3, 'acme/__proto__': 1 }],
    ['schemaVersions', { 'acme/logs': 3 }],
    ['files', {}],
    ['files.0', null],
    ['files.0.key', 'data/acme/logs/../../../etc/passwd'],
    ['files.0.key', 'store.json'],
    ['files.0.key', full.files[1]!.key],
    ['files.0.key', commitFile({ start: 513n, end: 900n }).key],
    ['files.0.tenant', 'other'],
    ['files.0.signal', 'traces'],
    ['files.0.hour', '2026-11-21T04'],
    ['files.0.bytes', 0],
    ['files.0.rows', -1],
    ['files.0.sha256', 'ff'.repeat(32)],
    ['files.0.timeMin', '18446744073709551616000'],
    ['files.0.timeMax', '1'],
    ['counts', null],
    ['counts.rowsIn', '21'],
    ['holes.0.reason', ''],
    ['holes.0.reason', undefined],
    ['holes.0.start', '511'],
    ['holes.0.end', '901'],
    ['holes.0.end', '600'],
    ['hashes', hashesKey(PARTITION, { start: 0n, end: 900n }, 'ab'.repeat(32))],
    ['hashes', undefined],
    ['committedAt', 'yesterday'],
  ]
  for (const [path, value] of damages) {
    it(`refuses ${path} = ${JSON.stringify(value)?.slice(0, 60)}`, () => {
      assert.throws(() => parseCommitRecord(changed(path, value)), { code: 'commit_damaged' })
    })
  }

  it('refuses what is no JSON object in UTF-8, and what is too large', () => {
    const bodies = ['', '[]', 'null', '5', '{', '{}', '{"a":1}x', '['.repeat(100_000)]
    for (const body of bodies) {
      assert.throws(() => parseCommitRecord(Buffer.from(body)), { code: 'commit_damaged' })
    }
    const invalid = Buffer.from(serializeCommitRecord(full))
    invalid[invalid.indexOf('acme')] = 0xff
    assert.throws(() => parseCommitRecord(invalid), { code: 'commit_damaged' })
    const large = Buffer.alloc(COMMIT_BYTES_MAX + 1, ' ')
    assert.throws(() => parseCommitRecord(large), { code: 'commit_damaged' })
  })

  it('is never written with counts that do not add up', () => {
    const counts = { ...full.counts, rowsIn: 22 }
    assert.throws(() => serializeCommitRecord({ ...full, counts }), { code: 'ERR_ASSERTION' })
    const files = full.files.slice(1)
    assert.throws(() => serializeCommitRecord({ ...full, files }), { code: 'ERR_ASSERTION' })
  })
})
