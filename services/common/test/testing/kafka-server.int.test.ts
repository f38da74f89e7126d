import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { startKafka } from '../../src/testing/kafka-server.ts'
import type { KafkaServer } from '../../src/testing/kafka-server.ts'

describe('startKafka', () => {
  let kafka: KafkaServer

  before(async () => {
    kafka = await startKafka({ isOwn: true })
  })

  after(() => kafka.stop())

  it('stores records once it is ready, and keeps them over a kill', async () => {
    await kafka.createTopic('kept', { partitions: 2 })
    assert.equal(await kafka.produce('kept', 1, [Buffer.from('a'), Buffer.from('b')]), 0n)
    await kafka.kill(1)
    assert.equal(kafka.isRunning(1), false)
    await kafka.restart(1)
    assert.equal(await kafka.produce('kept', 1, [Buffer.from('c')]), 2n)
  })

  it('deletes records, adds partitions and replaces settings', async () => {
    await kafka.createTopic('changed', { partitions: 1, config: { 'retention.ms': '5000000' } })
    await kafka.produce('changed', 0, [Buffer.from('a'), Buffer.from('b')])
    await kafka.deleteRecords('changed', 0, 1n)
    await kafka.addPartitions('changed', 3)
    await kafka.alterTopic('changed', { 'max.message.bytes': '2000000' })
    const bounds = await kafka.withAdmin((admin) => admin.fetchTopicOffsets('changed'))
    const first = bounds.find(({ partition }) => partition === 0)
    assert.deepEqual([bounds.length, first?.low, first?.high], [3, '1', '2'])
    assert.equal(await kafka.produce('changed', 2, [Buffer.from('c')]), 0n)
  })
})
