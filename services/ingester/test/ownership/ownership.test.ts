/** Several whole ingesters on memory parts, in virtual time: who owns what, and how fast it moves. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { MemoryClusterStore } from '@tributary/common/testing/memory-cluster-metadata'

import { MemoryIngester, memoryLeases } from '../../src/testing/memory-ingester.ts'
import { MemoryWorld } from '../../src/testing/memory-world.ts'
import { storedPartition } from '../../src/testing/stored-rows.ts'
import { testBatch, testChunk } from '../../src/testing/test-batches.ts'

interface Cluster {
  readonly world: MemoryWorld
  readonly leases: MemoryClusterStore
  /** By partition: what was appended. */
  readonly rows: string[][]
}

function cluster(partitions: number, seed = 1, more: object = {}): Cluster {
  const world = new MemoryWorld({ seed, partitions, ...more })
  return { world, leases: memoryLeases(world), rows: Array.from({ length: partitions }, () => []) }
}

function fill({ world, rows }: Cluster, count: number): void {
  for (let index = 0; index < count; index++) {
    const partition = index % rows.length
    const batch = testBatch(world.random, [testChunk(world.random)])
    world.broker.append(partition, [batch.bytes])
    rows[partition]!.push(...batch.rows)
  }
}

async function assertStoredOnce({ world, rows }: Cluster, note = ''): Promise<void> {
  for (const [partition, expected] of rows.entries()) {
    const stored = await storedPartition(world.bucket, world.idOf(partition))
    const wrong = expected.filter((row) => stored.rows.get(row) !== 1)
    const counts = [wrong.length, stored.rows.size]
    assert.deepEqual(counts, [0, expected.length], `${note} partition ${partition}`)
  }
}

/** Owned partitions of all, which must be distinct. */
function ownedBy(ingesters: readonly MemoryIngester[]): number[] {
  const owned = ingesters.flatMap((ingester) => ingester.owned)
  return owned.sort((a, b) => a - b)
}

const ALL = [0, 1, 2, 3, 4, 5]

async function startThree(of: Cluster): Promise<MemoryIngester[]> {
  const ingesters: MemoryIngester[] = []
  for (const name of ['a', 'b', 'c']) {
    ingesters.push(await MemoryIngester.start(of.world, of.leases, name))
  }
  return ingesters
}

