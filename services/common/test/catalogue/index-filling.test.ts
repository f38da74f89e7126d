import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { CommitRecord } from '@tributary/common/commit/commit-record'
import type { FileIndex, IndexSpan } from '@tributary/common/catalogue/file-index'
import { readCatalogue } from '@tributary/common/catalogue/file-catalogue'
import { checkIndexDrift } from '@tributary/common/catalogue/index-drift'
import { fillPartition, rebuildIndex, spanOf } from '@tributary/common/catalogue/index-filling'
import { listChains } from '@tributary/common/commit/chain-range'
import { AppError } from '@tributary/common/errors'
import { commitKey, partitionPath } from '@tributary/common/paths'
import { FaultyCalls, NO_FAULTS } from '@tributary/common/testing/faulty-calls'
import { fuzzAsync } from '@tributary/common/testing/fuzz-run'
import { MemoryFileIndex, MemoryIndexState } from '@tributary/common/testing/memory-file-index'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { memoryStore } from '../commit/sample-commit.ts'
import { ManualClock } from '../metadata/cluster-metadata-contract.ts'
import { SampleChains } from './sample-chains.ts'

async function setUp(seed = 1, onTravel: () => void = () => undefined) {
  const random = new SeededRandom(seed)
  const travel = () => Promise.resolve(onTravel())
  const calls = new FaultyCalls({ clock: new ManualClock(), random, travel })
  const state = new MemoryIndexState()
  const index = new MemoryFileIndex(state, calls)
  const chains = new SampleChains(await memoryStore(), random)
  return { random, calls, state, index, chains, store: chains.store }
}

async function fill(index: FileIndex, chains: SampleChains, partition: number) {
  const id = chains.idOf(partition)
  const indexed = (await index.state()).chains.get(partitionPath(id))
  return fillPartition(index, chains.store, id, indexed)
}

async function assertWhole(index: FileIndex | undefined, chains: SampleChains): Promise<number> {
  const { files, indexedFiles } = await readCatalogue(chains.store, index, {})
  assert.deepEqual(
    files.map(({ key }) => key).sort(),
    [...chains.files.keys()].sort(),
    'every file of every commit, once',
  )
  return indexedFiles
}

describe('fillPartition', () => {
  it('adds what the chain has more, and nothing twice', async () => {
    const { index, chains } = await setUp()
    for (let count = 0; count < 30; count++) await chains.commit(0)
    const all = chains.files.size
    const first = await fill(index, chains, 0)
    assert.ok(first.kind === 'filled')
    assert.deepEqual([first.commits, first.files], [30, all])
    assert.deepEqual(await fill(index, chains, 0), { ...first, commits: 0, files: 0 })
    const { end } = await chains.commit(0)
    assert.deepEqual(await fill(index, chains, 0), {
      ...{ kind: 'filled', end: BigInt(end), commits: 1, files: chains.files.size - all },
    })
    assert.equal(await assertWhole(index, chains), chains.files.size)
  })

  it('puts small commits together and cuts many to several calls', async () => {
    const { index, chains } = await setUp()
    for (let count = 0; count < 400; count++) await chains.commit(0, 40)
    const spans: IndexSpan[] = []
    const target = {
      apply: (span: IndexSpan) => index.apply(span),
      applyAll: (some: readonly IndexSpan[]) => {
        assert.ok(some.length <= 8)
        spans.push(...some)
        return index.applyAll(some)
      },
    }
    await fillPartition(target, chains.store, chains.idOf(0), undefined)
    assert.ok(spans.every(({ files }) => files.length <= 500))
    assert.ok(spans.length < 2 + chains.files.size / 400, `${spans.length} spans`)
    assert.equal(await assertWhole(index, chains), chains.files.size)
  })

  it('sees an index that has more than the chain, or another chain', async () => {
    const { index, chains } = await setUp()
    const first = await chains.commit(0)
    await index.apply(spanOf(first))
    const later = { ...spanOf(first), start: BigInt(first.end), lastStart: BigInt(first.end) }
    await index.apply({ ...later, end: later.start + 5n })
    assert.deepEqual(await fill(index, chains, 0), { kind: 'wrong', end: later.start + 5n })
    await chains.commit(0)
    const outcome = await fill(index, chains, 0)
    assert.equal(outcome.kind, 'wrong')
  })

  it('does not call filled what was emptied meanwhile', async () => {
    const { index, chains, state } = await setUp()
    for (let count = 0; count < 400; count++) await chains.commit(0, 40)
    let batches = 0
    const target = {
      apply: (span: IndexSpan) => index.apply(span),
      applyAll: (some: readonly IndexSpan[]) => {
        if (++batches === 2) state.flushAll()
        return index.applyAll(some)
      },
    }
    const outcome = await fillPartition(target, chains.store, chains.idOf(0), undefined)
    assert.deepEqual(outcome, { kind: 'replaced' })
    assert.equal(batches, 2)
  })

  it('throws what is wrong with the chain', async () => {
    const { index, chains, store } = await setUp()
    const records: CommitRecord[] = []
    for (let count = 0; count < 3; count++) records.push(await chains.commit(0))
    await store.delete(commitKey(chains.idOf(0), BigInt(records[1]!.start)))
    await assert.rejects(fill(index, chains, 0), hasCode('chain_broken'))
    await store.put(commitKey(chains.idOf(0), BigInt(records[1]!.start)), Buffer.from('{'))
    await assert.rejects(fill(index, chains, 0), hasCode('commit_damaged'))
  })
})

