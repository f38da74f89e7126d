/**
 * The crash points I1-I17 of an owner: it ends there, or stops and wakes up much later, and the next one
 * begins with its disk, with an empty one, or beside it. Every row is stored once, whatever was half done.
 */
import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'

import { hookFailpoints } from '@tributary/common/failpoint'

import { MemoryIngester, memoryLeases } from '../src/testing/memory-ingester.ts'
import { MemoryWorld } from '../src/testing/memory-world.ts'
import { storedPartition } from '../src/testing/stored-rows.ts'
import { testBatch, testChunk } from '../src/testing/test-batches.ts'

/** In the order of the data path, with the ids of the crash points that they stand for. */
const POINTS: Readonly<Record<string, string>> = {
  'ingester:recovered': 'I17 opened, nothing fetched',
  'fetch:received': 'I1 fetch, before the WAL',
  'wal:rotate': 'I5 a new file of the WAL',
  'wal:mid-write': 'I2 half of a write to the WAL',
  'wal:after-write': 'I3 the WAL has it, memory not yet',
  'ingester:before-insert': 'I4 before the memtable',
  'flush:frozen': 'I6 frozen, nothing encoded',
  'flush:before-put': 'I7 before an upload',
  'flush:after-put': 'I9 uploaded',
  'flush:before-commit': 'I9 all uploaded, no sidecar',
  'commit:before-put': 'I9 sidecar stored, no commit',
  'commit:after-put': 'I10 committed, answer lost',
  'flush:after-commit': 'I11 committed, index not told',
  'ingester:before-truncate': 'I13 the WAL still has it',
  'wal:truncate': 'I13 files unlinked, folder not synced',
}

type Variant = 'same disk' | 'power loss' | 'empty disk' | 'another owner' | 'a zombie wakes'
const VARIANTS: readonly Variant[] = [
  'same disk',
  'power loss',
  'empty disk',
  'another owner',
  'a zombie wakes',
]

const NEVER = new Promise<void>(() => undefined)

function fill(world: MemoryWorld, rows: string[], count: number): void {
  for (let index = 0; index < count; index++) {
    const batch = testBatch(world.random, [testChunk(world.random), testChunk(world.random)])
    world.broker.append(0, [batch.bytes])
    rows.push(...batch.rows)
  }
}

async function endAt(point: string, nth: number, variant: Variant): Promise<void> {
  const world = new MemoryWorld({
    seed: nth,
    settings: { flushIntervalMs: 1000 },
    logFaults: { deliveryRecordsMax: 5 },
  })
  const leases = memoryLeases(world)
  const rows: string[] = []
  let victim: MemoryIngester | undefined = await MemoryIngester.start(world, leases, 'one')
  let disk: MemoryIngester['disk'] | undefined
  let zombie: MemoryIngester | undefined
  const waking = Promise.withResolvers<void>()
  let hits = 0
  hookFailpoints([point], () => {
    if (victim === undefined || ++hits < nth) return
    const ended = victim
    victim = undefined
    if (variant === 'a zombie wakes') {
      ended.clock.freeze()
      ended.metadata.line.isCut = true
      zombie = ended
      return waking.promise
    }
    disk = ended.crash()
    return NEVER
  })
  await world.clock.advance(8000)
  for (let round = 0; round < 8; round++) {
    fill(world, rows, 12)
    await world.clock.advance(700)
  }
  assert.equal(victim, undefined, `${point} was reached ${hits} times`)
  const next = await startNext(world, leases, variant, disk)
  await world.clock.advance(15_000)
  fill(world, rows, 12)
  if (zombie !== undefined) {
    zombie.metadata.line.isCut = false
    zombie.clock.thaw()
    waking.resolve()
  }
  await world.clock.advance(30_000)
  const ingesters = zombie === undefined ? [next] : [next, zombie]
  assert.deepEqual(
    ingesters.flatMap(({ owned }) => owned),
    [0],
  )
  const stored = await storedPartition(world.bucket, world.idOf(0))
  const wrong = rows.filter((row) => stored.rows.get(row) !== 1)
  assert.deepEqual([wrong.length, stored.rows.size], [0, rows.length])
}

function startNext(
  world: MemoryWorld,
  leases: ReturnType<typeof memoryLeases>,
  variant: Variant,
  disk: MemoryIngester['disk'] | undefined,
): Promise<MemoryIngester> {
  switch (variant) {
    case 'same disk':
      return MemoryIngester.start(world, leases, 'one', disk)
    case 'power loss':
      return MemoryIngester.start(world, leases, 'one', disk?.losePower())
    case 'empty disk':
      return MemoryIngester.start(world, leases, 'one')
    case 'another owner':
    case 'a zombie wakes':
      return MemoryIngester.start(world, leases, 'two')
  }
}

describe('an owner that ends', () => {
  afterEach(() => {
    hookFailpoints([], undefined)
  })

  for (const [point, what] of Object.entries(POINTS)) {
    it(`at ${point} (${what}) loses and doubles nothing`, async () => {
      // opened once, the others again and again
      const hits = point === 'ingester:recovered' ? [1] : [1, 2, 3]
      for (const variant of VARIANTS) {
        for (const nth of hits) await endAt(point, nth, variant)
      }
    })
  }

  it('in its recovery again and again comes to an end all the same (I17)', async () => {
    const world = new MemoryWorld({ seed: 5, settings: { flushIntervalMs: 3_600_000 } })
    const leases = memoryLeases(world)
    const rows: string[] = []
    let one = await MemoryIngester.start(world, leases, 'one')
    await world.clock.advance(8000)
    fill(world, rows, 60)
    await world.clock.advance(500)
    let disk = one.crash()
    for (let life = 0; life < 100; life++) {
      let hits = 0
      const at = 1 + (life % 4)
      hookFailpoints(['wal:recover', 'ingester:recovered'], () => {
        if (++hits < at) return
        disk = one.crash()
        return NEVER
      })
      one = await MemoryIngester.start(world, leases, 'one', disk)
      await world.clock.advance(8000)
      if (hits < at) disk = one.crash()
    }
    hookFailpoints([], undefined)
    one = await MemoryIngester.start(world, leases, 'one', disk)
    await world.clock.advance(8000)
    assert.equal(one.ingester?.slots[0]?.owner?.next, 60n)
    await world.clock.run(one.ingester.stop(), 60_000)
    const stored = await storedPartition(world.bucket, world.idOf(0))
    assert.equal(stored.rows.size, rows.length)
  })
})
