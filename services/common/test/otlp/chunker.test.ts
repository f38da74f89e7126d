import { strict as assert } from 'node:assert'
import test from 'node:test'

import { BatchBuilder } from '../../src/columnar/batch-builder.ts'
import { LIMITS } from '../../src/limits.ts'
import { LargeRequestDecoder, decodeInto } from '../../src/otlp/decoder.ts'
import { SIGNAL_NAMES, Signal, type SignalName } from '../../src/signal.ts'
import { bytesField, fixed64Field, stringField } from '../../src/protobuf-message.ts'
import { payload } from '../../src/testing/payloads.ts'

const OPTIONS = { tenant: 'default', arrivalUnixNano: 1_900_000_000_000_000_000n }

interface Chunk {
  readonly hash: string
  readonly rowStart: number
  readonly rowCount: number
  readonly isRemovable: boolean
}

function chunksOf(batch: BatchBuilder): Chunk[] {
  const { count, hashes, rowStarts, rowCounts, removable } = batch.chunks
  return Array.from({ length: count }, (_, index) => ({
    hash: Buffer.from(hashes.subarray(index * 16, index * 16 + 16)).toString('hex'),
    rowStart: rowStarts[index]!,
    rowCount: rowCounts[index]!,
    isRemovable: removable[index] === 1,
  }))
}

function chunks(signal: SignalName, body: Uint8Array, tenant = 'default'): Chunk[] {
  const batch = new BatchBuilder(Signal[signal])
  decodeInto(batch, body, { ...OPTIONS, tenant })
  return chunksOf(batch)
}

function hashes(signal: SignalName, body: Uint8Array, tenant = 'default'): string[] {
  return chunks(signal, body, tenant).map((chunk) => chunk.hash)
}

function log(...fields: readonly Uint8Array[]): Uint8Array {
  return bytesField(1, bytesField(2, bytesField(2, Buffer.concat(fields))))
}

for (const signal of SIGNAL_NAMES) {
  test(`chunks of ${signal} tile the rows and depend on their own resource alone`, () => {
    const one = payload(signal, { records: 700, call: 1 })
    const two = payload(signal, { records: 1500, call: 2 })
    const alone = chunks(signal, two)
    let row = 0
    for (const chunk of alone) {
      assert.equal(chunk.rowStart, row)
      assert.ok(chunk.rowCount > 0)
      row += chunk.rowCount
    }
    assert.equal(row, 1500)
    assert.ok(alone.length > 1, 'more than one chunk')
    const together = hashes(signal, Buffer.concat([one, two]))
    assert.deepEqual(together, [...hashes(signal, one), ...alone.map((chunk) => chunk.hash)])
    assert.equal(new Set(together).size, together.length)
  })

  test(`a large decode of ${signal} makes the chunks of one run, in batches within bounds`, () => {
    const body = payload(signal, { records: 6000, resources: 2 })
    const batchBytesMax = 200_000
    const decoder = new LargeRequestDecoder(Signal[signal], body, {
      ...OPTIONS,
      newBatch: () => new BatchBuilder(Signal[signal]),
      monotonicMs: () => performance.now(),
      batchBytesMax,
    })
    while (!decoder.step(performance.now() + 1)) continue
    const made = decoder.batches.flatMap((batch) => chunksOf(batch).map((chunk) => chunk.hash))
    assert.deepEqual(made, hashes(signal, body))
    assert.ok(decoder.batches.length > 2)
    let otlpBytes = 0
    for (const batch of decoder.batches) {
      otlpBytes += batch.otlpBytes
      assert.ok(batch.estimatedBytes() <= batchBytesMax * 1.2)
      const rows = chunksOf(batch).reduce((sum, chunk) => sum + chunk.rowCount, 0)
      assert.equal(rows, batch.rowCount)
    }
    assert.ok(Math.abs(otlpBytes - body.length) <= decoder.batches.length)
  })
}

