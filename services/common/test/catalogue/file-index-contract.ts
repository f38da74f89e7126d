/** What every FileIndex must do: run against memory and against a real Redis. */
import assert from 'node:assert/strict'
import { it } from 'node:test'

import type { CommitFile } from '@tributary/common/commit/commit-record'
import type { FileIndex, FileSelection, IndexSpan } from '@tributary/common/catalogue/file-index'
import { readIndex } from '@tributary/common/catalogue/file-catalogue'
import { partitionPath } from '@tributary/common/paths'
import { PARTITION, commitFile } from '../commit/sample-commit.ts'
import type { SampleFile } from '../commit/sample-commit.ts'

export interface IndexContractStore {
  /** Each a process of its own. */
  readonly connect: () => FileIndex
  readonly flushAll: () => Promise<void>
}

export function span(start: number, end: number, ...samples: readonly SampleFile[]): IndexSpan {
  const range = { start: BigInt(start), end: BigInt(end) }
  const files = (samples.length === 0 ? [{}] : samples).map((sample) => commitFile(range, sample))
  return { id: PARTITION, ...range, lastStart: range.start, files }
}

export async function keysOf(index: FileIndex, selection: FileSelection = {}): Promise<string[]> {
  const { files } = await readIndex(index, selection)
  return files.map(({ key }) => key).sort()
}

function keys(...spans: readonly IndexSpan[]): string[] {
  return spans.flatMap(({ files }) => files.map(({ key }) => key)).sort()
}

async function endOf(index: FileIndex): Promise<bigint | undefined> {
  return (await index.state()).chains.get(partitionPath(PARTITION))?.end
}

export function describeIndexContract(make: () => Promise<IndexContractStore>): void {
  describeApplying(make)
  describeGenerations(make)

  it('finds files by tenant, signal and hour', async () => {
    const index = (await make()).connect()
    const hours = ['2026-11-21T03', '2026-11-21T04', '2026-11-22T00', 'late']
    const files: CommitFile[] = []
    for (const tenant of ['acme', 'acme-2', 'b']) {
      for (const signal of ['logs', 'metrics'] as const) {
        for (const hour of hours) files.push(...span(0, 1, { tenant, signal, hour }).files)
      }
    }
    // rows of 02:00 to 03:00 in a late file
    const late = files.map((file) => {
      if (file.hour !== 'late') return file
      return { ...file, timeMin: '1795226400000000000', timeMax: '1795230000000000000' }
    })
    await index.apply({ ...span(0, 1), files: late })
    const selections: FileSelection[] = [
      {},
      { tenant: 'acme' },
      { tenant: 'acme', signal: 'logs' },
      { signal: 'metrics' },
      { tenant: 'acme', signal: 'logs', fromHour: '2026-11-21T04' },
      { tenant: 'acme', toHour: '2026-11-21T03' },
      { fromHour: '2026-11-21T03', toHour: '2026-11-21T04' },
      { tenant: 'b', signal: 'metrics', fromHour: '2026-11-22T00', toHour: '2026-11-22T00' },
      { tenant: 'nobody' },
    ]
    for (const selection of selections) {
      const { tenant, signal, fromHour = '', toHour = '~' } = selection
      const expected = late.filter((file) => {
        const isHour =
          file.hour === 'late'
            ? '2026-11-21T03' >= fromHour && '2026-11-21T02' <= toHour
            : file.hour >= fromHour && file.hour <= toHour
        return (
          isHour &&
          [undefined, file.tenant].includes(tenant) &&
          [undefined, file.signal].includes(signal)
        )
      })
      assert.deepEqual(
        await keysOf(index, selection),
        expected.map(({ key }) => key).sort(),
        JSON.stringify(selection),
      )
    }
    const { files: found } = await readIndex(index, {})
    const byKey = (a: CommitFile, b: CommitFile) => (a.key < b.key ? -1 : 1)
    assert.deepEqual(found.toSorted(byKey), late.toSorted(byKey))
  })
}

