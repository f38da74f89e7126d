import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'

import { COMMITS_CHECKED_AT_OPEN_MAX, CommitChain } from '../../src/commit/commit-chain.ts'
import { parseCommitRecord, serializeCommitRecord } from '../../src/commit/commit-record.ts'
import type { CommitRecord } from '../../src/commit/commit-record.ts'
import { AppError } from '../../src/errors.ts'
import { setFailpoints } from '../../src/failpoint.ts'
import type { ObjectStore, PutOptions } from '../../src/object-store/object-store.ts'
import { commitKey } from '../../src/paths.ts'
import { FaultFileSystem } from '../../src/testing/fault-file-system.ts'
import { MemoryBucket, MemoryObjectStore } from '../../src/testing/memory-object-store.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { SeededRandom, randomSource } from '../../src/testing/seeded-random.ts'
import { PARTITION, commitRecord, memoryStore } from './sample-commit.ts'

/** Retries without waiting. */
const FAST = { retryPauseMs: 1 }

/** A store whose puts do as the script says: before, after the write, or as usual. */
function flakyStore(store: ObjectStore, script: ('lost' | 'refused' | 'fine')[]): ObjectStore {
  return new Proxy(store, {
    get(target, name) {
      if (name !== 'put') {
        const member: unknown = Reflect.get(target, name, target)
        return typeof member === 'function' ? (member.bind(target) as unknown) : member
      }
      return async (key: string, body: Uint8Array, options?: PutOptions) => {
        const fate = script.shift() ?? 'fine'
        if (fate === 'refused') throw new AppError('store_unavailable', 'refused')
        await target.put(key, body, options)
        if (fate === 'lost') throw new AppError('store_unavailable', 'timed out')
      }
    },
  })
}

async function collect(chain: CommitChain): Promise<CommitRecord[]> {
  const records: CommitRecord[] = []
  for await (const record of chain.records()) records.push(record)
  return records
}

