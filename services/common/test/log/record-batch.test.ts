import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'

import {
  BATCH_HEADER_BYTES,
  RECORD_FRAMING_BYTES_MAX,
  TRACE_HEADER_BYTES,
  encodeRecordBatch,
  readRecordBatches,
} from '../../src/log/record-batch.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

interface ForeignlyRead {
  readonly offset: string
  readonly timestamp: string
  readonly key: null
  readonly value: Buffer
  readonly headers: Readonly<Record<string, Buffer>>
}

/** kafkajs's codecs: the foreign writer and reader. */
const load = createRequire(import.meta.url)
const Decoder = load('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object
const decodeForeign = load('kafkajs/src/protocol/recordBatch/v0/decoder') as (
  decoder: object,
) => Promise<{ records: ForeignlyRead[] }>
const { RecordBatch } = load('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch: (options: object) => Promise<{ buffer: Buffer }>
}
const ForeignRecord = load('kafkajs/src/protocol/recordBatch/record/v0') as (
  record: object,
) => object

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const NOW_MS = 1_760_000_000_123

/** As a broker stores it: at an offset. */
function stored(values: readonly Uint8Array[], base: bigint): Buffer {
  const batch = encodeRecordBatch(values, NOW_MS)
  batch.writeBigInt64BE(base, 0)
  return batch
}

/** Changes a byte behind the checksum and makes the checksum fit. */
function patched(batch: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(batch)
  changed[at] = value
  changed.writeUInt32BE(crcOf(changed), 17)
  return changed
}

const crc32C = load('kafkajs/src/protocol/recordBatch/crc32C') as (bytes: Buffer) => number
const crcOf = (batch: Buffer): number => crc32C(batch.subarray(21))

describe('encodeRecordBatch', () => {
  it('writes what kafkajs reads, whatever the sizes', async () => {
    const random = new SeededRandom(5)
    for (const count of [1, 2, 63, 64, 65, 300]) {
      const values = Array.from({ length: count }, () =>
        Buffer.from(random.bytes(random.below(200))),
      )
      const { records } = await decodeForeign(new Decoder(encodeRecordBatch(values, NOW_MS)))
      assert.equal(records.length, count)
      records.forEach((record, index) => {
        assert.equal(record.offset, String(index))
        assert.equal(record.timestamp, String(NOW_MS))
        assert.equal(record.key, null)
        assert.deepEqual(record.value, values[index])
      })
    }
  })

  it('writes the very bytes that kafkajs writes, ids of the producer aside', async () => {
    for (const size of [0, 1, 63, 64, 8191, 8192, 100_000]) {
      const value = Buffer.alloc(size, 0x61)
      const ours = encodeRecordBatch([value, value], NOW_MS)
      const records = [0, 1].map((offsetDelta) => ForeignRecord({ offsetDelta, value }))
      const { buffer } = await RecordBatch({
        records,
        firstTimestamp: NOW_MS,
        maxTimestamp: NOW_MS,
        lastOffsetDelta: 1,
        producerEpoch: -1,
        firstSequence: -1,
        partitionLeaderEpoch: -1,
      })
      assert.deepEqual(ours, buffer)
    }
  })

  it('stays within the framing that it promises', () => {
    for (const size of [0, 100, 8192, 2_000_000]) {
      const bytes = encodeRecordBatch([Buffer.alloc(size)], NOW_MS).length
      const bytesMax = BATCH_HEADER_BYTES + RECORD_FRAMING_BYTES_MAX + size
      assert.ok(bytes <= bytesMax)
      const traced = encodeRecordBatch([Buffer.alloc(size)], NOW_MS, [TRACEPARENT]).length
      assert.ok(traced > bytes && traced <= bytesMax + TRACE_HEADER_BYTES)
    }
  })

  it('writes the trace of a value as a header that kafkajs reads, and reads it back', async () => {
    const values = ['one', 'two', 'three'].map((text) => Buffer.from(text))
    const batch = encodeRecordBatch(values, NOW_MS, [undefined, TRACEPARENT])
    const { records } = await decodeForeign(new Decoder(batch))
    assert.deepEqual(
      records.map(({ headers }) => headers),
      [{}, { traceparent: Buffer.from(TRACEPARENT) }, {}],
    )
    const read = readRecordBatches(batch, 0n, true)
    assert.equal(read.problem, undefined)
    assert.deepEqual(
      read.records.map(({ value, traceparent }) => [Buffer.from(value).toString(), traceparent]),
      [
        ['one', undefined],
        ['two', TRACEPARENT],
        ['three', undefined],
      ],
    )
  })
})

describe('readRecordBatches', () => {
  it('finds the trace among headers of other producers, and takes whatever else they are', async () => {
    const headers = [
      {},
      { other: 'x', traceparent: TRACEPARENT },
      { traceparent: 'short' },
      { other: ['a', 'b'], empty: '' },
    ]
    const records = headers.map((each, offsetDelta) =>
      ForeignRecord({ offsetDelta, value: Buffer.from(String(offsetDelta)), headers: each }),
    )
    const { buffer } = await RecordBatch({
      records,
      firstTimestamp: NOW_MS,
      maxTimestamp: NOW_MS,
      lastOffsetDelta: headers.length - 1,
      producerEpoch: -1,
      firstSequence: -1,
      partitionLeaderEpoch: -1,
    })
    const read = readRecordBatches(buffer, 0n, true)
    assert.equal(read.problem, undefined)
    assert.deepEqual(
      read.records.map(({ value, traceparent }) => [Buffer.from(value).toString(), traceparent]),
      [
        ['0', undefined],
        ['1', TRACEPARENT],
        ['2', undefined],
        ['3', undefined],
      ],
    )
  })

  it('takes a record whose headers are no headers', () => {
    const traced = encodeRecordBatch([Buffer.from('value')], NOW_MS, [TRACEPARENT])
    const at = traced.indexOf('traceparent')
    for (const length of [0, 1, 0x7f]) {
      const read = readRecordBatches(patched(traced, at - 1, length), 0n, true)
      assert.deepEqual(texts(read.records), ['value'])
      assert.equal(read.records[0]?.traceparent, undefined)
    }
  })

  const values = ['one', 'two', 'three'].map((text) => Buffer.from(text))
  const texts = (records: readonly { value: Uint8Array }[]): string[] =>
    records.map(({ value }) => Buffer.from(value).toString())

  it('reads several batches from an offset within one of them on', () => {
    const bytes = Buffer.concat([stored(values, 10n), stored(values, 13n)])
    const read = readRecordBatches(bytes, 12n, false)
    assert.deepEqual(texts(read.records), ['three', 'one', 'two', 'three'])
    assert.deepEqual(
      read.records.map(({ offset }) => offset),
      [12n, 13n, 14n, 15n],
    )
    assert.equal(read.problem, undefined)
    // where the batch before was read whole, none can begin before the wanted offset
    assert.equal(readRecordBatches(bytes, 12n, true).problem?.reason, 'offset')
  })

  it('reads all whole batches of bytes that are cut anywhere', () => {
    const first = stored(values, 0n)
    const bytes = Buffer.concat([first, stored(values, 3n)])
    for (let length = 0; length < bytes.length; length++) {
      const read = readRecordBatches(bytes.subarray(0, length), 0n, true)
      assert.equal(read.records.length, length < first.length ? 0 : 3, `${length} bytes`)
      assert.equal(read.problem, undefined)
    }
  })

  it('notices every flipped bit but those of the leader epoch', () => {
    const bytes = Buffer.concat([stored(values, 7n), stored(values, 10n)])
    const first = stored(values, 7n).length
    for (let bit = 0; bit < first * 8; bit++) {
      const damaged = Buffer.from(bytes)
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      const read = readRecordBatches(damaged, 7n, true)
      const isEpoch = bit >= 12 * 8 && bit < 16 * 8
      if (isEpoch) assert.deepEqual(texts(read.records).length, 6)
      else assert.deepEqual(read.records, [], `bit ${bit}`)
      // a length that goes past the bytes is an answer that is cut
      const isLength = bit >= 8 * 8 && bit < 12 * 8
      assert.ok(isEpoch || isLength || read.problem !== undefined, `bit ${bit}`)
    }
  })

  it('stops before a batch that does not follow the one before', () => {
    for (const [base, reason] of [
      [4n, 'gap'],
      [2n, 'offset'],
    ] as const) {
      const bytes = Buffer.concat([stored(values, 0n), stored(values, base)])
      const read = readRecordBatches(bytes, 0n, true)
      assert.deepEqual([read.records.length, read.problem?.reason], [3, reason])
    }
    assert.equal(readRecordBatches(stored(values, 9n), 5n, false).problem?.gapEnd, 9n)
  })

  it('hands over what can be read of a damaged batch, else all of it as the first record', () => {
    const flipped = stored(values, 5n)
    flipped[flipped.length - 3]! ^= 1
    const { problem } = readRecordBatches(flipped, 6n, false)
    assert.equal(problem?.reason, 'checksum')
    assert.deepEqual(
      problem?.records.map(({ offset }) => offset),
      [6n, 7n],
    )
    const unreadable = patched(stored(values, 5n), BATCH_HEADER_BYTES, 0xff)
    const broken = readRecordBatches(unreadable, 5n, true).problem
    assert.equal(broken?.reason, 'records')
    assert.deepEqual(
      broken?.records.map(({ offset, value }) => [offset, value.length]),
      [
        [5n, unreadable.length],
        [6n, 0],
        [7n, 0],
      ],
    )
  })

  it('refuses compression and other magics, and takes markers of transactions for a gap', () => {
    const compressed = patched(stored(values, 0n), 22, 1)
    assert.equal(readRecordBatches(compressed, 0n, true).problem?.reason, 'compressed')
    const old = stored(values, 0n)
    old[16] = 1
    assert.equal(readRecordBatches(old, 0n, true).problem?.reason, 'magic')
    const marker = patched(stored(values.slice(0, 1), 3n), 22, 0x30)
    const read = readRecordBatches(Buffer.concat([stored(values, 0n), marker]), 0n, true)
    assert.deepEqual([read.records.length, read.problem?.gapEnd], [3, 4n])
  })

  it('tells append times from those of clients', () => {
    const appended = patched(stored(values, 0n), 22, 0x08)
    assert.equal(readRecordBatches(appended, 0n, true).isAppendTime, true)
    assert.equal(readRecordBatches(appended, 0n, true).records[2]?.appendUnixMs, NOW_MS)
    assert.equal(readRecordBatches(stored(values, 0n), 0n, true).isAppendTime, false)
  })
})
