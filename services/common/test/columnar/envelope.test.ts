import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'

import { batchChunks, type BatchChunk } from '../../src/columnar/chunk-list.ts'
import { writeBatch } from '../../src/columnar/arrow-writer.ts'
import { openBatch } from '../../src/columnar/batch-view.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  envelopeHeaderBytes,
  type EnvelopeHeader,
} from '../../src/columnar/envelope.ts'
import { writeEnvelopeWithBatch } from '../../src/columnar/envelope-writer.ts'
import { AppError } from '../../src/errors.ts'
import { Signal } from '../../src/signal.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { randomBatch, viewTexts } from './random-batch.ts'

const CHUNKS: readonly BatchChunk[] = [
  { hash: new Uint8Array(16).fill(0xaa), rowStart: 0, rowCount: 2, removable: true },
  { hash: new Uint8Array(16).fill(0xbb), rowStart: 2, rowCount: 3, removable: false },
]
const HEADER: EnvelopeHeader = {
  signal: Signal.spans,
  tenant: 'acme',
  batchId: Uint8Array.from({ length: 16 }, (_, index) => index),
  rowCount: 5,
  otlpBytes: 1234,
  arrivalUnixNano: 0x1122_3344_5566_7788n,
  minTimeUnixNano: 1n,
  maxTimeUnixNano: 0xffff_ffff_ffff_ffffn,
  chunks: batchChunks(CHUNKS),
}
const ARROW = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)

const LITERAL = [
  '54524231 0200 0000', // "TRB1", version 2
  'CRC_____ 90000000', // checksum, 144 bytes of header
  '08000000 02 04 0000', // 8 bytes of Arrow, spans, 4 bytes of tenant
  '000102030405060708090a0b0c0d0e0f', // batch id
  '05000000 02000000', // rows, chunks
  '8877665544332211', // arrival
  '0100000000000000 ffffffffffffffff', // least and greatest time
  'd204000000000000', // OTLP bytes
  'aa'.repeat(16) + '00000000 02000000 01000000',
  'bb'.repeat(16) + '02000000 03000000 00000000',
  '61636d65 00000000', // tenant, padding
  '0102030405060708', // the Arrow stream
]

function assertDamaged(bytes: Uint8Array, message?: RegExp): void {
  assert.throws(
    () => decodeEnvelope(bytes),
    (error: unknown) => {
      assert.ok(error instanceof AppError)
      assert.equal(error.code, 'envelope_damaged')
      if (message !== undefined) assert.match(error.message, message)
      return true
    },
  )
}

test('an envelope has the bytes that docs/format/envelope.md says', () => {
  const bytes = encodeEnvelope(HEADER, ARROW)
  const expected = Buffer.from(
    LITERAL.join('').replace('CRC_____', '00000000').replaceAll(' ', ''),
    'hex',
  )
  expected.writeUInt32LE(crc32(expected.subarray(12)), 8)
  assert.deepEqual(Buffer.from(bytes), expected)
  assert.equal(envelopeHeaderBytes(HEADER), 144)
})

test('decodeEnvelope gives back header and stream, 8-aligned, from any kind of memory', () => {
  const bytes = encodeEnvelope(HEADER, ARROW)
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength))
  shared.set(bytes)
  for (const source of [bytes, Buffer.from(bytes), shared]) {
    const { header, arrow } = decodeEnvelope(source)
    assert.deepEqual(header, HEADER)
    assert.deepEqual(arrow, ARROW)
    assert.equal((arrow.byteOffset - source.byteOffset) % 8, 0)
  }
})

test('extreme headers survive: no chunk, no row, longest tenant, largest times', () => {
  const headers: EnvelopeHeader[] = [
    {
      ...HEADER,
      tenant: '',
      rowCount: 0,
      chunks: batchChunks([]),
      otlpBytes: 0,
      minTimeUnixNano: 0n,
    },
    { ...HEADER, tenant: 'é'.repeat(31), rowCount: 0x7fff_ffff },
    { ...HEADER, minTimeUnixNano: 2n ** 64n - 1n, otlpBytes: Number.MAX_SAFE_INTEGER },
    { ...HEADER, tenant: '\ufeff', rowCount: 100_000, chunks: manyChunks(50_000) },
  ]
  for (const header of headers) {
    const decoded = decodeEnvelope(encodeEnvelope(header, ARROW))
    assert.deepEqual(decoded, { header, arrow: ARROW })
  }
})

function manyChunks(count: number): EnvelopeHeader['chunks'] {
  const hash = new Uint8Array(16)
  const chunks = Array.from({ length: count }, (_, index) => {
    return { hash, rowStart: 2 * index, rowCount: 1, removable: index % 2 === 0 }
  })
  return batchChunks(chunks)
}

test('writeEnvelopeWithBatch writes what encodeEnvelope and writeBatch do', () => {
  const { builder, expected } = randomBatch(new SeededRandom(1), Signal.spans, 40)
  const header = { ...HEADER, rowCount: 40 }
  const bytes = writeEnvelopeWithBatch(header, builder)
  assert.deepEqual(bytes, encodeEnvelope(header, writeBatch(builder)))
  const { arrow } = decodeEnvelope(bytes)
  assert.deepEqual(Object.entries(viewTexts(openBatch(arrow))), Object.entries(expected))
})

