/** One partition of the memory log, owned by one process, by one after another, or by two at once. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { ENVELOPE_VERSION } from '@tributary/common/columnar/envelope'
import { toAppError } from '@tributary/common/errors'
import { TROUBLED_LOG } from '@tributary/common/testing/memory-log-faults'
import { TROUBLED_STORE } from '@tributary/common/testing/memory-object-store'

import { QuarantineBudget } from '../src/fetch/quarantine-budget.ts'
import { MemoryWorld, type MemoryProcess } from '../src/testing/memory-world.ts'
import { storedPartition } from '../src/testing/stored-rows.ts'
import {
  testBatch,
  testChunk,
  type TestBatch,
  type TestChunk,
} from '../src/testing/test-batches.ts'

/** Appends batches of new chunks, each as one record; gives their rows. */
function fill(world: MemoryWorld, count: number): string[] {
  const rows: string[] = []
  for (let index = 0; index < count; index++) {
    const batch = testBatch(world.random, [testChunk(world.random), testChunk(world.random)])
    world.broker.append(0, [batch.bytes])
    rows.push(...batch.rows)
  }
  return rows
}

async function assertStoredOnce(
  world: MemoryWorld,
  rows: Iterable<string>,
  note = '',
): Promise<Awaited<ReturnType<typeof storedPartition>>> {
  const stored = await storedPartition(world.bucket, world.idOf(0))
  const expected = new Set(rows)
  const lost = [...expected].filter((row) => !stored.rows.has(row))
  const twice = [...stored.rows].filter(([, count]) => count > 1)
  const unknown = [...stored.rows.keys()].filter((row) => !expected.has(row))
  const lengths = [lost.length, twice.length, unknown.length]
  assert.deepEqual(lengths, [0, 0, 0], `${note} lost, twice, unknown`)
  return stored
}

