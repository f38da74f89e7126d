import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chunkEntries } from '@tributary/common/columnar/chunk-list'
import { systemClock } from '@tributary/common/clock'
import { openBatch } from '@tributary/common/columnar/batch-view'
import { decodeEnvelope, type EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { createRegistry } from '@tributary/common/metrics'
import { Signal, SIGNAL_NAMES } from '@tributary/common/signal'
import { batchToRequest } from '@tributary/common/testing/batch-request'
import { canonicalizeProtobuf, compareCanonical } from '@tributary/common/testing/otlp-canonical'
import { generateProtobuf } from '@tributary/common/testing/otlp-generator'
import { defaultPolicy } from '@tributary/common/tenants/tenant-policy'
import { payload } from '@tributary/common/testing/payloads'
import { Batcher, type BatchSink, type BatchSpace } from '../src/batcher.ts'
import { createIngestHandler } from '../src/ingest-handler.ts'
import { RouterMetrics } from '../src/metrics.ts'

const POLICY = defaultPolicy({ itemAheadMaxMs: 1e15 })

/** A log that takes its time, as a disk does. */
class SlowLog implements BatchSink {
  readonly envelopes: Uint8Array[] = []
  readonly headers: EnvelopeHeader[] = []
  bytesUnderWay = 0
  bytesUnderWayMax = 0

  reserve(byteCount: number): BatchSpace {
    return { bytes: new Uint8Array(byteCount) }
  }

  async append(space: BatchSpace, header: EnvelopeHeader): Promise<void> {
    this.bytesUnderWay += space.bytes.length
    this.bytesUnderWayMax = Math.max(this.bytesUnderWayMax, this.bytesUnderWay)
    await new Promise((resolve) => setTimeout(resolve, 2))
    this.bytesUnderWay -= space.bytes.length
    this.envelopes.push(space.bytes)
    this.headers.push(header)
  }
}

function openHandler() {
  const log = new SlowLog()
  const handler = createIngestHandler({
    batcher: new Batcher({
      sink: log,
      clock: systemClock,
      batchBytesMax: 256 * 1024,
      batchRowsMax: 32_767,
      tenantsMax: 10,
    }),
    clock: systemClock,
    metrics: new RouterMetrics(createRegistry({ hasProcessMetrics: false })),
  })
  const send = (signal: Signal, body: Uint8Array, tenant = 'default', policy = POLICY) =>
    handler({ signal, encoding: 'protobuf', tenant, policy, body, deadlineMs: undefined })
  return { log, send }
}

for (const signal of SIGNAL_NAMES) {
  void test(`nothing of ${signal} looks into a body that was given back`, async () => {
    const { log, send } = openHandler()
    const sent: Uint8Array[] = []
    for (let round = 0; round < 12; round++) {
      const bodies = Array.from({ length: 5 }, (_, lane) =>
        generateProtobuf(signal, round * 5 + lane + 1, { timeMaxUnixNano: 1n << 60n }),
      )
      sent.push(...bodies.map((body) => Uint8Array.from(body)))
      await Promise.all(
        bodies.map(async (body) => {
          await send(Signal[signal], body)
          body.fill(0xa5)
        }),
      )
    }
    const back = log.envelopes.map((envelope) =>
      batchToRequest(signal, openBatch(decodeEnvelope(envelope).arrow)),
    )
    const expected = canonicalizeProtobuf(signal, sent).items
    assert.deepEqual(compareCanonical(expected, canonicalizeProtobuf(signal, back).items), [])
    assert.ok(log.envelopes.length < sent.length, 'requests share batches')
  })
}

void test('a large request comes in batches of its own and is answered when all are durable', async () => {
  const { log, send } = openHandler()
  const outcome = await send(Signal.logs, payload('logs', { records: 5000, resources: 5 }))
  assert.equal(outcome.rejectedItems, 0)
  assert.ok(log.headers.length > 1)
  assert.equal(
    log.headers.reduce((rows, { rowCount }) => rows + rowCount, 0),
    5000,
  )
})

void test('a large request hands the log a little at a time: more than its queue holds is stored too', async () => {
  const { log, send } = openHandler()
  const records = 4000
  await send(Signal.logs, payload('logs', { records, bodyBytesMin: 2000, resources: 3 }))
  const bytes = log.envelopes.reduce((sum, envelope) => sum + envelope.length, 0)
  assert.ok(bytes > 6 * 1024 * 1024, String(bytes))
  assert.ok(log.bytesUnderWayMax < 2.5 * 1024 * 1024, String(log.bytesUnderWayMax))
  const rows = log.headers.reduce((sum, { rowCount }) => sum + rowCount, 0)
  assert.equal(rows, records)
})

void test('a malformed request leaves nothing behind, not even an empty batch', async () => {
  const { log, send } = openHandler()
  const body = payload('logs', { records: 10 })
  await assert.rejects(send(Signal.logs, body.subarray(0, body.length - 3)), {
    code: 'malformed_body',
  })
  await send(Signal.spans, payload('spans', { records: 3 }))
  assert.deepEqual(
    log.headers.map(({ signal, rowCount }) => [signal, rowCount]),
    [[Signal.spans, 3]],
  )
})

void test('a tenant whose repeats are kept has no chunk that could be taken for one', async () => {
  const { log, send } = openHandler()
  for (const records of [10, 5000]) {
    const body = payload('logs', { records })
    await send(Signal.logs, body, 'default', { ...POLICY, retryRemoval: false })
    await send(Signal.logs, body, 'other')
  }
  const removableOf = (tenant: string): boolean[] =>
    log.headers
      .filter((header) => header.tenant === tenant)
      .flatMap(({ chunks }) => chunkEntries(chunks).map(({ removable }) => removable))
  assert.ok(removableOf('default').every((removable) => !removable))
  assert.ok(removableOf('other').every((removable) => removable))
})

void test('the window of time is the tenant\u2019s own', async () => {
  const { send } = openHandler()
  const body = payload('logs', { records: 7 })
  const strict = { ...POLICY, itemAgeMaxMs: 1 }
  assert.equal((await send(Signal.logs, body, 'default', strict)).rejectedItems, 7)
  const outcome = await send(Signal.logs, body, 'other')
  assert.deepEqual([outcome.rejectedItems, outcome.storedItems], [0, 7])
})
