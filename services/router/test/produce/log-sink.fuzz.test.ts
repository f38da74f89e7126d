import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toAppError } from '@tributary/common/errors'
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import { MemoryLogBroker } from '@tributary/common/testing/memory-log-broker'
import { TROUBLED_LOG } from '@tributary/common/testing/memory-log-faults'
import { payload } from '@tributary/common/testing/payloads'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import { openRouter, shardTable, storedChunks } from '../router-rig.ts'

const PARTITIONS = 5
const SEEDS = 40

/** Batches close a turn of the event loop later: there is always a next timer to wait for. */
function beatingClock(): VirtualClock {
  const clock = new VirtualClock()
  clock.every(1, () => undefined)
  return clock
}

/** The chunks of a request, as a healthy router stores them. */
async function chunksOf(body: Uint8Array): Promise<string[]> {
  const clock = beatingClock()
  const broker = new MemoryLogBroker({ clock, seed: 1, partitions: PARTITIONS })
  const router = openRouter(broker, { clock, table: shardTable(PARTITIONS, [0, 1, 2, 3, 4]) })
  await clock.run(router.send('logs', body), 20_000)
  router.close()
  return storedChunks(broker)
}

void test('whatever the log does, OK means stored, and every failure is one to be retried', async () => {
  const expected: string[][] = []
  const bodies = Array.from({ length: 30 }, (_, call) =>
    payload('logs', { records: 20, resources: 6, call }),
  )
  for (const body of bodies) expected.push(await chunksOf(body))
  const first = Number(process.env['FUZZ_SEED'] ?? 1)
  let okCount = 0
  let failureCount = 0
  for (let seed = first; seed < first + SEEDS; seed++) {
    const clock = beatingClock()
    const random = new SeededRandom(seed)
    const broker = new MemoryLogBroker({
      clock,
      seed,
      partitions: PARTITIONS,
      faults: TROUBLED_LOG,
    })
    const router = openRouter(broker, {
      clock,
      table: shardTable(PARTITIONS, [0, 1, 2, 3, 4]),
      produceTimeoutMs: 300,
      resetTimeoutMs: 1,
    })
    const outcomes = bodies.map(async (body, index) => {
      await clock.sleep(random.below(2000))
      if (random.chance(0.03)) broker.stop(`broker-${String(1 + random.below(3))}`)
      if (random.chance(0.3)) broker.start()
      try {
        await router.send('logs', body)
        okCount++
        const stored = new Set(storedChunks(broker))
        assert.deepEqual(
          expected[index]!.filter((chunk) => !stored.has(chunk)),
          [],
          `seed ${String(seed)}: acknowledged and not stored`,
        )
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
        failureCount++
        assert.ok(toAppError(error).answer.retryable)
      }
    })
    await clock.run(Promise.all(outcomes), 20_000)
    await clock.advance(1000)
    assert.equal(router.lanes.pendingBytes, 0, `seed ${String(seed)}`)
    assert.equal(router.lanes.openBatches, 0)
    for (const { name, heldBytes } of router.brokers.all) assert.equal(heldBytes, 0, name)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for (const { value } of broker.stored(partition)) decodeEnvelope(value)
    }
    router.close()
  }
  assert.ok(okCount > 100 && failureCount > 20, `${String(okCount)} ${String(failureCount)}`)
})