describe('Ownership', () => {
  it('shares the partitions evenly, each with one owner', async () => {
    const of = cluster(6)
    const ingesters = await startThree(of)
    fill(of, 60)
    await of.world.clock.advance(6000)
    assert.deepEqual(ownedBy(ingesters), [], 'nobody takes anything while leases are young')
    await of.world.clock.advance(4000)
    assert.deepEqual(ownedBy(ingesters), ALL)
    for (const { owned } of ingesters) assert.equal(owned.length, 2)
    await of.world.clock.advance(5000)
    await assertStoredOnce(of)
  })

  it('takes over from a process that was killed within 10 s', async () => {
    const of = cluster(6)
    const ingesters = await startThree(of)
    await of.world.clock.advance(12_000)
    const [dead, ...living] = ingesters as [MemoryIngester, ...MemoryIngester[]]
    fill(of, 60)
    await of.world.clock.advance(300)
    dead.crash()
    fill(of, 60)
    let tookMs = 0
    for (; ownedBy(living).length < 6; tookMs += 100) await of.world.clock.advance(100)
    assert.ok(tookMs <= 10_000, `${tookMs} ms`)
    await of.world.clock.advance(5000)
    await assertStoredOnce(of)
  })

  it('hands over to a newcomer with a pause below a second, and back with a shorter one', async () => {
    const of = cluster(6)
    const [a, b] = [
      await MemoryIngester.start(of.world, of.leases, 'a'),
      await MemoryIngester.start(of.world, of.leases, 'b'),
    ]
    await of.world.clock.advance(12_000)
    assert.deepEqual(ownedBy([a, b]), ALL)
    const c = await MemoryIngester.start(of.world, of.leases, 'c')
    const longestUnownedMs = async (forMs: number): Promise<number> => {
      const sinceMs = new Map<number, number>()
      let longestMs = 0
      for (let ms = 0; ms < forMs; ms += 20) {
        if (ms % 400 === 0) fill(of, 6)
        await of.world.clock.advance(20)
        const owned = new Set(ownedBy([a, b, c]))
        for (const partition of ALL) {
          if (owned.has(partition)) sinceMs.delete(partition)
          else if (!sinceMs.has(partition)) sinceMs.set(partition, ms)
          longestMs = Math.max(longestMs, ms - (sinceMs.get(partition) ?? ms))
        }
      }
      return longestMs
    }
    const comingMs = await longestUnownedMs(8000)
    assert.equal(c.owned.length, 2)
    assert.ok(comingMs <= 1000, `${comingMs} ms without an owner`)
    // the others have just beaten, and beat again in 900 ms
    await of.world.clock.advance(100)
    const stopped = c.ingester!.stop()
    const goingMs = await longestUnownedMs(8000)
    await stopped
    assert.deepEqual(ownedBy([a, b]), ALL)
    assert.ok(goingMs <= 400, `${goingMs} ms without an owner, though all could know of the drain`)
    await of.world.clock.advance(4000)
    await assertStoredOnce(of)
  })

  it('gives nothing away where a drain ends while it is announced', async () => {
    const of = cluster(6)
    const a = await MemoryIngester.start(of.world, of.leases, 'a')
    await MemoryIngester.start(of.world, of.leases, 'b')
    await of.world.clock.advance(12_000)
    const before = a.owned
    assert.equal(before.length, 3)
    for (const end of ['resumed', 'not renewed']) {
      const drained = a.ingester!.drain(end === 'resumed' ? undefined : 700)
      const ended = assert.rejects(drained, { code: 'cancelled' }, end)
      for (let ms = 0; ms < 4000; ms += 20) {
        if (ms === 600 && end === 'resumed') a.ingester!.resume()
        await of.world.clock.advance(20)
        assert.deepEqual(a.owned, before, `${end}, after ${ms} ms`)
      }
      await ended
    }
  })

  it('drains also while the leases can not be reached', async () => {
    const of = cluster(6)
    const [a] = await startThree(of)
    await of.world.clock.advance(12_000)
    fill(of, 60)
    of.leases.calls.faults = { unreachable: 1, answerLost: 0, late: 0, lateMsMax: 0 }
    await of.world.clock.run(a!.ingester!.drain(), 60_000)
    assert.deepEqual(a!.owned, [])
    of.leases.calls.faults = { unreachable: 0, answerLost: 0, late: 0, lateMsMax: 0 }
    await of.world.clock.advance(20_000)
    assert.deepEqual(a!.owned, [])
    await assertStoredOnce(of)
  })

  it('stops in time where a drain was announced just before', async () => {
    const of = cluster(6)
    const [a] = await startThree(of)
    await of.world.clock.advance(12_000)
    fill(of, 60)
    const drained = a!.ingester!.drain()
    const startMs = of.world.clock.monotonicMs()
    await of.world.clock.run(a!.ingester!.stop(500), 20_000)
    await drained
    const tookMs = of.world.clock.monotonicMs() - startMs
    assert.ok(tookMs < 500, `${tookMs} ms`)
    await of.world.clock.advance(9000)
    await assertStoredOnce(of)
  })

  it('stops in time while the store refuses all, however many partitions wait for it', async () => {
    const of = cluster(12)
    const a = await MemoryIngester.start(of.world, of.leases, 'a')
    await of.world.clock.advance(12_000)
    assert.equal(a.owned.length, 12)
    of.world.bucket.faults.refusedChance = 1
    fill(of, 60)
    await of.world.clock.advance(500)
    const startMs = of.world.clock.monotonicMs()
    await of.world.clock.run(a.ingester!.stop(15_000), 60_000)
    const tookMs = of.world.clock.monotonicMs() - startMs
    assert.ok(tookMs < 25_000, `${tookMs} ms`)
    of.world.bucket.faults.refusedChance = 0
    const b = await MemoryIngester.start(of.world, of.leases, 'b')
    await of.world.clock.advance(4000)
    assert.equal(b.owned.length, 12, 'its leases were free')
    await of.world.clock.advance(5000)
    await assertStoredOnce(of)
  })

  it('changes nothing while the leases can not be reached, and commits all the same', async () => {
    const of = cluster(6)
    const ingesters = await startThree(of)
    await of.world.clock.advance(12_000)
    const before = ingesters.map(({ owned }) => owned)
    of.leases.calls.faults = { unreachable: 1, answerLost: 0, late: 0, lateMsMax: 0 }
    fill(of, 60)
    await of.world.clock.advance(300_000)
    assert.deepEqual(
      ingesters.map(({ owned }) => owned),
      before,
    )
    await assertStoredOnce(of)
    of.leases.calls.faults = { unreachable: 0, answerLost: 0, late: 0, lateMsMax: 0 }
    await of.world.clock.advance(30_000)
    assert.deepEqual(
      ingesters.map(({ owned }) => owned),
      before,
    )
  })

  it('claims what it owns, and nothing else, after the leases were lost', async () => {
    const of = cluster(6)
    const ingesters = await startThree(of)
    await of.world.clock.advance(12_000)
    const before = ingesters.map(({ owned }) => owned)
    of.leases.state.flushAll()
    fill(of, 60)
    for (let second = 0; second < 20; second++) {
      await of.world.clock.advance(1000)
      assert.deepEqual(
        ingesters.map(({ owned }) => owned),
        before,
        `second ${second}`,
      )
    }
    await assertStoredOnce(of)
    const { leases } = await of.world.clock.run(ingesters[0]!.metadata.view())
    assert.ok([...leases.values()].every(({ epoch }) => epoch >= 2))
  })

  it('steps back when it wakes behind its lease, and nothing it had is stored twice', async () => {
    const of = cluster(6)
    const ingesters = await startThree(of)
    await of.world.clock.advance(12_000)
    const [zombie, ...living] = ingesters as [MemoryIngester, ...MemoryIngester[]]
    fill(of, 60)
    await of.world.clock.advance(500)
    zombie.clock.freeze()
    zombie.metadata.line.isCut = true
    await of.world.clock.advance(30_000)
    assert.deepEqual(ownedBy(living), ALL)
    fill(of, 30)
    zombie.metadata.line.isCut = false
    zombie.clock.thaw()
    await of.world.clock.advance(20_000)
    assert.deepEqual(ownedBy(ingesters), ALL)
    await assertStoredOnce(of)
  })
})
