import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { checkIndexDrift } from '@tributary/common/catalogue/index-drift'
import { spanOf } from '@tributary/common/catalogue/index-filling'
import { IndexKeeper } from '@tributary/common/catalogue/index-keeper'
import { createLogger } from '@tributary/common/logger'
import { createRegistry } from '@tributary/common/metrics'
import { commitKey, partitionPath } from '@tributary/common/paths'
import { FaultyCalls, NO_FAULTS } from '@tributary/common/testing/faulty-calls'
import { MemoryFileIndex, MemoryIndexState } from '@tributary/common/testing/memory-file-index'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import { memoryStore } from '../commit/sample-commit.ts'
import { SampleChains } from './sample-chains.ts'

async function setUp() {
  const random = new SeededRandom(1)
  const clock = new VirtualClock()
  const calls = new FaultyCalls({ clock, random })
  const state = new MemoryIndexState()
  const index = new MemoryFileIndex(state, calls)
  const chains = new SampleChains(await memoryStore(), random)
  const registry = createRegistry({ hasProcessMetrics: false })
  const keeper = new IndexKeeper({
    ...{ index, store: chains.store, clock, registry },
    random: () => random.fraction(),
    logger: createLogger({ name: 'test', level: 'silent' }),
  })
  const valueOf = async (name: string): Promise<number> => {
    const text = await registry.getSingleMetricAsString(`tributary_index_${name}`)
    return Number(/ (\d+)$/.exec(text.trim())?.[1])
  }
  const endOf = async (partition: number): Promise<bigint> => {
    return (await index.state()).chains.get(partitionPath(chains.idOf(partition)))?.end ?? 0n
  }
  return { clock, calls, state, index, chains, keeper, valueOf, endOf }
}

describe('IndexKeeper', () => {
  it('fills a partition that was opened, then takes commits as they are made', async () => {
    const { keeper, chains, index, valueOf } = await setUp()
    for (let count = 0; count < 5; count++) await chains.commit(0)
    keeper.opened(chains.idOf(0))
    await keeper.settled()
    assert.equal(await valueOf('filled_commits_total'), 5)
    for (let count = 0; count < 5; count++) keeper.committed(await chains.commit(0))
    await keeper.settled()
    assert.equal(await valueOf('filled_commits_total'), 5)
    const { isTrue, behind } = await checkIndexDrift(index, chains.store)
    assert.deepEqual({ isTrue, behind }, { isTrue: true, behind: 0 })
  })

  it('says nothing of partitions that it does not own', async () => {
    const { keeper, chains, endOf } = await setUp()
    keeper.committed(await chains.commit(0))
    keeper.opened(chains.idOf(1))
    await keeper.settled()
    keeper.closed(chains.idOf(1))
    keeper.committed(await chains.commit(1))
    await keeper.settled()
    assert.equal(await endOf(0), 0n)
    assert.equal(await endOf(1), 0n)
  })

  it('fills an index that was emptied, also where nothing more is committed', async () => {
    const { keeper, chains, state, clock, index, valueOf } = await setUp()
    keeper.opened(chains.idOf(0))
    keeper.opened(chains.idOf(1))
    await clock.run(keeper.settled())
    for (let count = 0; count < 4; count++) keeper.committed(await chains.commit(count % 2))
    await clock.run(keeper.settled())
    state.flushAll()
    assert.ok((await checkIndexDrift(index, chains.store)).behind > 0)
    await clock.advance(60_000)
    await clock.run(keeper.settled())
    const { isTrue, behind } = await checkIndexDrift(index, chains.store)
    assert.deepEqual({ isTrue, behind }, { isTrue: true, behind: 0 })
    assert.equal(await valueOf('drift_total'), 0)
    await keeper.close()
    state.flushAll()
    await clock.advance(120_000)
    assert.ok((await checkIndexDrift(index, chains.store)).behind > 0)
  })

  it('holds little while the index is away, and fills it when it is back', async () => {
    const { keeper, chains, calls, clock, index, valueOf } = await setUp()
    keeper.opened(chains.idOf(0))
    keeper.opened(chains.idOf(1))
    await clock.run(keeper.settled())
    calls.faults = { ...NO_FAULTS, unreachable: 1 }
    for (let count = 0; count < 40; count++) {
      keeper.committed(await chains.commit(count % 2))
      await clock.advance(10_000)
    }
    assert.equal(await valueOf('partitions_behind'), 2)
    calls.faults = NO_FAULTS
    await clock.run(keeper.settled(), 60_000)
    assert.equal(await valueOf('partitions_behind'), 0)
    assert.equal((await checkIndexDrift(index, chains.store)).behind, 0)
  })

  it('mends an index that was emptied or is of another past', async () => {
    const { keeper, chains, state, index, valueOf, clock } = await setUp()
    for (const partition of [0, 1]) keeper.opened(chains.idOf(partition))
    for (let count = 0; count < 10; count++) keeper.committed(await chains.commit(count % 2))
    await keeper.settled()
    state.flushAll()
    for (const partition of [0, 1]) keeper.committed(await chains.commit(partition))
    await keeper.settled()
    assert.equal((await checkIndexDrift(index, chains.store)).behind, 0)
    assert.equal(await valueOf('drift_total'), 0)

    const last = spanOf(await chains.commit(0))
    await index.apply({ ...last, end: last.end + 100n })
    keeper.opened(chains.idOf(0))
    await clock.run(keeper.settled())
    // of the other partition nobody has asked yet
    keeper.committed(await chains.commit(1))
    await clock.run(keeper.settled())
    assert.equal(await valueOf('drift_total'), 1)
    const { isTrue, behind } = await checkIndexDrift(index, chains.store)
    assert.deepEqual({ isTrue, behind }, { isTrue: true, behind: 0 })
  })

  it('leaves out a partition whose chain is broken, and goes on with the others', async () => {
    const { keeper, chains, endOf } = await setUp()
    const record = await chains.commit(0)
    await chains.commit(0)
    await chains.store.delete(commitKey(chains.idOf(0), BigInt(record.start)))
    await chains.commit(1)
    keeper.opened(chains.idOf(0))
    keeper.opened(chains.idOf(1))
    await keeper.settled()
    assert.equal(await endOf(0), 0n)
    assert.equal(await endOf(1), chains.endOf(1))
  })

  it('ends at once, also while it waits', async () => {
    const { keeper, chains, calls } = await setUp()
    calls.faults = { ...NO_FAULTS, unreachable: 1 }
    keeper.opened(chains.idOf(0))
    await keeper.close()
    keeper.committed(await chains.commit(0))
    await keeper.settled()
  })
})