describe('PartitionOwner', () => {
  it('commits what the log has, once, and follows what comes', async () => {
    const world = new MemoryWorld({ seed: 1 })
    const rows = fill(world, 50)
    const process = await world.start('a')
    const owner = await world.clock.run(process.own(0, 1))
    await world.clock.advance(3000)
    assert.equal(owner.start, 50n)
    rows.push(...fill(world, 30))
    await world.clock.advance(500)
    await world.clock.run(owner.flush())
    const stored = await assertStoredOnce(world, rows)
    assert.equal(stored.end, 80n)
    assert.ok(stored.records.every(({ epoch, writer }) => epoch === 1 && writer === 'a'))
    assert.deepEqual(
      process.disk.paths().filter((path) => path.startsWith('/data/wal') || path.includes('spool')),
      [],
      'nothing is kept of what is committed',
    )
  })

  it('takes its WAL back on the same disk and fetches again on an empty one', async () => {
    for (const hasDisk of [true, false]) {
      const world = new MemoryWorld({ seed: 2, settings: { flushIntervalMs: 60_000 } })
      const rows = fill(world, 40)
      const first = await world.start('a')
      await world.clock.run(first.own(0, 1))
      await world.clock.advance(1000)
      const disk = first.crash()
      const second = await world.start('b', hasDisk ? disk : undefined)
      world.broker.faults.delayMs = [100, 100]
      const owner = await world.clock.run(second.own(0, 2))
      assert.equal(owner.next, hasDisk ? 40n : 0n, 'known before the first fetch')
      rows.push(...fill(world, 5))
      await world.clock.advance(1000)
      await world.clock.run(owner.flush())
      await assertStoredOnce(world, rows)
    }
  })

  it('stores a repeated batch and a repeated chunk once, also across a crash', async () => {
    const world = new MemoryWorld({ seed: 3 })
    const chunks = Array.from({ length: 6 }, () => testChunk(world.random))
    const batch = testBatch(world.random, chunks.slice(0, 4))
    const retry = testBatch(world.random, chunks.slice(2, 6))
    const append = ({ bytes }: TestBatch): bigint => world.broker.append(0, [bytes])
    append(batch)
    append(batch)
    const first = await world.start('a')
    await world.clock.run(first.own(0, 1))
    await world.clock.advance(5000)
    const second = await world.start('b', first.crash())
    append(retry)
    append(batch)
    const owner = await world.clock.run(second.own(0, 2))
    await world.clock.advance(1000)
    await world.clock.run(owner.flush())
    const stored = await assertStoredOnce(world, [...batch.rows, ...retry.rows])
    const suppressed = stored.records.reduce((sum, { counts }) => sum + counts.rowsSuppressed, 0)
    const repeated = chunks.slice(2, 4).reduce((sum, { rowCount }) => sum + rowCount, 0)
    assert.equal(suppressed, 2 * batch.rows.length + repeated)
  })

  it('counts once what its window of repeats forgets, whoever opens the partition then', async () => {
    const world = new MemoryWorld({ seed: 14, settings: { retryWindowEntriesMax: 1024 } })
    const process = await world.start('a')
    const forgotten = async (): Promise<string> => {
      const text = await process.registry.metrics()
      return /^tributary_ingester_forgotten_chunks_total (\d+)$/m.exec(text)![1]!
    }
    // the window holds two chunks and the batch itself of each
    fill(world, 400)
    const first = await world.clock.run(process.own(0, 1))
    await world.clock.advance(3000)
    await world.clock.run(first.flush())
    assert.equal(await forgotten(), String(3 * 400 - 1024))
    await world.clock.run(first.handOver(1000))
    await world.clock.run(process.own(0, 2))
    assert.equal(await forgotten(), String(3 * 400 - 1024))
    fill(world, 1)
    await world.clock.advance(1000)
    assert.equal(await forgotten(), String(3 * 401 - 1024))
  })

  it('stores the repeat of a batch that went to quarantine: it was never stored before', async () => {
    const poisoned: Uint8Array[] = []
    const world = new MemoryWorld({
      seed: 4,
      encoder: { isPoison: (batchId) => poisoned.some((id) => Buffer.from(id).equals(batchId)) },
    })
    const chunk = testChunk(world.random)
    const other = fill(world, 3)
    const bad = testBatch(world.random, [chunk])
    poisoned.push(bad.bytes.slice(24, 40))
    const good = testBatch(world.random, [chunk])
    world.broker.append(0, [bad.bytes, good.bytes])
    const process = await world.start('a')
    const owner = await world.clock.run(process.own(0, 1))
    await world.clock.advance(1000)
    await world.clock.run(owner.flush())
    const stored = await assertStoredOnce(world, [...other, ...good.rows])
    assert.equal(stored.records[0]?.counts.rowsQuarantined, chunk.rowCount)
    assert.deepEqual(
      stored.records.flatMap(({ holes }) => holes).map(({ start, end }) => [start, end]),
      [['3', '4']],
    )
    assert.match(stored.records[0].holes[0]!.reason, /^quarantined: /)
  })

  it('fetches a bent record again, and puts one aside that is bad in the log', async () => {
    const world = new MemoryWorld({ seed: 5, logFaults: { flippedBitChance: 0.1 } })
    const rows = fill(world, 20)
    world.broker.append(0, [Buffer.from('no envelope at all')])
    rows.push(...fill(world, 60))
    const process = await world.start('a')
    const owner = await world.clock.run(process.own(0, 1))
    await world.clock.advance(60_000)
    await world.clock.run(owner.flush())
    const stored = await assertStoredOnce(world, rows)
    const holes = stored.records.flatMap((record) => record.holes)
    assert.deepEqual(
      holes.map(({ start, end }) => [start, end]),
      [['20', '21']],
    )
    const kept = [...world.bucket.objects].filter(([key]) => key.startsWith('quarantine/'))
    assert.deepEqual(
      kept.map(([, { bytes }]) => Buffer.from(bytes).toString()),
      ['no envelope at all'],
    )
  })

  it('commits a hole as old as rows would be, however long the process runs, and rows with it', async () => {
    for (const ageMs of [0, 100_000]) {
      const flushIntervalMs = 20_000
      const world = new MemoryWorld({ seed: 10, settings: { flushIntervalMs } })
      const process = await world.start('a')
      const owner = await world.clock.run(process.own(0, 1))
      await world.clock.advance(ageMs)
      world.broker.append(0, [Buffer.from('no envelope at all')])
      while (owner.end < 1n) await world.clock.advance(10)
      const cameMs = world.clock.monotonicMs()
      const rows = fill(world, 4)
      await world.clock.advance(flushIntervalMs - 1000)
      assert.equal(
        owner.start,
        0n,
        `committed ${world.clock.monotonicMs() - cameMs} ms after it came`,
      )
      await world.clock.advance(2000)
      const stored = await assertStoredOnce(world, rows)
      assert.equal(stored.end, 5n)
      assert.deepEqual(
        stored.records.map(({ holes }) => holes.length),
        [1],
      )
    }
  })

  it('commits a hole that nothing follows', async () => {
    const world = new MemoryWorld({ seed: 11, settings: { flushIntervalMs: 20_000 } })
    const process = await world.start('a')
    const owner = await world.clock.run(process.own(0, 1))
    world.broker.append(0, [Buffer.from('no envelope at all')])
    while (owner.end < 1n) await world.clock.advance(10)
    await world.clock.advance(19_000)
    assert.equal(owner.start, 0n)
    await world.clock.advance(2000)
    assert.equal(owner.start, 1n)
    assert.equal(owner.oldestMs, undefined)
  })

  it('halts when too many records go to quarantine, and commits what lies before', async () => {
    const world = new MemoryWorld({ seed: 6 })
    const rows = fill(world, 3)
    world.broker.append(
      0,
      Array.from({ length: 6 }, () => Buffer.from('bad')),
    )
    fill(world, 3)
    const process = await world.start('a')
    const budget = new QuarantineBudget(process.clock, 4)
    const owner = await world.clock.run(process.own(0, 1, { budget }))
    await world.clock.advance(60_000)
    assert.equal(owner.haltReason, 'too many batches go to quarantine')
    const stored = await assertStoredOnce(world, rows)
    assert.equal(stored.end, 7n)
    assert.equal(owner.next, 7n)
  })

  it('halts at a record of a newer version, with all before it committed and nothing put aside', async () => {
    const world = new MemoryWorld({ seed: 6 })
    const rows = fill(world, 3)
    const { bytes } = testBatch(world.random, [testChunk(world.random)])
    const newer = Buffer.from(bytes)
    newer.writeUInt16LE(ENVELOPE_VERSION + 1, 4)
    world.broker.append(0, [newer])
    fill(world, 3)
    const process = await world.start('a')
    const owner = await world.clock.run(process.own(0, 1))
    await world.clock.advance(60_000)
    assert.match(owner.haltReason ?? '', /of version 3; this build reads version 2: upgrade/)
    await world.clock.run(owner.flush())
    const stored = await assertStoredOnce(world, rows)
    assert.equal(stored.end, 3n)
    assert.deepEqual(
      [...world.bucket.objects.keys()].filter((key) => key.startsWith('quarantine/')),
      [],
    )
  })

  it('halts where the log has deleted what was not fetched, or skips it as a hole with a reason', async () => {
    for (const gapPolicy of ['halt', 'skip'] as const) {
      const world = new MemoryWorld({ seed: 7 })
      fill(world, 10)
      world.broker.deleteBefore(0, 10n)
      const rows = fill(world, 5)
      const process = await world.start('a')
      const owner = await world.clock.run(process.own(0, 1, { gapPolicy }))
      await world.clock.advance(10_000)
      if (gapPolicy === 'halt') {
        assert.match(owner.haltReason ?? '', /deleted/)
        assert.equal((await assertStoredOnce(world, [])).end, 0n)
        continue
      }
      const stored = await assertStoredOnce(world, rows)
      assert.equal(stored.end, 15n)
      const [hole] = stored.records[0]!.holes
      assert.deepEqual([hole?.start, hole?.end], ['0', '10'])
      assert.match(hole!.reason, /^log_deleted/)
    }
  })

  it('halts where the log ends before what was read of it, and commits what was read', async () => {
    const world = new MemoryWorld({ seed: 8, settings: { flushIntervalMs: 60_000 } })
    const rows = fill(world, 10)
    const first = await world.start('a')
    await world.clock.run(first.own(0, 1))
    await world.clock.advance(1000)
    const disk = first.crash()
    world.broker.truncateAt(0, 6n)
    const second = await world.start('b', disk)
    const owner = await world.clock.run(second.own(0, 2))
    await world.clock.advance(60_000)
    assert.match(owner.haltReason ?? '', /lost records/)
    await world.clock.run(owner.flush())
    await assertStoredOnce(world, rows)
  })

  it('stops fetching while its disk is full, flushes, and goes on by itself', async () => {
    const world = new MemoryWorld({ seed: 9, settings: { flushIntervalMs: 600_000 } })
    const process = await world.start('a')
    const owner = await world.clock.run(process.own(0, 1))
    const rows = fill(world, 10)
    await world.clock.advance(100)
    process.disk.inject({ operation: 'write', path: /wal/, code: 'ENOSPC', times: 20 })
    rows.push(...fill(world, 60))
    await world.clock.advance(1000)
    assert.ok(owner.holds.has('wal'))
    assert.ok(owner.start >= 10n, 'what was in memory is flushed')
    await world.clock.advance(120_000)
    assert.deepEqual([...owner.holds], [])
    await world.clock.run(owner.flush())
    await assertStoredOnce(world, rows)
  })

  it('hands over with all of it committed, and the next owner goes on where it ended', async () => {
    const world = new MemoryWorld({ seed: 10, settings: { flushIntervalMs: 600_000 } })
    const rows = fill(world, 100)
    const first = await world.start('a')
    const owner = await world.clock.run(first.own(0, 1))
    await world.clock.advance(1000)
    const handedOver = owner.handOver(10_000)
    rows.push(...fill(world, 40))
    const pauseMs = await world.clock.run(handedOver)
    assert.ok(pauseMs < 100, `${pauseMs} ms of virtual time`)
    const second = await world.start('b')
    const next = await world.clock.run(second.own(0, 2))
    assert.ok(next.start >= 100n)
    await world.clock.advance(1000)
    await world.clock.run(next.flush())
    await assertStoredOnce(world, rows)
  })

  it('hands over in bounded time where the store is away: the log has the rest', async () => {
    const world = new MemoryWorld({ seed: 11, settings: { flushIntervalMs: 600_000 } })
    const rows = fill(world, 10)
    const first = await world.start('a')
    const owner = await world.clock.run(first.own(0, 1))
    await world.clock.advance(1000)
    world.bucket.isStopped = true
    await world.clock.run(owner.handOver(5000), 20_000)
    world.bucket.isStopped = false
    const second = await world.start('b')
    const next = await world.clock.run(second.own(0, 2))
    await world.clock.advance(1000)
    await world.clock.run(next.flush())
    await assertStoredOnce(world, rows)
  })

  it('is not opened below the epoch of the chain', async () => {
    const world = new MemoryWorld({ seed: 12 })
    fill(world, 5)
    const first = await world.start('a')
    await world.clock.run(first.own(0, 7))
    await world.clock.advance(5000)
    const second = await world.start('b')
    await assert.rejects(world.clock.run(second.own(0, 6)), { code: 'fenced' })
  })
})

