import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { PartitionProgress } from '../../src/fetch/partition-progress.ts'

describe('PartitionProgress', () => {
  it('has no backlog while everything was fetched, however long rows wait for their flush', () => {
    const progress = new PartitionProgress(0n)
    progress.observed({ start: 0n, end: 100n }, 1000)
    progress.fetched(900)
    assert.deepEqual(progress.backlog(100n, 60_000), { offsets: 0, seconds: 0 })
    assert.equal(progress.lag(60_000).offsets, 100)
  })

  it('counts what is not fetched, from the append time of the last that was', () => {
    const progress = new PartitionProgress(0n)
    progress.observed({ start: 0n, end: 100n }, 10_000)
    progress.fetched(4000)
    progress.fetched(3000) // append times may go back a little
    assert.deepEqual(progress.backlog(40n, 10_000), { offsets: 60, seconds: 6 })
  })

  it('counts from what is committed where nothing was fetched yet, and no seconds without either', () => {
    const progress = new PartitionProgress(10n)
    assert.deepEqual(progress.backlog(10n, 5000), { offsets: 0, seconds: 0 })
    progress.observed({ start: 0n, end: 20n }, 5000)
    assert.deepEqual(progress.backlog(10n, 9000), { offsets: 10, seconds: 0 })
    progress.committed(10n, 2000)
    assert.deepEqual(progress.backlog(10n, 9000), { offsets: 10, seconds: 7 })
  })
})