function describeApplying(make: () => Promise<IndexContractStore>): void {
  it('takes commits in order, each once', async () => {
    const index = (await make()).connect()
    assert.equal(await endOf(index), undefined)
    const [first, second] = [span(0, 10), span(10, 20)]
    assert.deepEqual(await index.apply(second), { kind: 'behind', end: 0n })
    assert.deepEqual(await keysOf(index), [])
    assert.deepEqual(await index.apply(first), { kind: 'applied' })
    assert.deepEqual(await index.apply(first), { kind: 'known' })
    assert.deepEqual(await keysOf(index), keys(first))
    assert.deepEqual(await index.apply(span(30, 40)), { kind: 'behind', end: 10n })
    assert.deepEqual(await index.apply(second), { kind: 'applied' })
    assert.deepEqual(await index.apply(first), { kind: 'known' })
    assert.equal(await endOf(index), 20n)
    assert.deepEqual(await keysOf(index), keys(first, second))
  })

  it('takes commits that were put together, also where it has some of them', async () => {
    const index = (await make()).connect()
    const [first, second, third] = [span(0, 10), span(10, 20), span(20, 30)]
    await index.apply(first)
    const files = [first, second, third].flatMap((one) => one.files)
    const all = { ...first, end: 30n, lastStart: 20n, files }
    assert.deepEqual(await index.apply(all), { kind: 'applied' })
    assert.deepEqual(await index.apply(second), { kind: 'known' })
    assert.deepEqual(await keysOf(index), keys(first, second, third))
    const chain = (await index.state()).chains.get(partitionPath(PARTITION))
    assert.deepEqual(chain, { id: PARTITION, end: 30n, lastStart: 20n })
  })

  it('takes a commit without files, one of many, and many at once', async () => {
    const index = (await make()).connect()
    const samples = Array.from({ length: 1700 }, (_, at) => ({
      tenant: `tenant-${at % 40}`,
      hour: `2026-11-21T${String(at % 24).padStart(2, '0')}`,
      body: Buffer.from(String(at)),
    }))
    const spans = [{ ...span(0, 1), files: [] }, span(1, 2, ...samples), span(2, 3), span(5, 6)]
    const outcomes = await index.applyAll(spans)
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['applied', 'applied', 'applied', 'behind'],
    )
    assert.deepEqual(await keysOf(index), keys(...spans.slice(0, 3)))
  })

  it('keeps partitions apart, and offsets exact beyond what a double holds', async () => {
    const index = (await make()).connect()
    const near = 2n ** 62n
    const id = { ...PARTITION, partition: 7 }
    const big = { id, start: 0n, end: near + 1n, lastStart: near, files: [] }
    assert.deepEqual(await index.apply(big), { kind: 'applied' })
    const gap = { id, start: near + 2n, end: near + 3n, lastStart: near + 2n, files: [] }
    assert.deepEqual(await index.apply(gap), { kind: 'behind', end: near + 1n })
    assert.equal(await endOf(index), undefined)
    assert.deepEqual((await index.state()).chains.get(partitionPath(id)), {
      ...{ id, end: near + 1n, lastStart: near },
    })
  })

  it('looks up files, also such that do not count yet', async () => {
    const index = (await make()).connect()
    const [first, second, other] = [span(0, 10), span(20, 30), span(40, 50)]
    await index.apply(first)
    await index.apply(second)
    const files = [first, other, second].flatMap((one) => one.files)
    const { generation } = await index.state()
    assert.deepEqual(await index.lookup(generation, files), [files[0], undefined, files[2]])
  })
}

function describeGenerations(make: () => Promise<IndexContractStore>): void {
  it('begins again with nothing when it is reset, once', async () => {
    const store = await make()
    const [index, other] = [store.connect(), store.connect()]
    await index.apply(span(0, 10))
    await other.apply(span(10, 20))
    const { generation } = await index.state()
    await index.reset(generation)
    assert.deepEqual(await keysOf(other), [])
    assert.notEqual((await other.state()).generation, generation)
    // the other learns of it by its next call
    assert.deepEqual(await other.apply(span(0, 10)), { kind: 'applied' })
    await other.reset(generation)
    assert.deepEqual(await keysOf(index), keys(span(0, 10)))
  })

  it('builds another beside the one that is read, and puts it in its place', async () => {
    const store = await make()
    const [index, other] = [store.connect(), store.connect()]
    await index.apply(span(0, 10, { tenant: 'wrong' }))
    const build = await index.build()
    assert.equal(await build.chainOf(PARTITION), undefined)
    assert.deepEqual(await build.apply(span(0, 10)), { kind: 'applied' })
    assert.deepEqual(await build.applyAll([span(10, 20)]), [{ kind: 'applied' }])
    assert.deepEqual(await build.chainOf(PARTITION), { id: PARTITION, end: 20n, lastStart: 10n })
    assert.deepEqual(await keysOf(other), keys(span(0, 10, { tenant: 'wrong' })))
    assert.equal(await build.publish(), true)
    assert.equal(await build.publish(), true)
    assert.deepEqual(await keysOf(other), keys(span(0, 10), span(10, 20)))
    assert.deepEqual(await other.apply(span(20, 30)), { kind: 'applied' })
  })

  it('lets the later of two builds win', async () => {
    const store = await make()
    const first = await store.connect().build()
    await first.apply(span(0, 10))
    const second = await store.connect().build()
    await second.apply(span(0, 20))
    assert.deepEqual(await first.apply(span(10, 20)), { kind: 'replaced' })
    assert.equal(await first.publish(), false)
    assert.equal(await second.publish(), true)
  })

  it('goes on with nothing after all was lost', async () => {
    const store = await make()
    const index = store.connect()
    await index.apply(span(0, 10))
    const build = await index.build()
    await store.flushAll()
    assert.deepEqual(await build.apply(span(0, 10)), { kind: 'replaced' })
    assert.equal(await build.publish(), false)
    assert.deepEqual(await index.apply(span(10, 20)), { kind: 'behind', end: 0n })
    assert.deepEqual(await keysOf(index), [])
  })
}
