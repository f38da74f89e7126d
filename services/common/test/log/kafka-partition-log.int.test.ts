/** The log against a real broker, with a proxy before it where the network has to fail. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'

import { AppError } from '../../src/errors.ts'
import { KafkaPartitionLog } from '../../src/log/kafka-partition-log.ts'
import { commitPrefix } from '../../src/paths.ts'
import { startKafka } from '../../src/testing/kafka-server.ts'
import type { KafkaServer } from '../../src/testing/kafka-server.ts'
import { TcpProxy } from '../../src/testing/tcp-proxy.ts'
import { LogProbe, bytesOf, eventually, openLog, outcomeOf } from './log-probe.ts'

describe('KafkaPartitionLog', () => {
  let kafka: KafkaServer
  let proxy: TcpProxy
  const logs: KafkaPartitionLog[] = []

  before(async () => {
    proxy = await TcpProxy.start({ targetPort: 1 })
    kafka = await startKafka({ isOwn: true, advertisedPorts: [proxy.port] })
    proxy.retarget(Number(kafka.brokers[0]!.split(':')[1]))
  })

  after(async () => {
    for (const log of logs) await log.close()
    await kafka.stop()
    await proxy.stop()
  })

  async function openTopic(
    topic: string,
    partitions = 1,
    config: Readonly<Record<string, string>> = {},
  ): Promise<KafkaPartitionLog> {
    await kafka.createTopic(topic, { partitions, config })
    const log = await openLog(kafka, topic)
    logs.push(log)
    return log
  }

  it('stores values in order and hands them over from any offset on', async () => {
    const log = await openTopic('order', 3)
    const startUnixMs = Date.now()
    assert.equal(await log.produce(1, [bytesOf('a'), bytesOf(''), bytesOf('c')], 5000), 0n)
    assert.equal(await log.produce(1, [bytesOf('d')], 5000), 3n)
    const probe = await LogProbe.open(log)
    probe.reader.resume(1, 1n)
    await probe.until(1, 3)
    assert.equal(await log.produce(1, [bytesOf('e')], 5000), 4n)
    await probe.until(1, 4)
    assert.deepEqual(probe.texts(1), ['', 'c', 'd', 'e'])
    assert.deepEqual(probe.offsets(1), [1n, 2n, 3n, 4n])
    const times = probe.records.get(1)!.map(({ appendUnixMs }) => appendUnixMs)
    assert.ok(times.every((time) => Math.abs(time - startUnixMs) < 60_000))
    assert.deepEqual([...probe.records.keys()], [1])
    assert.deepEqual((await log.bounds()).get(1), { start: 0n, end: 5n })
  })

  it('is named by cluster and topic, as an object key takes it', async () => {
    const log = await openTopic('named')
    const again = await openLog(kafka, 'named')
    logs.push(again)
    assert.equal(again.logId, log.logId)
    assert.match(log.logId, /^[\w-]{22}_[\w-]{22}$/)
    const id = { logId: log.logId, topic: 'named', partition: 0 }
    assert.equal(commitPrefix(id), `commits/${log.logId}/named/0/`)
    assert.match(log.leaderOf(0)!, /^127\.0\.0\.1:\d+$/)
  })

  it('takes records up to its bound, cuts many into batches, and refuses what is larger', async () => {
    const log = await openTopic('large', 1, { 'max.message.bytes': '1100000' })
    const largest = randomBytes(log.recordBytesMax)
    assert.equal(await log.produce(0, [largest], 10_000), 0n)
    const many = Array.from({ length: 40 }, (_, index) => Buffer.alloc(100_000, index))
    assert.equal(await log.produce(0, many, 10_000), 1n)
    const tooLarge = log.produce(0, [Buffer.alloc(log.recordBytesMax + 1)], 10_000)
    assert.equal(await outcomeOf(tooLarge), 'record_too_large')
    const probe = await LogProbe.open(log)
    probe.reader.resume(0, 0n)
    await probe.until(0, 41)
    const values = probe.records.get(0)!.map(({ value }) => value)
    assert.ok(values[0]!.equals(largest))
    assert.ok(values.slice(1).every((value, index) => value.equals(many[index]!)))
  })

  it('learns of a lower bound from the broker', async () => {
    const log = await openTopic('lowered', 1, { 'max.message.bytes': '2000000' })
    await kafka.alterTopic('lowered', { 'max.message.bytes': '1100000' })
    // the broker takes a new setting when it has read of it, a moment after it has said yes
    let outcome: bigint | string = 0n
    await eventually(
      async () => {
        outcome = await outcomeOf(log.produce(0, [Buffer.alloc(1_500_000)], 5000))
        return typeof outcome === 'string'
      },
      () => 'the broker still takes what is too large',
    )
    assert.equal(outcome, 'record_too_large')
    await eventually(
      () => log.recordBytesMax < 1_100_000,
      () => `the bound stays ${log.recordBytesMax}`,
    )
  })

  it('acknowledges nothing for a partition that is not there, and finds it when it is', async () => {
    const log = await openTopic('growing', 1)
    assert.equal(await outcomeOf(log.produce(1, [bytesOf('a')], 300)), 'log_unavailable')
    const probe = await LogProbe.open(log)
    probe.reader.resume(1, 0n)
    const early = log.produce(1, [bytesOf('b')], 20_000)
    await kafka.addPartitions('growing', 2)
    assert.equal(await early, 0n)
    await probe.until(1, 1)
    assert.equal(log.partitionCount, 2)
  })

  it('delivers nothing of a paused partition, whatever is on its way', async () => {
    const log = await openTopic('many', 96)
    const probe = await LogProbe.open(log)
    const wanted = [3, 50, 95]
    let delivered = 0
    probe.onRecords = (partition) => {
      assert.ok(wanted.includes(partition))
      // exact also from within a delivery: partition 50 is read one delivery at a time
      if (partition === 50) probe.reader.pause(50)
      delivered++
    }
    for (const partition of wanted) probe.reader.resume(partition, 0n)
    const all = Array.from({ length: 96 }, (_, partition) => partition)
    await Promise.all(all.map((partition) => log.produce(partition, [bytesOf('x')], 10_000)))
    await Promise.all(wanted.map((partition) => probe.until(partition, 1)))
    await Promise.all(all.map((partition) => log.produce(partition, [bytesOf('y')], 10_000)))
    await probe.until(3, 2)
    await probe.until(95, 2)
    assert.deepEqual(probe.texts(50), ['x'])
    probe.reader.resume(50, 0n)
    await eventually(
      () => delivered >= 6,
      () => `${delivered} deliveries`,
    )
    assert.equal(probe.texts(50)[1], 'x')
  })

  it('goes back and forth at once, also from within a delivery', async () => {
    const log = await openTopic('seek')
    await log.produce(0, ['a', 'b', 'c', 'd'].map(bytesOf), 5000)
    const probe = await LogProbe.open(log)
    let hasSeeked = false
    probe.onRecords = () => {
      if (hasSeeked) return
      hasSeeked = true
      probe.reader.resume(0, 2n)
    }
    probe.reader.resume(0, 0n)
    await probe.until(0, 6)
    assert.deepEqual(probe.texts(0), ['a', 'b', 'c', 'd', 'c', 'd'])
  })

  it('says so when the wanted offset was deleted, or was never there', async () => {
    const log = await openTopic('range')
    await log.produce(0, ['a', 'b', 'c'].map(bytesOf), 5000)
    await kafka.deleteRecords('range', 0, 2n)
    const probe = await LogProbe.open(log)
    probe.reader.resume(0, 1n)
    await eventually(
      () => probe.outOfRange.length === 1,
      () => 'nothing out of range',
    )
    probe.reader.resume(0, 9n)
    await eventually(
      () => probe.outOfRange.length === 2,
      () => 'nothing out of range',
    )
    const bounds = { start: 2n, end: 3n }
    assert.deepEqual(probe.outOfRange, [
      { partition: 0, wanted: 1n, bounds },
      { partition: 0, wanted: 9n, bounds },
    ])
    assert.deepEqual(probe.texts(0), [])
    // waiting at the end is within the range
    probe.reader.resume(0, 3n)
    await log.produce(0, [bytesOf('d')], 5000)
    await probe.until(0, 1)
  })

  it('notices while it reads that records ahead of it were deleted', async () => {
    const log = await openTopic('overtaken')
    await log.produce(0, ['a', 'b'].map(bytesOf), 5000)
    const probe = await LogProbe.open(log)
    probe.onRecords = () => probe.reader.pause(0)
    probe.reader.resume(0, 0n)
    await probe.until(0, 2)
    await log.produce(0, ['c', 'd', 'e'].map(bytesOf), 5000)
    await kafka.deleteRecords('overtaken', 0, 4n)
    probe.reader.resume(0, 2n)
    await eventually(
      () => probe.outOfRange.length === 1,
      () => 'nothing out of range',
    )
    assert.deepEqual(probe.outOfRange[0]?.bounds, { start: 4n, end: 5n })
  })

  it('takes offsets without records for a gap', async () => {
    const log = await openTopic('transactions')
    await log.produce(0, [bytesOf('a')], 5000)
    // its marker takes offset 2 and holds nothing
    await kafka.withTransaction(async (transaction) => {
      const messages = [{ value: 'b', partition: 0 }]
      await transaction.send({ topic: 'transactions', messages })
    })
    // it comes a little after the transaction has ended
    await eventually(
      async () => (await log.bounds()).get(0)?.end === 3n,
      () => 'no marker',
    )
    assert.equal(await log.produce(0, [bytesOf('c')], 5000), 3n)
    const probe = await LogProbe.open(log)
    probe.reader.resume(0, 0n)
    await eventually(
      () => probe.outOfRange.length === 1,
      () => 'no gap',
    )
    assert.deepEqual(probe.texts(0), ['a', 'b'])
    const [gap] = probe.outOfRange
    assert.deepEqual([gap?.wanted, gap?.bounds.start], [2n, 3n])
    probe.reader.resume(0, gap!.bounds.start)
    await probe.until(0, 3)
  })

  it('is over when its topic is made anew', async () => {
    const log = await openTopic('remade')
    await log.produce(0, ['a', 'b'].map(bytesOf), 5000)
    const probe = await LogProbe.open(log)
    probe.reader.resume(0, 0n)
    await probe.until(0, 2)
    await kafka.deleteTopic('remade')
    await kafka.createTopic('remade', { partitions: 1 })
    await kafka.produce('remade', 0, ['x', 'y', 'z', 'z', 'z'].map(bytesOf))
    await eventually(
      () => probe.troubles.some(({ code }) => code === 'log_unfit'),
      () => 'another topic was not noticed',
    )
    assert.deepEqual(probe.texts(0), ['a', 'b'])
    assert.equal(await outcomeOf(log.produce(0, [bytesOf('c')], 5000)), 'log_unfit')
    await assert.rejects(log.bounds(), { code: 'log_unfit' })
    const fresh = await openLog(kafka, 'remade')
    logs.push(fresh)
    assert.notEqual(fresh.logId, log.logId)
  })

  it('refuses a topic that is missing or not fit, and says what to do', async () => {
    await assert.rejects(openLog(kafka, 'missing'), { code: 'log_unfit' })
    await kafka.createTopic('client-times', {
      partitions: 1,
      config: { 'message.timestamp.type': 'CreateTime', 'cleanup.policy': 'compact' },
    })
    await assert.rejects(openLog(kafka, 'client-times'), (error) => {
      assert.ok(error instanceof AppError)
      assert.equal(error.code, 'log_unfit')
      const findings = error.details['findings'] as { check: string; remedy: string }[]
      assert.deepEqual(
        findings.map(({ check }) => check),
        ['message.timestamp.type', 'cleanup.policy'],
      )
      assert.match(findings[0]!.remedy, /LogAppendTime/)
      return true
    })
    await kafka.createTopic('one-replica', { partitions: 1 })
    await assert.rejects(openLog(kafka, 'one-replica', { profile: 'production' }), {
      code: 'log_unfit',
    })
  })

  it('is unavailable where nobody listens, and with a wrong address not at all', async () => {
    const options = { topic: 'x', access: { clientId: 'test', connectTimeoutMs: 500 } }
    const closed = KafkaPartitionLog.open({ ...options, brokers: ['127.0.0.1:1'] })
    await assert.rejects(closed, { code: 'log_unavailable' })
    const nonsense = KafkaPartitionLog.open({ ...options, brokers: ['kafka'] })
    await assert.rejects(nonsense, { code: 'invalid_config' })
  })

  it('stores again what it got no answer for, and stored twice is what the port allows', async () => {
    const log = await openTopic('lost-answer')
    await log.produce(0, [bytesOf('a')], 5000)
    proxy.impair('down', { isSwallowed: true })
    const produced = log.produce(0, [bytesOf('b')], 20_000)
    await eventually(
      () => proxy.counts.swallowed > 0,
      () => 'no answer was swallowed',
    )
    await proxy.heal()
    const offset = await produced
    const probe = await LogProbe.open(log)
    probe.reader.resume(0, 0n)
    await probe.until(0, 3)
    assert.deepEqual(probe.texts(0), ['a', 'b', 'b'])
    assert.equal(offset, 2n)
    assert.equal(log.counts.repeats, 1)
  })

  it('answers in time when nothing comes back, and says that it may be stored', async () => {
    const log = await openTopic('silence')
    await log.produce(0, [bytesOf('a')], 5000)
    proxy.impair('down', { isHeld: true })
    const startMs = performance.now()
    await assert.rejects(log.produce(0, [bytesOf('b')], 300), (error) => {
      assert.ok(error instanceof AppError && error.code === 'log_unavailable')
      return true
    })
    assert.ok(performance.now() - startMs < 3000)
    await proxy.heal()
    assert.equal(await log.produce(0, [bytesOf('c')], 20_000), 2n)
    const probe = await LogProbe.open(log)
    probe.reader.resume(0, 0n)
    await probe.until(0, 3)
    assert.deepEqual(probe.texts(0), ['a', 'b', 'c'])
  })

  it('reads on without a gap or a repeat over connections that break', async () => {
    const log = await openTopic('breaking', 2)
    const probe = await LogProbe.open(log)
    probe.reader.resume(0, 0n)
    probe.reader.resume(1, 0n)
    const texts = Array.from({ length: 60 }, (_, index) => `${index} ${'x'.repeat(index * 500)}`)
    for (const [index, text] of texts.entries()) {
      const partition = index % 2
      await kafka.produce('breaking', partition, [bytesOf(text)])
      if (index % 10 === 4) proxy.cut()
      if (index % 10 === 9) proxy.cutAfter('down', 700)
    }
    await probe.until(0, 30)
    await probe.until(1, 30)
    await proxy.heal()
    for (const partition of [0, 1]) {
      assert.deepEqual(
        probe.texts(partition),
        texts.filter((_, index) => index % 2 === partition),
      )
    }
    assert.ok(probe.troubles.every(({ code }) => code === 'log_unavailable'))
    assert.ok(probe.troubles.length > 0)
  })

  it('closes at once, with fetches and produces under way', async () => {
    const log = await openTopic('closing')
    const probe = await LogProbe.open(log)
    probe.reader.resume(0, 0n)
    await log.produce(0, [bytesOf('a')], 5000)
    await probe.until(0, 1)
    proxy.impair('down', { isHeld: true })
    const produced = outcomeOf(log.produce(0, [bytesOf('b')], 20_000))
    const startMs = performance.now()
    await log.close()
    assert.equal(await produced, 'log_unavailable')
    assert.ok(performance.now() - startMs < 1000)
    await proxy.heal()
    assert.equal(await outcomeOf(log.produce(0, [bytesOf('c')], 5000)), 'log_unavailable')
    probe.reader.resume(0, 0n)
    assert.equal(probe.texts(0).length, 1)
  })
})
