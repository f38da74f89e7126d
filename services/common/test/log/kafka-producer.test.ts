/** The producer before a broker that answers what no broker should. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'

import { systemClock } from '../../src/clock.ts'
import { AppError } from '../../src/errors.ts'
import { KafkaProducer } from '../../src/log/kafka-producer.ts'
import { LogTime } from '../../src/log/log-time.ts'
import { TopicMap } from '../../src/log/topic-map.ts'
import { ScriptedBroker, TOPIC, produceAnswer, writeMetadata } from './scripted-broker.ts'

const ACCESS = { clientId: 'test', connectTimeoutMs: 1000 }

describe('KafkaProducer', () => {
  let broker: ScriptedBroker
  let map: TopicMap
  let producer: KafkaProducer
  let tooLarge: number

  beforeEach(async () => {
    broker = new ScriptedBroker()
    await broker.start()
    tooLarge = 0
    map = new TopicMap({
      topic: TOPIC,
      bootstrap: [{ host: '127.0.0.1', port: broker.port }],
      access: ACCESS,
      clock: systemClock,
    })
    await map.start()
    producer = new KafkaProducer({
      map,
      access: ACCESS,
      clock: systemClock,
      time: new LogTime(systemClock),
      batchBytesMax: () => 1000,
      onTooLarge: () => tooLarge++,
    })
  })

  afterEach(async () => {
    producer.close()
    map.close()
    await broker.stop()
  })

  const produce = (timeoutMs = 5000): Promise<bigint> =>
    producer.produce(0, [Buffer.from('a')], timeoutMs)

  async function failureOf(promise: Promise<bigint>): Promise<AppError> {
    const failure: unknown = await promise.then(
      (offset) => assert.fail(`acknowledged at ${offset}`),
      (error: unknown) => error,
    )
    assert.ok(failure instanceof AppError)
    return failure
  }

  it('takes nothing for an acknowledgement but its own partition, error 0 and an offset', async () => {
    broker.produce = [
      produceAnswer([]),
      produceAnswer([{ partition: 1 }]),
      produceAnswer([{ partition: 0, baseOffset: -1n }]),
      produceAnswer([{ partition: 1 }, { partition: 0, baseOffset: 77n }]),
    ]
    assert.equal(await produce(), 77n)
    assert.equal(producer.counts.repeats, 3)
  })

  it('ends the connection on answers that it does not understand, and sends again', async () => {
    broker.produce = [
      // claims a million topics
      (writer) => void writer.int32(1_000_000),
      // ends in the middle of a number
      (writer) => void writer.int32(1).int16(3),
      () => 'cut',
      produceAnswer([{ partition: 0, baseOffset: 9n }]),
    ]
    const before = broker.connections
    assert.equal(await produce(), 9n)
    assert.equal(broker.connections, before + 4)
  })

  it('sends again freely what was not stored, and a few times what may have been', async () => {
    const refusals = [3, 5, 6, 19, 74].map((errorCode) =>
      produceAnswer([{ partition: 0, errorCode }]),
    )
    broker.produce = [...refusals, produceAnswer([{ partition: 0 }])]
    await produce()
    assert.deepEqual([producer.counts.retries, producer.counts.repeats], [5, 0])
    broker.produce = [produceAnswer([{ partition: 0, errorCode: 7 }])]
    const failure = await failureOf(produce())
    assert.equal(failure.code, 'log_unavailable')
    assert.deepEqual(failure.details, {
      topic: TOPIC,
      partition: 0,
      mayBeStored: true,
      reason: 'REQUEST_TIMED_OUT',
    })
    assert.equal(producer.counts.repeats, 3)
  })

  it('gives up at once where the same will never do', async () => {
    for (const [errorCode, code] of [
      [10, 'record_too_large'],
      [18, 'record_too_large'],
      [29, 'log_unfit'],
      [87, 'log_unfit'],
    ] as const) {
      broker.produce = [produceAnswer([{ partition: 0, errorCode }])]
      const failure = await failureOf(produce())
      assert.equal(failure.code, code)
      assert.equal(failure.details['mayBeStored'], false)
    }
    assert.equal(tooLarge, 2)
    assert.equal(broker.seen.produce, 4)
  })

  it('keeps its time when no answer comes, and does not wait for it with the next one', async () => {
    broker.produce = [() => 'silent', produceAnswer([{ partition: 0, baseOffset: 3n }])]
    const failure = await failureOf(produce(100))
    assert.equal(failure.code, 'log_unavailable')
    assert.equal(failure.details['reason'], 'no answer in time')
    assert.equal(await produce(), 3n)
  })

  it('sends what gathers while a request is under way together, a batch per partition', async () => {
    const parts: number[] = []
    broker.produce = [
      (writer, request) => {
        request.bytes(2 + 2 + 4)
        const [count = 0] = request.array(() => {
          request.string()
          return request.int32()
        })
        parts.push(count)
        const results = Array.from({ length: count }, (_, partition) => ({ partition }))
        return produceAnswer(count === 1 ? [{ partition: 0 }, { partition: 1 }] : results)(
          writer,
          request,
        )
      },
    ]
    const values = [Buffer.from('a')]
    const all = Array.from({ length: 20 }, (_, index) => producer.produce(index % 2, values, 5000))
    await Promise.all(all)
    assert.equal(
      parts.reduce((sum, count) => sum + count, 0),
      20,
    )
    assert.ok(parts.length <= 10, `${parts.length} requests`)
  })

  it('waits as long as the broker wants no more requests', async () => {
    broker.produce = [produceAnswer([{ partition: 0 }], 300), produceAnswer([{ partition: 0 }])]
    await produce()
    const startMs = performance.now()
    await produce()
    assert.ok(performance.now() - startMs >= 250)
  })

  it('refuses what is larger than the topic takes, and takes the values together in batches', async () => {
    broker.produce = [produceAnswer([{ partition: 0 }])]
    const failure = await failureOf(producer.produce(0, [Buffer.alloc(1000)], 5000))
    assert.equal(failure.code, 'record_too_large')
    await producer.produce(0, [Buffer.alloc(600), Buffer.alloc(600)], 5000)
    assert.equal(producer.counts.batches, 2)
  })

  it('has a bound of bytes under way', async () => {
    broker.produce = [() => 'silent']
    const values = Array.from({ length: 2000 }, () => Buffer.alloc(900))
    const calls = Array.from({ length: 100 }, () => failureOf(producer.produce(0, values, 400)))
    const failures = await Promise.all(calls)
    const refused = failures.filter(({ message }) => message === 'the log has too much to store')
    // 128 MiB are 74 of them
    assert.equal(refused.length, 26)
    broker.produce = [produceAnswer([{ partition: 0 }])]
    await produce()
  })

  it('ends when another topic has taken the name, told repeatedly', async () => {
    broker.produce = [produceAnswer([{ partition: 0, errorCode: 3 }])]
    const real = broker.metadata[0]!
    const other = 'B'.repeat(21) + 'A'
    const foreign = (writer: Parameters<typeof real>[0]) =>
      writeMetadata(writer, broker.port, other)
    broker.metadata = [foreign, real, foreign, foreign, foreign]
    assert.equal((await failureOf(produce())).code, 'log_unfit')
    assert.equal(broker.seen.metadata, 1 + 5)
    assert.equal((await failureOf(produce())).code, 'log_unfit')
  })

  it('says who has to act where a broker is too old', async () => {
    broker.versions = [
      [0, 7],
      [1, 11],
      [2, 5],
      [3, 12],
      [18, 2],
    ]
    const failure = await failureOf(produce())
    assert.equal(failure.code, 'log_unfit')
    assert.match(String(failure.details['reason']), /version 13 of Fetch/)
  })
})