describe('listChains', () => {
  it('names every partition once, whatever lies between', async () => {
    const { chains, store } = await setUp()
    for (const partition of [0, 1, 2, 10, 11, 100]) {
      for (let count = 0; count < 3; count++) await chains.commit(partition)
    }
    const found: number[] = []
    for await (const { partition } of listChains(store)) found.push(partition)
    found.sort((a, b) => a - b)
    assert.deepEqual(found, [0, 1, 2, 10, 11, 100])
    for (const known of [[0], [100], [1, 10, 5], [7, 99, 1000], [0, 1, 2, 10, 11, 100]]) {
      const again: number[] = []
      for await (const { partition } of listChains(
        store,
        known.map((at) => chains.idOf(at)),
      )) {
        again.push(partition)
      }
      again.sort((a, b) => a - b)
      assert.deepEqual(again, found, `knowing ${known.join(' ')}`)
    }
  })
})

describe('rebuildIndex', () => {
  it('makes a wrong index right, while it grows', async () => {
    const { index, chains, store, random } = await setUp()
    for (let count = 0; count < 40; count++) await chains.commit(random.below(4))
    const wrong = await chains.commit(0, 0)
    await index.apply({ ...spanOf(wrong), start: 0n })
    const before = await checkIndexDrift(index, store)
    assert.equal(before.isTrue, false)
    let isGrown = false
    const report = await rebuildIndex(index, store, () => {
      if (!isGrown) void chains.commit(0)
      isGrown = true
    })
    assert.equal(report.chains, 4)
    assert.equal(report.commits, 42)
    assert.equal(report.files, chains.files.size)
    const after = await checkIndexDrift(index, store)
    assert.deepEqual(after, {
      ...{ isTrue: true, generation: report.generation, files: chains.files.size },
      ...{ missing: 0, different: 0, extra: 0, wrongEnds: [], behind: 0, named: [] },
    })
    assert.equal(await assertWhole(index, chains), chains.files.size)
  })
})