describe('CommitChain', () => {
  let store: ObjectStore
  beforeEach(async () => {
    store = await memoryStore()
  })
  afterEach(() => {
    setFailpoints(undefined)
  })

  it('starts at 0 and goes on where the last commit ended, also after a restart', async () => {
    const chain = await CommitChain.open(store, PARTITION)
    assert.equal(chain.end, 0n)
    assert.equal(chain.lastEpoch, 0)
    const records = [
      commitRecord(0n, 7n),
      commitRecord(7n, 9n, { epoch: 4 }),
      commitRecord(9n, 2n ** 62n, { epoch: 5 }),
    ]
    for (const record of records) assert.equal(await chain.append(record), 'committed')
    const reopened = await CommitChain.open(store, PARTITION)
    assert.equal(reopened.end, 2n ** 62n)
    assert.equal(reopened.count, 3)
    assert.equal(reopened.lastEpoch, 5)
    assert.equal(reopened.lastWriter, 'writer-a')
    assert.deepEqual(await collect(reopened), records)
  })

  it('does not take a commit that starts elsewhere', async () => {
    const chain = await CommitChain.open(store, PARTITION)
    await assert.rejects(chain.append(commitRecord(1n, 2n)), { code: 'ERR_ASSERTION' })
    await assert.rejects(chain.append(commitRecord(0n, 2n, { partition: 4 })), {
      code: 'ERR_ASSERTION',
    })
  })

  it('hands over the winner to a second writer, and lets it go on behind', async () => {
    const slow = await CommitChain.open(store, PARTITION)
    const fast = await CommitChain.open(store, PARTITION)
    const winners = [commitRecord(0n, 5n, { writer: 'fast' }), commitRecord(5n, 8n)]
    for (const record of winners) await fast.append(record)
    const outcome = await slow.append(commitRecord(0n, 6n, { writer: 'slow' }))
    assert.deepEqual(outcome, { conflict: winners[0] })
    assert.equal(slow.end, 8n)
    assert.equal(await slow.append(commitRecord(8n, 9n, { writer: 'slow' })), 'committed')
    assert.equal(await fast.refresh(), 9n)
  })

  it('finds its own commit where the answer was lost', async () => {
    for (const script of [['lost'], ['lost', 'lost'], ['refused'], ['refused', 'lost']] as const) {
      const fresh = await memoryStore()
      const chain = await CommitChain.open(flakyStore(fresh, [...script]), PARTITION, FAST)
      assert.equal(await chain.append(commitRecord(0n, 5n)), 'committed')
      assert.equal(chain.end, 5n)
    }
  })

  it('leaves the outcome open where the store stays away, and takes the same commit again', async () => {
    const script = ['lost', 'refused', 'refused', 'refused', 'refused'] as const
    const flaky = flakyStore(store, ['refused', ...script.slice(1)])
    const chain = await CommitChain.open(flaky, PARTITION, FAST)
    await assert.rejects(chain.append(commitRecord(0n, 5n)), { code: 'store_unavailable' })
    assert.equal(chain.end, 0n)
    // the write lands after all: a timeout is never a no
    await (await CommitChain.open(store, PARTITION)).append(commitRecord(0n, 5n))
    const again = commitRecord(0n, 5n, { committedAt: '2026-11-21T04:00:00.000Z' })
    assert.equal(await chain.append(again), 'committed')
    assert.equal(chain.end, 5n)
  })

  it('is whole after a crash before and after the put, and after the lost answer', async () => {
    for (const point of [
      'commit:before-put',
      'store:before-link',
      'store:after-link',
      'commit:after-put',
    ]) {
      const fs = new FaultFileSystem(7)
      const chain = await CommitChain.open(await memoryStore(fs), PARTITION)
      await chain.append(commitRecord(0n, 5n))
      setFailpoints(`${point}=throw`)
      await assert.rejects(chain.append(commitRecord(5n, 9n)))
      setFailpoints(undefined)
      const restarted = await CommitChain.open(await memoryStore(fs), PARTITION)
      if (restarted.end === 5n) await restarted.append(commitRecord(5n, 9n))
      assert.equal(restarted.end, 9n)
      const next = await CommitChain.open(await memoryStore(fs.losePower()), PARTITION)
      assert.equal(next.end, 9n, point)
    }
  })

  it('names the place of a gap, an overlap, a damaged and a foreign commit', async () => {
    const put = (record: CommitRecord, at = BigInt(record.start)) =>
      store.put(commitKey(PARTITION, at), serializeCommitRecord(record))
    const opened = () => CommitChain.open(store, PARTITION)
    const failure = async (): Promise<AppError> => {
      const error: unknown = await opened().then(
        () => assert.fail('the chain opened'),
        (reason: unknown) => reason,
      )
      assert.ok(error instanceof AppError)
      return error
    }
    await put(commitRecord(0n, 5n))
    await put(commitRecord(6n, 9n))
    const gap = await failure()
    assert.equal(gap.code, 'chain_broken')
    assert.equal(gap.details['expected'], '5')
    assert.equal(gap.details['start'], '6')
    await put(commitRecord(5n, 7n))
    const overlap = await failure()
    assert.equal(overlap.message, 'commits overlap')
    assert.equal(overlap.details['expected'], '7')
    await store.delete(commitKey(PARTITION, 6n))
    assert.equal((await opened()).end, 7n)
    await store.put(commitKey(PARTITION, 7n), Buffer.from('{"formatVersion":'))
    const damaged = await failure()
    assert.equal(damaged.code, 'commit_damaged')
    assert.equal(damaged.details['key'], commitKey(PARTITION, 7n))
    await put(commitRecord(7n, 8n, { topic: 'other', files: [] }))
    assert.equal((await failure()).message, 'a commit belongs to another partition')
    await store.delete(commitKey(PARTITION, 7n))
    await store.delete(commitKey(PARTITION, 0n))
    assert.equal((await failure()).message, 'a gap between commits')
  })

  it('gives the commits of the window, oldest first', async () => {
    const chain = await CommitChain.open(store, PARTITION)
    const at = (minute: number) => new Date(Date.UTC(2026, 10, 21, 3, minute)).toISOString()
    for (let minute = 0; minute < 20; minute++) {
      const start = BigInt(minute)
      await chain.append(commitRecord(start, start + 1n, { committedAt: at(minute) }))
    }
    const recent = async (minute: number) =>
      (await (await CommitChain.open(store, PARTITION)).recent(Date.parse(at(minute)))).map(
        ({ start }) => Number(start),
      )
    assert.deepEqual(await recent(17), [17, 18, 19])
    assert.deepEqual(await recent(30), [])
    assert.equal((await recent(0)).length, 20)
  })

  it('opens a long chain by its newest commits, and walks it whole', async () => {
    const count = 2 * COMMITS_CHECKED_AT_OPEN_MAX + 10
    for (let start = 0n; start < count; start++) {
      const record = commitRecord(start, start + 1n, { files: [] })
      await store.put(commitKey(PARTITION, start), serializeCommitRecord(record))
    }
    const chain = await CommitChain.open(store, PARTITION)
    assert.equal(chain.end, BigInt(count))
    assert.equal(chain.count, count)
    assert.equal((await collect(chain)).length, count)
    assert.equal(await chain.append(commitRecord(chain.end, chain.end + 1n)), 'committed')
    await store.delete(commitKey(PARTITION, BigInt(count - 5)))
    await assert.rejects(CommitChain.open(store, PARTITION), { code: 'chain_broken' })
  })

  it('tiles whatever several writers do at once, with lost and refused answers', async () => {
    const seed = Number(process.hrtime.bigint() % 100_000n)
    const random = randomSource(seed)
    const fates = ['lost', 'refused', 'fine', 'fine'] as const
    const write = async (writer: string): Promise<void> => {
      const script = Array.from({ length: 200 }, () => fates[Math.floor(random() * 4)]!)
      for (let index = 3; index < script.length; index += 4) script[index] = 'fine'
      const chain = await CommitChain.open(flakyStore(store, script), PARTITION, FAST)
      for (let count = 0; count < 8; count++) {
        const start = chain.end
        const end = start + 1n + BigInt(Math.floor(random() * 5))
        const epoch = chain.lastEpoch + (count % 2)
        const outcome = await chain.append(commitRecord(start, end, { writer, epoch }))
        if (outcome !== 'committed') assert.notEqual(outcome.conflict.writer, writer)
        assert.ok(chain.end > start)
      }
    }
    await Promise.all(['a', 'b', 'c'].map(write))
    const chain = await CommitChain.open(store, PARTITION)
    const records = await collect(chain)
    assert.equal(records.at(-1)!.end, String(chain.end), `seed ${seed}`)
    const epochs = records.map(({ epoch }) => epoch)
    assert.deepEqual(
      epochs,
      epochs.toSorted((a, b) => a - b),
      `seed ${seed}`,
    )
    for (const record of records) {
      const bytes = await store.get(commitKey(PARTITION, BigInt(record.start)))
      assert.deepEqual(parseCommitRecord(bytes), record)
    }
  })

  it('refuses a commit of an epoch that is past, also right behind the one that ended it', async () => {
    const zombie = await CommitChain.open(store, PARTITION)
    const owner = await CommitChain.open(store, PARTITION)
    await owner.append(commitRecord(0n, 5n, { writer: 'owner', epoch: 2 }))
    const outcome = await zombie.append(commitRecord(0n, 3n, { writer: 'zombie', epoch: 1 }))
    assert.ok(outcome !== 'committed' && outcome.conflict.writer === 'owner')
    const record = commitRecord(5n, 6n, { writer: 'zombie', epoch: 1 })
    await assert.rejects(zombie.append(record), { code: 'fenced' })
    assert.equal(await owner.refresh(), 5n)
  })

  it('tells of a conflict also where the store fails right behind it', async () => {
    const clock = new VirtualClock()
    const bucket = new MemoryBucket(clock, new SeededRandom(1))
    const memory = new MemoryObjectStore(bucket, clock)
    const late = await clock.run(CommitChain.open(memory, PARTITION, { clock }))
    const owner = await clock.run(CommitChain.open(memory, PARTITION, { clock }))
    for (const start of [0n, 5n]) await clock.run(owner.append(commitRecord(start, start + 5n)))
    const failing = new Proxy(bucket.objects, {
      get(target, name) {
        if (name !== 'get') return (Reflect.get(target, name) as () => unknown).bind(target)
        return (key: string) => {
          if (key === commitKey(PARTITION, 5n)) throw new AppError('store_unavailable', 'away')
          return target.get(key)
        }
      },
    })
    Object.assign(bucket, { objects: failing })
    const outcome = await clock.run(late.append(commitRecord(0n, 3n, { writer: 'late' })))
    assert.ok(outcome !== 'committed' && outcome.conflict.end === '5')
    assert.equal(late.end, 5n)
  })
})