test('tenant, signal, resource, scope and every item byte are in the hash', () => {
  const item = stringField(3, 'text')
  const resource = bytesField(1, bytesField(1, stringField(1, 'k')))
  const scope = bytesField(1, stringField(1, 'scope'))
  const request = (resourceBytes: Uint8Array, scopeBytes: Uint8Array, text: Uint8Array) =>
    bytesField(
      1,
      Buffer.concat([
        resourceBytes,
        bytesField(2, Buffer.concat([scopeBytes, bytesField(2, text)])),
      ]),
    )
  const none = new Uint8Array(0)
  const all = [
    hashes('logs', request(none, none, item)),
    hashes('logs', request(none, none, item), 'other'),
    hashes('logs', request(resource, none, item)),
    hashes('logs', request(none, scope, item)),
    hashes('logs', request(none, none, stringField(3, 'texu'))),
    hashes('logs', request(none, none, Buffer.concat([item, stringField(900, 'unknown')]))),
  ]
  assert.equal(new Set(all.map(String)).size, all.length)
})

test('temporality behind the points of a metric is in the hash', () => {
  const metric = (temporality: number): Uint8Array => {
    const points = bytesField(1, fixed64Field(3, 5n))
    const sum = Buffer.concat([points, Uint8Array.of(0x10, temporality)])
    return bytesField(1, bytesField(2, bytesField(2, bytesField(7, sum))))
  }
  assert.notDeepEqual(hashes('metrics', metric(1)), hashes('metrics', metric(2)))
})

test('equal chunks of one request differ, and a retry makes the same ones', () => {
  const part = log(stringField(3, 'same'))
  const three = hashes('logs', Buffer.concat([part, part, part]))
  assert.equal(new Set(three).size, 3)
  assert.deepEqual(hashes('logs', Buffer.concat([part, part, part])), three)
  assert.deepEqual(hashes('logs', part), [three[0]])
})

test('one long metric is cut between its points, and both halves know which metric it was', () => {
  const request = (name: string): Uint8Array => {
    const point = bytesField(
      1,
      Buffer.concat([fixed64Field(3, 5n), bytesField(7, stringField(1, 'k'.repeat(90)))]),
    )
    const gauge = bytesField(5, Buffer.concat(Array.from({ length: 3000 }, () => point)))
    return bytesField(1, bytesField(2, bytesField(2, Buffer.concat([stringField(1, name), gauge]))))
  }
  const [left, right] = [hashes('metrics', request('one')), hashes('metrics', request('two'))]
  assert.equal(left.length, 3)
  for (const hash of left) assert.ok(!right.includes(hash))
})

test('only chunks whose items all have ids or a part of a second may be removed', () => {
  const second = 1_700_000_000_000_000_000n
  const ids = [bytesField(9, new Uint8Array(16).fill(1)), bytesField(10, new Uint8Array(8).fill(1))]
  const cases: [boolean, Uint8Array][] = [
    [false, log(stringField(3, 'no time'))],
    [false, log(fixed64Field(1, second))],
    [true, log(fixed64Field(1, second + 1n))],
    [true, log(fixed64Field(1, second + 512n))],
    [true, log(fixed64Field(11, second + 1n))],
    [false, log(fixed64Field(1, second), fixed64Field(11, second + 1n))],
    [true, log(fixed64Field(1, second), ...ids)],
    [false, log(fixed64Field(1, second), ids[0]!)],
  ]
  for (const [isRemovable, body] of cases) {
    assert.deepEqual(
      chunks('logs', body).map((chunk) => chunk.isRemovable),
      [isRemovable],
    )
  }
})

test('an item larger than a chunk is a chunk of its own; tiny items are cut by their count', () => {
  const record = (length: number): Uint8Array => bytesField(2, stringField(3, 'x'.repeat(length)))
  const large = record(LIMITS.chunkBytesMax + 10)
  const body = bytesField(1, bytesField(2, Buffer.concat([record(5), large, record(5)])))
  assert.deepEqual(
    chunks('logs', body).map((chunk) => chunk.rowCount),
    [1, 1, 1],
  )
  const tiny = bytesField(1, bytesField(2, Buffer.alloc(2 * 5000, '\x12\x00')))
  assert.deepEqual(
    chunks('logs', tiny).map((chunk) => chunk.rowCount),
    [4096, 904],
  )
})

test('a chunk whose items were all rejected is not recorded', () => {
  const future = fixed64Field(1, OPTIONS.arrivalUnixNano * 2n)
  assert.deepEqual(chunks('logs', log(future)), [])
})
