import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { PartitionProgress } from '../../src/fetch/partition-progress.ts'

const NONE = { offsets: 0, seconds: 0 }

describe('PartitionProgress', () => {
  it('has no backlog while everything was fetched, however long rows wait for their flush', () => {
    const progress = new PartitionProgress(0n)
    progress.observed({ start: 0n, end: 100n }, 1000)
    progress.fetched(100n, 900)
    assert.deepEqual(progress.backlog(60_000), NONE)
    assert.equal(progress.lag(60_000).offsets, 100)
  })

  it('counts what is not fetched, from the append time of the last that was', () => {
    const progress = new PartitionProgress(0n)
    progress.observed({ start: 0n, end: 100n }, 10_000)
    progress.fetched(39n, 4000)
    progress.fetched(40n, 3000) // append times may go back a little
    assert.deepEqual(progress.backlog(10_000), { offsets: 60, seconds: 6 })
  })

  it('is not late with the first record after a long silence', () => {
    const progress = new PartitionProgress(0n)
    progress.fetched(100n, 4000)
    progress.observed({ start: 0n, end: 100n }, 3_600_000)
    progress.observed({ start: 0n, end: 101n }, 3_601_000)
    assert.deepEqual(progress.backlog(3_601_500), { offsets: 1, seconds: 1.5 })
    progress.fetched(101n, 3_600_900)
    assert.deepEqual(progress.backlog(3_602_000), NONE)
    progress.observed({ start: 0n, end: 102n }, 3_700_000)
    // all that there was at the look before had been fetched
    assert.deepEqual(progress.backlog(3_700_000), { offsets: 1, seconds: 99 })
  })

  it('counts from what is committed where nothing was fetched yet, and no seconds without either', () => {
    const progress = new PartitionProgress(10n)
    assert.deepEqual(progress.backlog(5000), NONE)
    progress.observed({ start: 0n, end: 20n }, 5000)
    assert.deepEqual(progress.backlog(9000), { offsets: 10, seconds: 0 })
    progress.committed(10n, 2000)
    assert.deepEqual(progress.backlog(9000), { offsets: 10, seconds: 7 })
  })
})
