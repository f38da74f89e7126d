import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  COMMIT_FORMAT_VERSION,
  serializeCommitRecord,
  type CommitRecord,
} from '@tributary/common/commit/commit-record'
import { partitionPath } from '@tributary/common/paths'

import { CommitAttempts } from '../../src/chaos/commit-attempts.ts'

const ID = { logId: 'log', topic: 'topic', partition: 3 }

function commit(start: number, end: number, epoch: number, writer: string): CommitRecord {
  return {
    ...ID,
    ...{ formatVersion: COMMIT_FORMAT_VERSION, start: String(start), end: String(end) },
    ...{ epoch, writer, schemaVersions: {}, files: [], hashes: null },
    holes: [{ start: String(start), end: String(end), reason: 'a test' }],
    counts: { rowsIn: 0, rowsStored: 0, rowsSuppressed: 0, rowsQuarantined: 0 },
    committedAt: '2026-11-21T03:04:05.678Z',
  }
}

function problemsOf(attempts: readonly CommitRecord[], chain: readonly CommitRecord[]): string[] {
  const noted = new CommitAttempts()
  for (const attempt of attempts) noted.note(serializeCommitRecord(attempt))
  return noted.afterOvertaken(partitionPath(ID), chain)
}

test('a writer that asks for a commit behind one of a later epoch is told', () => {
  const chain = [commit(0, 10, 1, 'old'), commit(10, 20, 2, 'new'), commit(20, 30, 2, 'new')]
  const late = commit(20, 25, 1, 'old')
  assert.match(problemsOf([...chain, late], chain).join('\n'), /^F2 .*: old .* at 20 .* epoch 2$/)
})

test('a writer may lose the race for a commit, however often it asks for that one', () => {
  const chain = [commit(0, 10, 1, 'old'), commit(10, 20, 2, 'new')]
  const lost = [commit(10, 15, 1, 'old'), commit(10, 16, 1, 'old')]
  assert.deepEqual(problemsOf([...chain, ...lost], chain), [])
})

test('an owner goes on behind a commit that the one before it had still under way', () => {
  const chain = [commit(0, 10, 1, 'old'), commit(10, 20, 2, 'new')]
  const refused = commit(0, 8, 2, 'new')
  assert.deepEqual(problemsOf([refused, ...chain], chain), [])
})
