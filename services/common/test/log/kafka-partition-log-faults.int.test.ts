/** The log against three real brokers that are killed, frozen and moved under load. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { AppError } from '../../src/errors.ts'
import type { KafkaPartitionLog } from '../../src/log/kafka-partition-log.ts'
import { startKafka } from '../../src/testing/kafka-server.ts'
import type { KafkaServer } from '../../src/testing/kafka-server.ts'
import { LogProbe, bytesOf, eventually, openLog } from './log-probe.ts'

const PARTITIONS = 6
/** Longer than it takes three brokers to agree on other leaders. */
const PATIENT_MS = 25_000

/** Produces to all partitions without a pause, and keeps a ledger of what was acknowledged. */
class Load {
  readonly acknowledged: { partition: number; text: string; offset: bigint }[] = []
  readonly failed: { text: string; error: AppError }[] = []
  readonly #log: KafkaPartitionLog
  readonly #workers: Promise<void>[]
  #isStopped = false

  constructor(log: KafkaPartitionLog, timeoutMs: number) {
    this.#log = log
    this.#workers = Array.from({ length: PARTITIONS }, (_, partition) =>
      this.#work(partition, timeoutMs),
    )
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all(this.#workers)
  }

  /** Until so many more were acknowledged. */
  async until(count: number): Promise<void> {
    const target = this.acknowledged.length + count
    await eventually(
      () => this.acknowledged.length >= target,
      () => `${this.acknowledged.length} of ${target} acknowledged`,
    )
  }

  async #work(partition: number, timeoutMs: number): Promise<void> {
    for (let call = 0; !this.#isStopped; call++) {
      const text = `${partition}-${call}-${'x'.repeat(1000)}`
      try {
        const offset = await this.#log.produce(partition, [bytesOf(text)], timeoutMs)
        this.acknowledged.push({ partition, text, offset })
      } catch (error) {
        assert.ok(error instanceof AppError)
        this.failed.push({ text, error })
      }
      await sleep(5)
    }
  }
}

/** Everything acknowledged stands where it was said to; a reader saw every offset once, in order. */
async function assertKept(load: Load, probe: LogProbe, log: KafkaPartitionLog): Promise<void> {
  let bounds = await log.bounds()
  // a partition whose leader is not elected yet is missing for a moment
  for (; bounds.size < PARTITIONS; bounds = await log.bounds()) await sleep(100)
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const end = Number(bounds.get(partition)!.end)
    await probe.until(partition, end)
    assert.deepEqual(
      probe.offsets(partition),
      Array.from({ length: end }, (_, index) => BigInt(index)),
    )
  }
  for (const { partition, text, offset } of load.acknowledged) {
    assert.equal(probe.texts(partition)[Number(offset)], text)
  }
  assert.deepEqual(probe.outOfRange, [])
}

describe('KafkaPartitionLog with three brokers', () => {
  let kafka: KafkaServer
  let log: KafkaPartitionLog

  before(async () => {
    kafka = await startKafka({ brokers: 3, isOwn: true })
  })

  after(() => kafka.stop())

  async function openAll(topic: string, config: Readonly<Record<string, string>> = {}) {
    await kafka.createTopic(topic, { partitions: PARTITIONS, config })
    log = await openLog(kafka, topic, { profile: 'production' })
    const probe = await LogProbe.open(log)
    for (let partition = 0; partition < PARTITIONS; partition++) probe.reader.resume(partition, 0n)
    return probe
  }

  it('goes on by itself when a leader is killed, and waits where replicas are missing', async () => {
    // each batch on all three: nothing can be stored while one is away
    await kafka.createTopic('strict', { partitions: 1, config: { 'min.insync.replicas': '3' } })
    const strict = await openLog(kafka, 'strict')
    const probe = await openAll('killed')
    const load = new Load(log, PATIENT_MS)
    await load.until(100)
    const victim = await kafka.leaderOf('killed', 0)
    await kafka.kill(victim)
    await load.until(100)
    await eventually(
      async () => {
        const failure = await strict
          .produce(0, [bytesOf('hasty')], 300)
          .catch((error: unknown) => error)
        assert.ok(failure instanceof AppError && failure.code === 'log_unavailable')
        return failure.details['reason'] === 'NOT_ENOUGH_REPLICAS'
      },
      () => 'replicas are not missed',
    )
    const patient = strict.produce(0, [bytesOf('patient')], 2 * PATIENT_MS)
    await kafka.restart(victim)
    await patient
    await load.until(100)
    await load.stop()
    assert.deepEqual(load.failed, [])
    await assertKept(load, probe, log)
    await log.close()
    await strict.close()
  })

  it('says no false OK while a leader is frozen, and finds the next one before it thaws', async (t) => {
    const probe = await openAll('frozen')
    const load = new Load(log, PATIENT_MS)
    await load.until(100)
    const victim = await kafka.leaderOf('frozen', 0)
    await kafka.freeze(victim)
    t.after(() => kafka.thaw(victim))
    const overdue = log.produce(0, [bytesOf('hasty')], 400)
    await assert.rejects(overdue, { code: 'log_unavailable' })
    await eventually(
      async () => (await kafka.leaderOf('frozen', 0)) !== victim,
      () => 'nobody else leads',
    )
    await load.until(100)
    await kafka.thaw(victim)
    await load.until(100)
    await load.stop()
    assert.deepEqual(load.failed, [])
    await assertKept(load, probe, log)
    await log.close()
  })

  it('follows leaders that move while it produces and reads', async () => {
    const probe = await openAll('moving')
    const load = new Load(log, PATIENT_MS)
    await load.until(100)
    for (const partition of [0, 1]) {
      const leader = await kafka.leaderOf('moving', partition)
      await kafka.moveLeader('moving', partition, (leader % 3) + 1)
    }
    await load.until(100)
    await load.stop()
    assert.deepEqual(load.failed, [])
    await assertKept(load, probe, log)
    await log.close()
  })

  it('fails in time while all of Kafka is down, and comes back without help', async () => {
    const probe = await openAll('outage')
    const load = new Load(log, 500)
    await load.until(100)
    await Promise.all([1, 2, 3].map((id) => kafka.kill(id)))
    const before = load.failed.length
    await eventually(
      () => load.failed.length >= before + PARTITIONS,
      () => 'nothing failed',
    )
    assert.ok(load.failed.every(({ error }) => error.code === 'log_unavailable'))
    await assert.rejects(log.bounds(), { code: 'log_unavailable' })
    for (const id of [1, 2, 3]) kafka.startNode(id)
    await kafka.untilReady()
    await load.until(100)
    await load.stop()
    await assertKept(load, probe, log)
    await log.close()
  })
})