describe('checkIndexDrift', () => {
  it('counts what is missing, different and too much, and names some', async () => {
    const { index, chains, store, state } = await setUp()
    for (let count = 0; count < 20; count++) await index.apply(spanOf(await chains.commit(0)))
    await chains.commit(0, 4)
    assert.equal((await checkIndexDrift(index, store)).isTrue, true)
    const hours = [...state.current!.hours.values()].filter((files) => files.size > 2)
    const [lost, changed] = [...hours[0]!.values()]
    hours[0]!.delete(lost!.key)
    hours[0]!.set(changed!.key, { ...changed!, rows: 11 })
    const [kept] = [...hours[1]!.values()]
    hours[1]!.set('extra', { ...kept! })
    const drift = await checkIndexDrift(index, store)
    assert.deepEqual(
      { ...drift, named: drift.named.toSorted() },
      {
        ...drift,
        ...{ isTrue: false, missing: 1, different: 1, extra: 1, wrongEnds: [] },
        named: [lost!.key, changed!.key].sort(),
      },
    )
  })

  it('names partitions that the store does not have, and ends inside of a commit', async () => {
    const { index, chains, store } = await setUp()
    const record = await chains.commit(1)
    await index.apply({ ...spanOf(record), end: BigInt(record.end) - 1n })
    await index.apply({ ...spanOf(record), id: chains.idOf(7) })
    const drift = await checkIndexDrift(index, store)
    const paths = [1, 7].map((partition) => partitionPath(chains.idOf(partition)))
    assert.deepEqual(drift.wrongEnds, paths)
  })
})

describe('readCatalogue', () => {
  it('has every file once while the index is behind, gone or out of reach', async () => {
    const { index, chains, calls } = await setUp()
    for (let count = 0; count < 20; count++) await index.apply(spanOf(await chains.commit(0)))
    for (let count = 0; count < 5; count++) await chains.commit(count % 2)
    const indexed = await assertWhole(index, chains)
    assert.ok(indexed > 0 && indexed < chains.files.size)
    calls.faults = { ...NO_FAULTS, unreachable: 1 }
    assert.equal(await assertWhole(index, chains), 0)
    assert.equal(await assertWhole(undefined, chains), 0)
  })

  it('has every file once, whatever is done to the index', async () => {
    await fuzzAsync(runHistory)
  })
})

/** Owners that commit, apply late, twice or not at all, fill and reset; a build; FLUSHALL; readers. */
async function runHistory(seed: number): Promise<void> {
  let onTravel = (): void => undefined
  const { random, index, chains, calls, state, store } = await setUp(seed, () => {
    onTravel()
  })
  // others empty the index in the middle of what goes on here
  onTravel = () => {
    if (random.chance(0.02)) state.flushAll()
  }
  const late: CommitRecord[] = []
  const ignore = (error: unknown) => {
    if (!(error instanceof AppError) || error.code !== 'metadata_unavailable') throw error
  }
  for (let step = 0; step < 60; step++) {
    calls.faults = { unreachable: 0.05, answerLost: 0.1, late: 0.1, lateMsMax: 0 }
    const dice = random.fraction()
    const partition = random.below(3)
    if (dice < 0.5) {
      const record = await chains.commit(partition)
      if (random.chance(0.3)) late.push(record)
      else await index.apply(spanOf(record)).catch(ignore)
    } else if (dice < 0.6 && late.length > 0) {
      await index.apply(spanOf(random.pick(late))).catch(ignore)
    } else if (dice < 0.75) {
      const outcome = await fill(index, chains, partition).catch(ignore)
      assert.notEqual(outcome?.kind, 'wrong')
    } else if (dice < 0.8) {
      await rebuildIndex(index, store).catch(ignore)
    } else if (dice < 0.83) {
      state.flushAll()
    } else if (dice < 0.86) {
      await index
        .state()
        .then(({ generation }) => index.reset(generation))
        .catch(ignore)
    } else {
      if (random.chance(0.7)) calls.faults = NO_FAULTS
      await assertWhole(index, chains)
    }
  }
  calls.faults = NO_FAULTS
  await assertWhole(index, chains)
  onTravel = () => undefined
  for (const partition of [0, 1, 2]) await fill(index, chains, partition)
  assert.equal(await assertWhole(index, chains), chains.files.size)
  assert.equal((await checkIndexDrift(index, store)).isTrue, true)
}

function hasCode(code: string) {
  return (error: unknown): boolean => error instanceof AppError && error.code === code
}