/** Opens again after each failure, as the ownership does, with an epoch above the chain's. */
async function keepOwning(process: MemoryProcess, until: { done: boolean }): Promise<void> {
  for (let epoch = 1; !until.done; epoch++) {
    const failed = Promise.withResolvers<unknown>()
    try {
      const owner = await process.own(0, epoch, { onFailed: failed.resolve })
      const error = await failed.promise
      assert.equal(toAppError(error).code, 'fenced')
      await owner.close()
    } catch (error) {
      const { code } = toAppError(error)
      if (code !== 'fenced' && code !== 'store_unavailable') throw error
      await process.clock.sleep(50)
    }
  }
}

describe('PartitionOwner under seeds', () => {
  it('stores every row once where two processes own the partition from the start', async () => {
    for (let seed = 1; seed <= 15; seed++) {
      const world = new MemoryWorld({
        seed,
        logFaults: TROUBLED_LOG,
        storeFaults: TROUBLED_STORE,
        settings: { flushIntervalMs: 300 },
      })
      const until = { done: false }
      const processes = [await world.start('a'), await world.start('b')]
      const keeping = processes.map((process) => keepOwning(process, until))
      const rows: string[] = []
      for (let round = 0; round < 20; round++) {
        rows.push(...fill(world, 5))
        await world.clock.advance(world.random.below(1000))
      }
      Object.assign(world.bucket.faults, { refusedChance: 0, lostAnswerChance: 0, lateChance: 0 })
      world.broker.faults.flippedBitChance = 0
      await world.clock.advance(180_000)
      until.done = true
      await assertStoredOnce(world, rows, `seed ${seed}:`)
      void keeping
    }
  })

  it('stores every row once through crashes on the same disk, an empty one and by another', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const world = new MemoryWorld({
        seed,
        logFaults: TROUBLED_LOG,
        storeFaults: TROUBLED_STORE,
        settings: { flushIntervalMs: 400 },
        encoder: { failureChance: 0.02, delayMs: [0, 200] },
      })
      const { random } = world
      const rows: string[] = []
      const chunks: TestChunk[] = []
      let process = await world.start('p0')
      for (let life = 1; life <= 8; life++) {
        void openUntilOwned(process, life * 10)
        for (let step = 0; step < 5; step++) {
          const fresh = Array.from({ length: 4 }, () => testChunk(random))
          const again = chunks.length === 0 ? [] : [random.pick(chunks)]
          const batch = testBatch(random, random.chance(0.3) ? [...fresh, ...again] : fresh)
          world.broker.append(0, random.chance(0.2) ? [batch.bytes, batch.bytes] : [batch.bytes])
          chunks.push(...fresh)
          rows.push(...batch.rows)
          await world.clock.advance(random.below(700))
        }
        const disk = process.crash()
        const variant = random.below(3)
        const next = variant === 0 ? disk : variant === 1 ? disk.losePower() : undefined
        process = await world.start(`p${life}`, next)
      }
      Object.assign(world.bucket.faults, { refusedChance: 0, lostAnswerChance: 0, lateChance: 0 })
      world.broker.faults.flippedBitChance = 0
      void openUntilOwned(process, 1000)
      await world.clock.advance(240_000)
      await assertStoredOnce(world, rows, `seed ${seed}:`)
    }
  })
})

async function openUntilOwned(process: MemoryProcess, epoch: number): Promise<void> {
  for (;;) {
    try {
      const failed = Promise.withResolvers<unknown>()
      const owner = await process.own(0, epoch, { onFailed: failed.resolve })
      await failed.promise
      await owner.close()
    } catch {
      await process.clock.sleep(100)
    }
  }
}
