import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '@tributary/common/errors'
import { MemoryClusterStore } from '@tributary/common/testing/memory-cluster-metadata'
import { NO_FAULTS } from '@tributary/common/testing/faulty-calls'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import type { ContractStore } from '../metadata/cluster-metadata-contract.ts'
import {
  ManualClock,
  describeContract,
  memberNamed,
  party,
  TTL_MS,
} from '../metadata/cluster-metadata-contract.ts'

function memoryStore(seed = 1): ContractStore & { readonly store: MemoryClusterStore } {
  const clock = new ManualClock()
  const store = new MemoryClusterStore({ clock, random: new SeededRandom(seed) })
  return {
    clock,
    store,
    connect: () => Promise.resolve(store.connect()),
    flushAll: () => Promise.resolve(store.state.flushAll()),
    backup: () => {
      const kept = store.state.snapshot()
      return Promise.resolve(() => Promise.resolve(store.state.restore(kept)))
    },
  }
}

describe('MemoryClusterMetadata', () => {
  describeContract(() => Promise.resolve(memoryStore()))

  it('executes a call whose answer is lost', async () => {
    const memory = memoryStore()
    const [a, b] = [await party(memory, 'a'), await party(memory, 'b')]
    await a.beat()
    await b.beat()
    memory.store.calls.faults = { ...NO_FAULTS, answerLost: 1 }
    await assert.rejects(a.acquire(0, 0, 'one'), isUnavailable)
    memory.store.calls.faults = NO_FAULTS
    assert.equal(await b.acquire(0), 'held by a')
    assert.equal(await a.acquire(0, 0, 'one'), 1)
  })

  it('executes a call that timed out later, where no later one of the member overtook it', async () => {
    const memory = memoryStore()
    const [a, b] = [await party(memory, 'a'), await party(memory, 'b')]
    await a.beat()
    await b.beat()
    memory.store.calls.faults = { ...NO_FAULTS, late: 1, lateMsMax: 0 }
    await assert.rejects(a.acquire(0), isUnavailable)
    await assert.rejects(b.acquire(1), isUnavailable)
    memory.store.calls.faults = NO_FAULTS
    memory.store.calls.runLate()
    assert.equal((await b.metadata.view()).leases.get(0)?.owner, 'a')
    assert.equal((await b.metadata.view()).leases.get(1)?.owner, 'b')

    memory.store.calls.faults = { ...NO_FAULTS, late: 1, lateMsMax: 1 }
    while (memory.store.calls.lateCount === 0) await assert.rejects(a.acquire(2), isUnavailable)
    memory.store.calls.faults = NO_FAULTS
    memory.clock.unixMs -= 10
    await a.beat()
    memory.clock.unixMs += 20
    await b.beat()
    assert.equal((await b.metadata.view()).leases.get(2), undefined)
  })

  it('keeps a cut process out and lets the others go on', async () => {
    const memory = memoryStore()
    const a = memory.store.connect()
    const b = await party(memory, 'b')
    await a.beat(memberNamed('a'), TTL_MS)
    a.line.isCut = true
    await assert.rejects(a.view(), isUnavailable)
    await b.beat()
    a.line.isCut = false
    assert.equal((await a.view()).members.length, 2)
  })
})

function isUnavailable(error: unknown): boolean {
  return error instanceof AppError && error.code === 'metadata_unavailable'
}
