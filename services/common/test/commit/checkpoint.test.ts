import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'

import { readChainFrom } from '../../src/commit/chain-range.ts'
import {
  CHECKPOINT_COMMITS_MAX,
  listCheckpoints,
  readCheckpoint,
  readCheckpointHeader,
} from '../../src/commit/checkpoint.ts'
import { CheckpointWriter, writeCheckpoint } from '../../src/commit/checkpoint-writer.ts'
import { CommitChain } from '../../src/commit/commit-chain.ts'
import { serializeCommitRecord } from '../../src/commit/commit-record.ts'
import { createLogger } from '../../src/logger.ts'
import { checkpointKey, commitKey } from '../../src/paths.ts'
import { MemoryBucket, MemoryObjectStore } from '../../src/testing/memory-object-store.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { verifyStore } from '../../src/verify/verify.ts'
import { PARTITION, commitRecord } from './sample-commit.ts'

const logger = createLogger({ name: 'test', level: 'silent' })
const NONE = { end: 0n, commits: 0 }

describe('checkpoints', () => {
  const clock = new VirtualClock()
  let bucket: MemoryBucket
  let store: MemoryObjectStore
  /** What the store was asked for. */
  let reads: string[]

  beforeEach(() => {
    bucket = new MemoryBucket(clock, new SeededRandom(1), { delayMs: [0, 0] })
    reads = []
    store = new MemoryObjectStore(bucket, clock)
    const get = store.get.bind(store)
    store.get = (key, options) => {
      reads.push(key)
      return get(key, options)
    }
  })

  const run = <T>(promise: Promise<T>): Promise<T> => clock.run(promise)

  /** Commits of one offset each, without files. */
  function fill(from: number, end: number): void {
    for (let start = from; start < end; start++) {
      const range = [BigInt(start), BigInt(start + 1)] as const
      const record = commitRecord(...range, { files: [], epoch: 1 + Math.floor(start / 500) })
      bucket.put(commitKey(PARTITION, range[0]), serializeCommitRecord(record), true)
    }
  }

  async function collect(from: bigint): Promise<number[]> {
    const starts: number[] = []
    for await (const { start } of readChainFrom(store, PARTITION, from)) starts.push(Number(start))
    return starts
  }

  async function foldAll(): Promise<void> {
    const chain = await CommitChain.open(store, PARTITION)
    const writer = new CheckpointWriter({ store, id: PARTITION, chain, logger })
    writer.committed()
    await writer.settled()
  }

  const problems = async (isContentRead = true): Promise<string[]> => {
    const report = await verifyStore(store, { clock, isContentRead })
    return report.problems.map(({ kind, key }) => `${kind} ${key}`)
  }

  it('fold full stretches of a chain and leave what does not fill one', async () => {
    fill(0, 2 * CHECKPOINT_COMMITS_MAX + 7)
    await run(foldAll())
    assert.deepEqual(await run(listCheckpoints(store, PARTITION, 0n)), [1000n, 2000n])
    const header = await run(readCheckpointHeader(store, PARTITION, 2000n))
    assert.deepEqual(
      { ...header, starts: header.starts.length },
      {
        ...PARTITION,
        formatVersion: 1,
        start: '1000',
        end: '2000',
        commits: 1000,
        commitsBefore: 1000,
        lastEpoch: 4,
        lastWriter: commitRecord(0n, 1n).writer,
        starts: 1000,
      },
    )
    assert.deepEqual(await run(problems()), [])
    assert.deepEqual(await run(problems(false)), [])
  })

  it('are JSON, with the commits byte for byte', async () => {
    fill(0, 1000)
    await run(foldAll())
    const bytes = bucket.objects.get(checkpointKey(PARTITION, 1000n))!.bytes
    const document = JSON.parse(Buffer.from(bytes).toString()) as { records: { start: string }[] }
    assert.equal(document.records.length, 1000)
    let count = 0
    const walk = async (): Promise<void> => {
      for await (const commit of readCheckpoint(store, PARTITION, 1000n)) {
        const stored = bucket.objects.get(commitKey(PARTITION, BigInt(commit.record.start)))!
        assert.deepEqual(Buffer.from(commit.bytes), Buffer.from(stored.bytes))
        count++
      }
    }
    await run(walk())
    assert.equal(count, 1000)
  })

  it('open a long chain by few reads', async () => {
    fill(0, 5010)
    await run(foldAll())
    reads = []
    const chain = await run(CommitChain.open(store, PARTITION))
    assert.deepEqual([chain.end, chain.count, chain.lastEpoch], [5010n, 5010, 11])
    assert.ok(reads.length <= 12, `${reads.length} reads`)
    const recent = await run(chain.recent(0))
    assert.equal(recent.length, 1000)
    assert.equal(await run(chain.append(commitRecord(5010n, 5011n, { epoch: 11 }))), 'committed')
  })

  it('give a reader every commit once, from anywhere', async () => {
    fill(0, 2300)
    await run(foldAll())
    for (const from of [0, 1, 999, 1000, 1500, 2000, 2299, 2300]) {
      reads = []
      const starts = await run(collect(BigInt(from)))
      assert.equal(starts.length, 2300 - from)
      assert.deepEqual(
        [starts[0], starts.at(-1)],
        from < 2300 ? [from, 2299] : [undefined, undefined],
      )
      assert.ok(reads.length < 310, `${reads.length} reads from ${from}`)
    }
  })

  it('are passed over where they are damaged, cut at any place, or of another chain', async () => {
    fill(0, 1020)
    await run(foldAll())
    const key = checkpointKey(PARTITION, 1000n)
    const whole = bucket.objects.get(key)!.bytes
    const random = new SeededRandom(3)
    const damages: Uint8Array[] = [
      new Uint8Array(0),
      Buffer.from(Buffer.from(whole).toString().replace('"partition":3', '"partition":4')),
      Buffer.from(Buffer.from(whole).toString().replace('"start":"0"', '"start":"1"')),
    ]
    for (let round = 0; round < 8; round++) {
      damages.push(whole.subarray(0, random.below(whole.length)))
      const flipped = whole.slice()
      flipped[random.below(30_000)]! ^= 1 << random.below(7)
      damages.push(flipped)
    }
    for (const bytes of damages) {
      bucket.put(key, bytes, false)
      // a flipped bit may be one that nobody can see; what the commits say is never changed by it
      const chain = await run(CommitChain.open(store, PARTITION))
      assert.equal(chain.end, 1020n)
      assert.equal((await run(collect(0n))).length, 1020)
    }
    bucket.put(key, whole.subarray(0, whole.length / 2), false)
    assert.deepEqual(await run(problems()), [`checkpoint_damaged ${key}`])
  })

  it('are proved by verify: another commit, one too many, one left out', async () => {
    fill(0, 1005)
    await run(foldAll())
    const key = checkpointKey(PARTITION, 1000n)
    const text = Buffer.from(bucket.objects.get(key)!.bytes).toString()
    const changed = text.replace(
      '"start":"7","end":"8","epoch":1',
      '"start":"7","end":"8","epoch":2',
    )
    assert.notEqual(changed, text)
    bucket.put(key, Buffer.from(changed), false)
    assert.deepEqual(await run(problems()), [`checkpoint_wrong ${key}`])
    bucket.put(key, Buffer.from(text), false)
    bucket.objects.delete(commitKey(PARTITION, 500n))
    const found = await run(problems())
    assert.ok(found.includes(`checkpoint_wrong ${key}`))
    assert.ok(found.some((problem) => problem.startsWith('gap ')))
  })

  it('are the same object from two writers, and success where they are there', async () => {
    fill(0, 1000)
    const first = await run(writeCheckpoint(store, PARTITION, NONE))
    const bytes = bucket.objects.get(checkpointKey(PARTITION, 1000n))!.bytes
    const second = await run(writeCheckpoint(store, PARTITION, NONE))
    assert.deepEqual(first, second)
    assert.equal(bucket.objects.get(checkpointKey(PARTITION, 1000n))!.bytes, bytes)
    assert.equal(await run(writeCheckpoint(store, PARTITION, first!)), undefined)
  })

  it('end early where their commits are large', async () => {
    const holes = Array.from({ length: 2000 }, (_, index) => ({
      start: String(index),
      end: String(index + 1),
      reason: 'x'.repeat(900),
    }))
    for (let start = 0; start < 8; start++) {
      const from = BigInt(start) * 2000n
      const shifted = holes.map((hole) => ({
        ...hole,
        start: String(BigInt(hole.start) + from),
        end: String(BigInt(hole.end) + from),
      }))
      const record = commitRecord(from, from + 2000n, { files: [], holes: shifted })
      bucket.put(commitKey(PARTITION, from), serializeCommitRecord(record), true)
    }
    const folded = await run(writeCheckpoint(store, PARTITION, NONE))
    assert.deepEqual(folded, { end: 10_000n, commits: 5 })
    assert.equal((await run(collect(0n))).length, 8)
  })
})
