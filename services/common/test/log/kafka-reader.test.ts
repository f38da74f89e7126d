/** The reader before a broker that answers what no broker should. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'

import { systemClock } from '../../src/clock.ts'
import { AppError } from '../../src/errors.ts'
import { KafkaReader } from '../../src/log/kafka-reader.ts'
import type { OffsetBounds } from '../../src/log/partition-log.ts'
import { encodeRecordBatch } from '../../src/log/record-batch.ts'
import { TopicMap } from '../../src/log/topic-map.ts'
import { eventually } from './log-probe.ts'
import { ScriptedBroker, TOPIC, fetchAnswer } from './scripted-broker.ts'

const ACCESS = { clientId: 'test', connectTimeoutMs: 1000 }
const NOW_MS = 1_760_000_000_000

function stored(texts: readonly string[], base: bigint): Buffer {
  const batch = encodeRecordBatch(
    texts.map((text) => Buffer.from(text)),
    NOW_MS,
  )
  batch.writeBigInt64BE(base, 0)
  return batch
}

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes)
  changed[at]! ^= 0x10
  return changed
}

describe('KafkaReader', () => {
  let broker: ScriptedBroker
  let map: TopicMap
  let reader: KafkaReader
  let read: [offset: bigint, text: string][]
  let outOfRange: { wanted: bigint; bounds: OffsetBounds }[]
  let troubles: AppError[]
  let bounds: () => Promise<OffsetBounds>

  beforeEach(async () => {
    broker = new ScriptedBroker()
    await broker.start()
    read = []
    outOfRange = []
    troubles = []
    bounds = () => Promise.resolve({ start: 0n, end: 100n })
    map = new TopicMap({
      topic: TOPIC,
      bootstrap: [{ host: '127.0.0.1', port: broker.port }],
      access: ACCESS,
      clock: systemClock,
    })
    await map.start()
    reader = new KafkaReader({
      map,
      access: ACCESS,
      clock: systemClock,
      limits: () => ({ waitMs: 50, bytesMax: 1_000_000, partitionBytesMax: 1_000_000 }),
      boundsOf: () => bounds(),
      onClose: () => undefined,
      handler: {
        records: (_partition, records) => {
          for (const { offset, value } of records)
            read.push([offset, Buffer.from(value).toString()])
        },
        outOfRange: (_partition, wanted, found) => outOfRange.push({ wanted, bounds: found }),
        trouble: (error) => {
          assert.ok(error instanceof AppError)
          troubles.push(error)
        },
      },
    })
  })

  afterEach(async () => {
    await reader.close()
    map.close()
    await broker.stop()
  })

  const untilRead = (count: number): Promise<void> =>
    eventually(
      () => read.length >= count,
      () =>
        `read ${read.length} of ${count}: ${JSON.stringify(troubles.map(({ details }) => details))}`,
    )
  const untilOutOfRange = (): Promise<void> =>
    eventually(
      () => outOfRange.length > 0,
      () => 'nothing out of range',
    )

  it('reads a damaged answer again over another connection before it hands anything over', async () => {
    const sound = stored(['a', 'b'], 0n)
    broker.fetch = [
      fetchAnswer({ records: flipped(sound, 70) }),
      fetchAnswer({ records: flipped(sound, 30) }),
      fetchAnswer({ records: sound }),
      () => 'silent',
    ]
    const before = broker.connections
    reader.resume(0, 0n)
    await untilRead(2)
    assert.deepEqual(read, [
      [0n, 'a'],
      [1n, 'b'],
    ])
    assert.equal(broker.connections, before + 3)
  })

  it('hands over a batch that stays damaged as it is, and goes on behind it', async () => {
    const sound = stored(['first value', 'b'], 0n)
    const damaged = flipped(sound, sound.indexOf('first value'))
    broker.fetch = [
      ...Array.from({ length: 3 }, () => fetchAnswer({ records: damaged })),
      fetchAnswer({ records: stored(['c'], 2n) }),
      () => 'silent',
    ]
    reader.resume(0, 0n)
    await untilRead(3)
    assert.deepEqual(
      read.map(([offset]) => offset),
      [0n, 1n, 2n],
    )
    assert.equal(read[0]![1].slice(1), 'irst value')
    assert.equal(read[2]![1], 'c')
  })

  it('believes in a gap when it was there three times', async () => {
    broker.fetch = [
      fetchAnswer({ records: stored(['x'], 9n) }),
      fetchAnswer({ records: stored(['a'], 0n) }),
      fetchAnswer({ records: stored(['x'], 9n) }),
    ]
    reader.resume(0, 0n)
    await untilOutOfRange()
    assert.deepEqual(read, [[0n, 'a']])
    assert.deepEqual(outOfRange, [{ wanted: 1n, bounds: { start: 9n, end: 100n } }])
    assert.equal(broker.seen.fetch, 5)
  })

  it('asks the leader for its bounds before it says that an offset is out of range', async () => {
    let asked = 0
    bounds = () => {
      asked++
      if (asked === 1) return Promise.reject(new AppError('log_unavailable', 'not now'))
      return Promise.resolve({ start: 0n, end: asked === 2 ? 100n : 3n })
    }
    broker.fetch = [fetchAnswer({ errorCode: 1 })]
    reader.resume(0, 7n)
    await untilOutOfRange()
    assert.equal(asked, 3)
    assert.deepEqual(outOfRange, [{ wanted: 7n, bounds: { start: 0n, end: 3n } }])
  })

  it('says that the log went another way, but only below what was read', async () => {
    broker.fetch = [
      fetchAnswer({ records: stored(['a', 'b', 'c'], 0n) }),
      fetchAnswer({ divergesAt: 3n }),
      fetchAnswer({ records: stored(['d'], 3n) }),
      fetchAnswer({ divergesAt: 2n }),
      () => 'silent',
    ]
    reader.resume(0, 0n)
    await untilOutOfRange()
    assert.equal(read.length, 4)
    assert.deepEqual(outOfRange, [{ wanted: 4n, bounds: { start: 0n, end: 2n } }])
  })

  it('goes on after every error, and never says that reading is over', async () => {
    const errors = [3, 6, 74, 78, 100, 9999]
    broker.fetch = [
      ...errors.map((errorCode) => fetchAnswer({ errorCode })),
      fetchAnswer({}, 70),
      () => 'cut',
      (writer) => void writer.int32(0).int16(0).int32(0).unsignedVarint(100_000),
      fetchAnswer({ records: stored(['a'], 0n) }),
      () => 'silent',
    ]
    reader.resume(0, 0n)
    await untilRead(1)
    assert.ok(troubles.length >= errors.length)
    assert.ok(troubles.every(({ code }) => code === 'log_unavailable'))
  })

  it('takes nothing that it did not ask for', async () => {
    broker.fetch = [
      fetchAnswer({ partition: 1, records: stored(['x'], 0n) }),
      fetchAnswer({ partition: 77, records: stored(['x'], 0n) }),
      // below the wanted offset: brokers answer whole batches
      fetchAnswer({ records: Buffer.concat([stored(['x'], 3n), stored(['y', 'a'], 4n)]) }),
      () => 'silent',
    ]
    reader.resume(0, 5n)
    await untilRead(1)
    assert.deepEqual(read, [[5n, 'a']])
  })

  it('drops what comes for a position that was left while it was on its way', async () => {
    let answer = (): void => undefined
    broker.fetch = [
      (writer, request) => {
        // the partition is paused, and resumed elsewhere, while the broker works
        reader.pause(0)
        reader.resume(0, 40n)
        return fetchAnswer({ records: stored(['old'], 0n) })(writer, request)
      },
      fetchAnswer({ records: stored(['new'], 40n) }),
      () => {
        answer()
        return 'silent'
      },
    ]
    const isDone = new Promise<void>((resolve) => (answer = resolve))
    reader.resume(0, 0n)
    await isDone
    assert.deepEqual(read, [[40n, 'new']])
  })

  it('complains of times that are not append times, and not with every answer', async () => {
    broker.fetch = [
      fetchAnswer({ records: stored(['a'], 0n) }),
      fetchAnswer({ records: stored(['b'], 1n) }),
      () => 'silent',
    ]
    reader.resume(0, 0n)
    await untilRead(2)
    assert.equal(troubles.length, 1)
    assert.match(troubles[0]!.message, /append times/)
  })
})
