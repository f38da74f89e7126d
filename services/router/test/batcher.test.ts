import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { Signal } from '@tributary/common/signal'
import { payload } from '@tributary/common/testing/payloads'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import { Batcher } from '../src/batcher.ts'
import { GatherTarget } from '../src/gather-target.ts'

const GATHER_MS = 5

function openBatcher() {
  const clock = new VirtualClock()
  const headers: EnvelopeHeader[] = []
  const batcher = new Batcher({
    sink: {
      reserve: (byteCount) => ({ bytes: new Uint8Array(byteCount) }),
      append: (_space, header) => {
        headers.push(header)
        return Promise.resolve()
      },
    },
    clock,
    batchBytesMax: 256 * 1024,
    batchRowsMax: 32_767,
    tenantsMax: 10,
    gatherMsMax: GATHER_MS,
  })
  let calls = 0
  const send = (): Promise<void> => {
    const body = payload('logs', { records: 1, call: calls++ })
    return batcher.add('default', Signal.logs, (builder) =>
      decodeInto(builder, body, { tenant: 'default', arrivalUnixNano: 1n, maxAheadMs: 1e15 }),
    ).durable
  }
  return { clock, send, rows: () => headers.map(({ rowCount }) => rowCount) }
}

/** Resolves when everything that needs no clock has happened. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await nextTurn()
}

void test('a client that waits for each answer is not held up', async () => {
  const { clock, send, rows } = openBatcher()
  let pauses = 0
  for (let request = 0; request < 100; request++) {
    const durable = send()
    await settled()
    if (rows().length === request) {
      pauses++
      await clock.advance(GATHER_MS)
    }
    await durable
  }
  assert.ok(pauses <= 1, `${pauses} of 100 requests waited for others`)
})

void test('a batch waits for as many requests as came the last time, and no longer than the pause', async () => {
  const { clock, send, rows } = openBatcher()
  await Promise.all([send(), send(), send(), send()])
  assert.deepEqual(rows(), [4])

  const second = [send(), send(), send()]
  await settled()
  assert.deepEqual(rows(), [4], 'three of four wait')
  second.push(send())
  await Promise.all(second)
  assert.deepEqual(rows(), [4, 4], 'the fourth closes the batch, without the clock')

  void send()
  await settled()
  assert.deepEqual(rows(), [4, 4])
  await clock.advance(GATHER_MS)
  await settled()
  assert.deepEqual(rows(), [4, 4, 1], 'the pause is over')
  await send()
  assert.deepEqual(rows(), [4, 4, 1, 1], 'one was all that came: the next is alone again')
})

void test('a log that was idle for longer than the pause gets its request at once', async () => {
  const { clock, send, rows } = openBatcher()
  await Promise.all([send(), send(), send(), send()])
  await clock.advance(GATHER_MS)
  await send()
  assert.deepEqual(rows(), [4, 1])
})

void test('GatherTarget follows what comes, and tries for more only now and then', () => {
  const target = new GatherTarget()
  const inFlight = 8
  let pauses = 0
  for (let batch = 0; batch < 1000; batch++) {
    if (target.requests > inFlight) pauses++
    target.closed(inFlight)
  }
  assert.ok(pauses >= 3 && pauses <= 6, `${pauses} of 1,000 batches waited in vain`)
  target.closed(2)
  assert.equal(target.requests, 2)
})
