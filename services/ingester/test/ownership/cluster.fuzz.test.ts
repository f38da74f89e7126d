/**
 * Whole ingesters in virtual time, with everything going wrong at random: kills on the same disk and on
 * an empty one, stops past the lease, cuts from the leases, leases lost and set back, store and brokers
 * away, newcomers and drains. After healing every row is stored once, and nothing needed a hand.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fuzzAsync } from '@tributary/common/testing/fuzz-run'
import { TROUBLED_LOG } from '@tributary/common/testing/memory-log-faults'
import { TROUBLED_STORE } from '@tributary/common/testing/memory-object-store'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'

import { MemoryIngester, memoryLeases } from '../../src/testing/memory-ingester.ts'
import { MemoryWorld } from '../../src/testing/memory-world.ts'
import { storedPartition } from '../../src/testing/stored-rows.ts'
import { testBatch, testChunk, type TestChunk } from '../../src/testing/test-batches.ts'

const PARTITIONS = 4
const STEPS = 40
const NO_FAULTS = { unreachable: 0, answerLost: 0, late: 0, lateMsMax: 0 }

class Nemesis {
  readonly #world: MemoryWorld
  readonly #random: SeededRandom
  readonly #leases: ReturnType<typeof memoryLeases>
  readonly #living: MemoryIngester[] = []
  readonly #frozen: MemoryIngester[] = []
  readonly #chunks: { partition: number; chunk: TestChunk }[] = []
  readonly rows: string[][] = Array.from({ length: PARTITIONS }, () => [])
  #snapshot: ReturnType<ReturnType<typeof memoryLeases>['state']['snapshot']> | undefined
  #names = 0

  constructor(world: MemoryWorld) {
    this.#world = world
    this.#random = world.random
    this.#leases = memoryLeases(world)
  }

  async run(): Promise<void> {
    for (let count = 0; count < 3; count++) await this.#join()
    for (let step = 0; step < STEPS; step++) {
      this.#append()
      await this.#world.clock.advance(this.#random.below(4000))
      await this.#harm()
    }
    await this.#heal()
  }

  #append(): void {
    const random = this.#random
    for (let count = random.below(12); count > 0; count--) {
      const partition = random.below(PARTITIONS)
      const chunks = [testChunk(random), testChunk(random)]
      const known = random.chance(0.2) ? random.pick([...this.#chunks, undefined]) : undefined
      const again = known?.partition === partition ? [known.chunk] : []
      const batch = testBatch(random, [...chunks, ...again])
      this.#world.broker.append(
        partition,
        random.chance(0.1) ? [batch.bytes, batch.bytes] : [batch.bytes],
      )
      for (const chunk of chunks) this.#chunks.push({ partition, chunk })
      this.rows[partition]!.push(...batch.rows)
    }
  }

  async #join(disk?: MemoryIngester['disk'], name = `host-${this.#names++}`): Promise<void> {
    this.#living.push(await MemoryIngester.start(this.#world, this.#leases, name, disk))
  }

  async #harm(): Promise<void> {
    const random = this.#random
    const { bucket, broker } = this.#world
    const some = this.#living.length > 0 ? random.pick(this.#living) : undefined
    const harms: (() => void | Promise<void>)[] = [
      () => some && this.#kill(some),
      () => some && this.#kill(some),
      () => some && this.#freeze(some),
      () => this.#thaw(),
      () => (this.#living.length < 5 ? this.#join() : undefined),
      () => some && this.#drain(some),
      () => some && void (some.metadata.line.isCut = random.chance(0.5)),
      () => void (this.#leases.calls.faults = this.#callFaults()),
      () => random.chance(0.3) && this.#leases.state.flushAll(),
      () => void (this.#snapshot = this.#leases.state.snapshot()),
      () => this.#snapshot && random.chance(0.5) && this.#leases.state.restore(this.#snapshot),
      () => void (bucket.isStopped = random.chance(0.5)),
      () => broker.stop(random.chance(0.3) ? undefined : 'broker-2'),
      () => broker.start(),
      () => some?.disk.inject({ operation: 'write', path: /wal/, code: 'ENOSPC', times: 5 }),
      () => this.#world.clock.stepWallClock(random.below(7_200_000) - 3_600_000),
    ] as (() => void | Promise<void>)[]
    await random.pick(harms)()
  }

  #callFaults() {
    const chance = (): number => (this.#random.chance(0.5) ? 0 : 0.2)
    return { unreachable: chance(), answerLost: chance(), late: chance(), lateMsMax: 20_000 }
  }

  async #kill(victim: MemoryIngester): Promise<void> {
    this.#living.splice(this.#living.indexOf(victim), 1)
    const disk = victim.crash()
    const fate = this.#random.below(4)
    if (fate === 0) await this.#join(disk, victim.name)
    if (fate === 1) await this.#join(disk.losePower(), victim.name)
    if (fate === 2) await this.#join(undefined, victim.name)
  }

  #freeze(victim: MemoryIngester): void {
    if (this.#frozen.includes(victim)) return
    victim.clock.freeze()
    victim.metadata.line.isCut = true
    this.#frozen.push(victim)
  }

  #thaw(): void {
    const thawed = this.#frozen.shift()
    if (thawed === undefined) return
    thawed.metadata.line.isCut = false
    thawed.clock.thaw()
  }

  #drain(victim: MemoryIngester): void {
    void victim.ingester?.drain()
    this.#living.splice(this.#living.indexOf(victim), 1)
  }

  async #heal(): Promise<void> {
    const { bucket, broker, clock } = this.#world
    Object.assign(bucket.faults, { refusedChance: 0, lostAnswerChance: 0, lateChance: 0 })
    Object.assign(broker.faults, { flippedBitChance: 0, readFailedChance: 0 })
    bucket.isStopped = false
    broker.start()
    this.#leases.calls.faults = NO_FAULTS
    while (this.#frozen.length > 0) this.#thaw()
    for (const one of this.#living) {
      one.metadata.line.isCut = false
      one.disk.clearFaults()
    }
    while (this.#living.length < 2) await this.#join()
    await clock.advance(400_000)
    const owned = this.#living.flatMap((one) => one.owned).sort()
    assert.deepEqual(owned, [0, 1, 2, 3], 'every partition has one owner')
  }
}

test('stores every row once, whatever happens to ingesters, leases, log, store and clocks', async () => {
  await fuzzAsync(async (seed) => {
    const world = new MemoryWorld({
      seed,
      partitions: PARTITIONS,
      logFaults: TROUBLED_LOG,
      storeFaults: TROUBLED_STORE,
      encoder: { failureChance: 0.02, delayMs: [0, 300] },
      // clocks are stepped by hours here: the window of repeats is another test's business
      settings: { retryWindowMs: 86_400_000 },
    })
    const nemesis = new Nemesis(world)
    await nemesis.run()
    for (const [partition, expected] of nemesis.rows.entries()) {
      const stored = await storedPartition(world.bucket, world.idOf(partition))
      const lost = expected.filter((row) => !stored.rows.has(row))
      const twice = [...stored.rows].filter(([, count]) => count > 1)
      assert.deepEqual([lost.length, twice.length], [0, 0], `lost, twice of ${partition}`)
      assert.equal(stored.end, world.broker.bounds(partition).end)
    }
  })
})
