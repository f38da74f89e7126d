import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '@tributary/common/clock'
import { keyHashText, streamHash } from '@tributary/common/routing/key-hash'
import { Signal, SIGNAL_NAMES } from '@tributary/common/signal'
import { MemoryLogBroker } from '@tributary/common/testing/memory-log-broker'
import { canonicalizeProtobuf, compareCanonical } from '@tributary/common/testing/otlp-canonical'
import { generateProtobuf } from '@tributary/common/testing/otlp-generator'
import { bytesField, stringField } from '@tributary/common/protobuf-message'
import { payload } from '@tributary/common/testing/payloads'
import {
  openRouter,
  shardTable,
  storedChunks,
  storedEnvelopes,
  storedRequests,
  TENANT,
} from './router-rig.ts'

const PARTITIONS = 6
const ALL = [0, 1, 2, 3, 4, 5]

function openBroker(recordBytesMax?: number): MemoryLogBroker {
  return new MemoryLogBroker({
    clock: systemClock,
    seed: 1,
    partitions: PARTITIONS,
    ...(recordBytesMax === undefined ? {} : { recordBytesMax }),
  })
}

for (const signal of SIGNAL_NAMES) {
  void test(`the log holds the ${signal} of all acknowledged requests, over all partitions of the shard`, async () => {
    const broker = openBroker()
    const router = openRouter(broker, { table: shardTable(PARTITIONS, [1, 3, 4]) })
    const sent: Uint8Array[] = []
    for (let round = 0; round < 8; round++) {
      const bodies = Array.from({ length: 5 }, (_, lane) =>
        lane === 0
          ? payload(signal, { records: 40, resources: 8, call: round })
          : generateProtobuf(signal, round * 5 + lane + 1, { timeMaxUnixNano: 1n << 60n }),
      )
      sent.push(...bodies.map((body) => Uint8Array.from(body)))
      await Promise.all(
        bodies.map(async (body) => {
          await router.send(signal, body)
          body.fill(0xa5)
        }),
      )
    }
    const expected = canonicalizeProtobuf(signal, sent).items
    const back = canonicalizeProtobuf(signal, storedRequests(broker, signal)).items
    assert.deepEqual(compareCanonical(expected, back), [])
    const used = ALL.filter((partition) => broker.stored(partition).length > 0)
    assert.deepEqual(used, [1, 3, 4])
    router.close()
  })
}

void test('without an entry all rows of a tenant and signal share one partition and one produce', async () => {
  const broker = openBroker()
  const router = openRouter(broker)
  await Promise.all(
    Array.from({ length: 20 }, (_, call) =>
      router.send('logs', payload('logs', { records: 10, resources: 5, call })),
    ),
  )
  const used = ALL.filter((partition) => broker.stored(partition).length > 0)
  assert.equal(used.length, 1)
  assert.equal(broker.stored(used[0]!).length, 1, 'requests of one turn share a batch')
  assert.equal(storedEnvelopes(broker)[0]!.header.rowCount, 200)
  router.close()
})

void test('a retry through another router lands in the same partitions with the same chunks', async () => {
  const stream = streamHash(TENANT, Signal.logs, resourceOf(payload('logs', { records: 1 })))
  const table = shardTable(PARTITIONS, ALL, ['logs'], new Map([[keyHashText(stream), 4]]))
  const ofHotStream = Array.from({ length: 12 }, (_, call) => payload('logs', { records: 5, call }))
  const requests = [
    payload('logs', { records: 50, resources: 10, call: 20 }),
    payload('logs', { records: 3000, resources: 1, call: 21 }),
    payload('logs', { records: 4000, resources: 20, call: 22 }),
  ]
  const brokers = [openBroker(), openBroker()]
  for (const broker of brokers) {
    const router = openRouter(broker, { table })
    for (const body of ofHotStream) await router.send('logs', body)
    const used = ALL.filter((partition) => broker.stored(partition).length > 0)
    assert.ok(used.length > 1 && used.length <= 4, 'the hot stream spreads over four partitions')
    for (const body of requests) await router.send('logs', body)
    router.close()
  }
  const [first, second] = brokers.map(storedChunks)
  assert.deepEqual(first, second)
})

void test('a request over several partitions is answered when all have it, and fails when one has not', async () => {
  const broker = openBroker()
  const router = openRouter(broker, {
    table: shardTable(PARTITIONS, ALL),
    produceTimeoutMs: 200,
  })
  broker.stop('broker-1')
  const body = payload('logs', { records: 60, resources: 20 })
  await assert.rejects(router.send('logs', body), { code: 'log_unavailable' })
  assert.ok(storedChunks(broker).length > 0, 'the other partitions took their part')
  broker.start()
  await retryUntilStored(() => router.send('logs', body))
  const chunks = new Set(storedChunks(broker))
  const again = openBroker()
  const healthy = openRouter(again, { table: shardTable(PARTITIONS, ALL) })
  await healthy.send('logs', body)
  assert.deepEqual([...chunks].sort(), storedChunks(again))
  router.close()
  healthy.close()
})