test('a truncation at any byte is found', () => {
  const { builder } = randomBatch(new SeededRandom(2), Signal.logs, 3)
  const bytes = writeEnvelopeWithBatch({ ...HEADER, signal: Signal.logs }, builder)
  for (let length = 0; length < bytes.byteLength; length++) {
    assertDamaged(bytes.subarray(0, length))
  }
  assertDamaged(Buffer.concat([bytes, Buffer.alloc(8)]))
})

test('a flip of any bit is found', () => {
  const bytes = encodeEnvelope(HEADER, ARROW)
  for (let bit = 0; bit < 8 * bytes.byteLength; bit++) {
    const damaged = Uint8Array.from(bytes)
    damaged[bit >>> 3]! ^= 1 << (bit & 7)
    assertDamaged(damaged)
  }
})

test('an unknown version is refused with both versions', () => {
  const bytes = Buffer.from(encodeEnvelope(HEADER, ARROW))
  bytes.writeUInt16LE(7, 4)
  assertDamaged(bytes, /version 7; this build reads version 2/)
  assert.throws(
    () => decodeEnvelope(bytes),
    (error: AppError) => error.details['found'] === 7 && error.details['known'] === 2,
  )
})

test('a header that lies under a right checksum is refused', () => {
  const lies: [string, (bytes: Buffer) => void][] = [
    ['header bytes past the end', (bytes) => bytes.writeUInt32LE(152, 12)],
    ['header bytes not a multiple of 8', (bytes) => bytes.writeUInt32LE(141, 12)],
    ['header bytes and Arrow bytes that wrap', (bytes) => bytes.writeUInt32LE(0xffff_fff8, 12)],
    ['Arrow bytes', (bytes) => bytes.writeUInt32LE(16, 16)],
    ['signal 0', (bytes) => bytes.writeUInt8(0, 20)],
    ['signal 4', (bytes) => bytes.writeUInt8(4, 20)],
    ['tenant bytes past the header', (bytes) => bytes.writeUInt8(255, 21)],
    ['reserved bytes', (bytes) => bytes.writeUInt16LE(1, 22)],
    ['fewer rows than the chunks', (bytes) => bytes.writeUInt32LE(4, 40)],
    ['too many rows', (bytes) => bytes.writeUInt32LE(0xffff_ffff, 40)],
    ['more chunks', (bytes) => bytes.writeUInt32LE(3, 44)],
    ['chunks without end', (bytes) => bytes.writeUInt32LE(0xffff_ffff, 44)],
    ['least time above greatest', (bytes) => bytes.writeBigUInt64LE(0n, 64)],
    ['OTLP bytes beyond 2^53', (bytes) => bytes.writeBigUInt64LE(2n ** 60n, 72)],
    ['a chunk without rows', (bytes) => bytes.writeUInt32LE(0, 80 + 20)],
    ['chunks that overlap', (bytes) => bytes.writeUInt32LE(1, 108 + 16)],
    ['a chunk past the rows', (bytes) => bytes.writeUInt32LE(4, 108 + 20)],
    ['rows of a chunk that wrap', (bytes) => bytes.writeUInt32LE(0xffff_ffff, 108 + 20)],
    ['unknown flags', (bytes) => bytes.writeUInt32LE(2, 80 + 24)],
    ['a tenant that is not UTF-8', (bytes) => bytes.writeUInt8(0xff, 136)],
    ['padding', (bytes) => bytes.writeUInt8(1, 143)],
  ]
  for (const [name, lie] of lies) {
    const bytes = Buffer.from(encodeEnvelope(HEADER, ARROW))
    lie(bytes)
    bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8)
    assert.throws(() => decodeEnvelope(bytes), { code: 'envelope_damaged' }, name)
  }
})

test('a header that decodeEnvelope would refuse is not written', () => {
  const chunk = CHUNKS[0]!
  const wrong: EnvelopeHeader[] = [
    { ...HEADER, batchId: new Uint8Array(15) },
    { ...HEADER, tenant: 'x'.repeat(64) },
    { ...HEADER, minTimeUnixNano: 2n, maxTimeUnixNano: 1n },
    { ...HEADER, rowCount: 4 },
    { ...HEADER, otlpBytes: -1 },
    { ...HEADER, otlpBytes: 0.5 },
    { ...HEADER, arrivalUnixNano: -1n },
    { ...HEADER, chunks: batchChunks([{ ...chunk, rowCount: 0 }]) },
    { ...HEADER, chunks: { ...batchChunks([chunk]), hashes: new Uint8Array(8) } },
    { ...HEADER, chunks: batchChunks([chunk, chunk]) },
  ]
  for (const header of wrong) {
    assert.throws(() => encodeEnvelope(header, ARROW), { name: 'AssertionError' })
  }
})