void test('a partition that stands still does not hold the requests of the others', async () => {
  const broker = openBroker()
  const router = openRouter(broker, {
    table: shardTable(PARTITIONS, [0], ['logs']),
    produceTimeoutMs: 60_000,
    heldBytesMax: 100_000,
  })
  router.partitioner.adopt({
    ...router.partitioner.table,
    entries: new Map([
      ...shardTable(PARTITIONS, [0], ['logs']).entries,
      ...shardTable(PARTITIONS, [1], ['spans']).entries,
    ]),
  })
  broker.stop('broker-1')
  const stuck: Promise<unknown>[] = []
  const refused: unknown[] = []
  for (let call = 0; call < 30; call++) {
    const sent = router.send('logs', payload('logs', { records: 20, call }))
    stuck.push(sent.catch((error: unknown) => refused.push(error)))
    await router.send('spans', payload('spans', { records: 20, call }))
  }
  assert.equal(broker.stored(1).length, 30)
  assert.ok(refused.length > 10, 'past the bound of a partition requests are refused at once')
  for (const error of refused) {
    assert.match((error as { code: string }).code, /^(overloaded|log_unavailable)$/)
  }
  broker.start()
  router.log.crash()
  router.close()
})

void test('behind an open circuit requests are refused before anything is written', async () => {
  const broker = openBroker()
  const router = openRouter(broker, {
    table: shardTable(PARTITIONS, ALL),
    produceTimeoutMs: 400,
    resetTimeoutMs: 50,
  })
  broker.stop('broker-2')
  const body = payload('logs', { records: 60, resources: 20 })
  while (router.brokers.of(1).state !== 'open') {
    await router.send('logs', body).catch(() => undefined)
  }
  const before = storedChunks(broker).length
  await assert.rejects(router.send('logs', body), (error: { code: string; details: object }) => {
    assert.equal(error.code, 'log_unavailable')
    return 'retryAfterMs' in error.details
  })
  assert.equal(storedChunks(broker).length, before)
  assert.equal(router.lanes.openBatches, 0)
  broker.start()
  await retryUntilStored(() => router.send('logs', body))
  assert.equal(router.brokers.of(1).state, 'closed')
  router.close()
})

void test('a malformed request leaves nothing in any partition', async () => {
  const broker = openBroker()
  const router = openRouter(broker, { table: shardTable(PARTITIONS, ALL) })
  const body = payload('logs', { records: 40, resources: 10 })
  await assert.rejects(router.send('logs', body.subarray(0, body.length - 3)), {
    code: 'malformed_body',
  })
  assert.equal(router.lanes.openBatches, 0)
  await router.send('spans', payload('spans', { records: 3 }))
  assert.deepEqual(
    storedEnvelopes(broker).map(({ header }) => header.signal),
    [Signal.spans],
  )
  router.close()
})

void test('a large request comes in records within the bound, in several partitions', async () => {
  const broker = openBroker(200_000)
  const router = openRouter(broker, { table: shardTable(PARTITIONS, ALL) })
  const body = payload('logs', { records: 20_000, resources: 40 })
  const outcome = await router.send('logs', body)
  assert.equal(outcome.rejectedItems, 0)
  const rows = storedEnvelopes(broker).reduce((sum, { header }) => sum + header.rowCount, 0)
  assert.equal(rows, 20_000)
  router.close()
})

void test('items whose resource leaves no room in a record are told as rejected, the rest is stored', async () => {
  const broker = openBroker(100_000)
  const router = openRouter(broker)
  const attribute = (value: string): Uint8Array =>
    bytesField(1, Buffer.concat([stringField(1, 'k'), bytesField(2, stringField(1, value))]))
  const part = (value: string): Uint8Array =>
    bytesField(
      1,
      Buffer.concat([
        bytesField(1, attribute(value)),
        bytesField(2, bytesField(2, stringField(3, 'text'))),
      ]),
    )
  const outcome = await router.send(
    'logs',
    Buffer.concat([part('small'), part('x'.repeat(120_000)), part('other')]),
  )
  assert.equal(outcome.rejectedItems, 1)
  assert.match(outcome.message, /larger than a record/)
  const rows = storedEnvelopes(broker).reduce((sum, { header }) => sum + header.rowCount, 0)
  assert.equal(rows, 2)
  router.close()
})

void test('rows much wider than their bytes are cut into records that fit', async () => {
  const broker = openBroker(60_000)
  const router = openRouter(broker)
  const keys = Array.from({ length: 30 }, (_, index) => `key-${String(index)}`)
  const attribute = (key: string): Uint8Array =>
    bytesField(6, Buffer.concat([stringField(1, key), bytesField(2, Uint8Array.of(0x18, 1))]))
  const wide = bytesField(2, Buffer.concat(keys.map(attribute)))
  const narrow = Buffer.alloc(40_000, Uint8Array.of(0x12, 0x00))
  const body = bytesField(1, bytesField(2, Buffer.concat([wide, narrow])))
  const outcome = await router.send('logs', body)
  const rows = storedEnvelopes(broker).reduce((sum, { header }) => sum + header.rowCount, 0)
  assert.equal(rows + outcome.rejectedItems, 20_001)
  assert.ok(rows > 10_000)
  router.close()
})

/** The bytes of the first Resource* message's resource field, as batches hold them. */
function resourceOf(body: Uint8Array): Uint8Array {
  const part = lengthDelimited(body, 0)
  assert.equal(body[part.start], 0x0a)
  return body.subarray(part.start, lengthDelimited(body, part.start).end)
}

/** Where the message of the field whose tag is at `at` stands. */
function lengthDelimited(bytes: Uint8Array, at: number): { start: number; end: number } {
  let length = 0
  let start = at + 1
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[start++]!
    length |= (byte & 0x7f) << shift
    if (byte < 0x80) return { start, end: start + length }
  }
}

async function retryUntilStored(send: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await send()
      return
    } catch (error) {
      assert.equal((error as { code: string }).code, 'log_unavailable')
      await systemClock.sleep(10)
    }
  }
}
