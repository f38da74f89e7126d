/**
 * Mutated envelopes and streams: an error of its kind or a view that can be read, never anything
 * else. FUZZ_SEED replays a run, FUZZ_SECONDS lengthens it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'

import { batchChunks, chunkEntries } from '../../src/columnar/chunk-list.ts'
import { writeBatch } from '../../src/columnar/arrow-writer.ts'
import { openBatch, type BatchView } from '../../src/columnar/batch-view.ts'
import { decodeEnvelope } from '../../src/columnar/envelope.ts'
import { writeEnvelopeWithBatch } from '../../src/columnar/envelope-writer.ts'
import { AppError } from '../../src/errors.ts'
import { Signal } from '../../src/signal.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { randomBatch, viewTexts } from './random-batch.ts'

const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000)
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 1.5)

/** Numbers that break arithmetic, and near ones that break bounds. */
const ODD_NUMBERS = [
  0, 1, 7, 8, 127, 128, 255, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
]

function mutate(bytes: Buffer, random: SeededRandom): Buffer {
  const mutations = 1 + random.below(4)
  let mutated = Buffer.from(bytes)
  for (let count = 0; count < mutations && mutated.length > 8; count++) {
    const at = random.below(mutated.length - 4)
    switch (random.below(7)) {
      case 0:
        mutated[at]! ^= 1 << random.below(8)
        break
      case 1:
        mutated.writeUInt32LE(random.pick(ODD_NUMBERS), at & ~3)
        break
      case 2:
        mutated.writeUInt32LE(
          (mutated.readUInt32LE(at & ~3) + random.below(33) - 16) >>> 0,
          at & ~3,
        )
        break
      case 3:
        mutated.copy(mutated, at & ~7, random.below(mutated.length) & ~7)
        break
      case 4:
        mutated.fill(random.below(256), at, Math.min(mutated.length, at + random.below(64)))
        break
      case 5:
        mutated = mutated.subarray(0, mutated.length - 8 * random.below(4))
        break
      default:
        mutated.writeInt16LE(random.pick([0, 4, 6, 8, 12, -1, 0x7fff]), at & ~1)
    }
  }
  // a copy: the memory after a view's end must not be the old bytes
  return Buffer.from(Uint8Array.from(mutated).buffer)
}

/** Reads everything that a view promises to be there. */
function readAll(view: BatchView): void {
  for (const column of view.columns) {
    const { offsets, validity, indices, values, lists } = column
    if (validity !== undefined) assert.ok(validity.byteLength * 8 >= view.rowCount)
    if (indices === undefined) assert.equal(column.length, view.rowCount)
    else {
      assert.equal(indices.length, lists === undefined ? view.rowCount : lists.at(-1))
      for (const id of indices) assert.ok(id >= 0 && id < column.length)
    }
    if (lists !== undefined) assertBounds(lists, view.rowCount)
    if (offsets === undefined) continue
    assertBounds(offsets, column.length)
    const unitBytes = column.type === 'list_float64' || column.type === 'list_uint64' ? 8 : 1
    assert.equal(values.byteLength, offsets[column.length]! * unitBytes)
  }
  viewTexts(view)
}

function assertBounds(bounds: Int32Array, length: number): void {
  assert.equal(bounds.length, length + 1)
  assert.equal(bounds[0], 0)
  for (let index = 0; index < length; index++) assert.ok(bounds[index]! <= bounds[index + 1]!)
}

function assertSafe(run: () => void): boolean {
  try {
    run()
    return true
  } catch (error) {
    if (error instanceof AppError && error.code === 'envelope_damaged') return false
    throw error
  }
}

function fuzz(name: string, step: (random: SeededRandom) => boolean): void {
  test(`${name} (FUZZ_SEED=${seed})`, (t) => {
    const random = new SeededRandom(seed)
    const end = performance.now() + seconds * 1000
    let opened = 0
    let count = 0
    while (performance.now() < end) {
      if (step(random)) opened += 1
      count += 1
    }
    t.diagnostic(`${count} mutations, ${opened} still readable`)
    assert.ok(count > 0)
  })
}

const SIGNALS = [Signal.logs, Signal.spans, Signal.metrics] as const

const pool = SIGNALS.flatMap((signal) => {
  const random = new SeededRandom(seed)
  return [1, 3, 40, 200].map((rowCount) => {
    const { builder } = randomBatch(random, signal, rowCount)
    const header = {
      signal,
      tenant: 'acme',
      batchId: random.bytes(16),
      rowCount,
      otlpBytes: 1000,
      arrivalUnixNano: 5n,
      minTimeUnixNano: 1n,
      maxTimeUnixNano: 9n,
      chunks: batchChunks(
        Array.from({ length: rowCount }, (_, rowStart) => {
          return { hash: random.bytes(16), rowStart, rowCount: 1, removable: true }
        }),
      ),
    }
    return {
      stream: Buffer.from(writeBatch(builder)),
      envelope: Buffer.from(writeEnvelopeWithBatch(header, builder)),
    }
  })
})

fuzz('a mutated Arrow stream is refused or readable', (random) => {
  const bytes = mutate(random.pick(pool).stream, random)
  return assertSafe(() => readAll(openBatch(bytes)))
})

fuzz('a mutated envelope is refused', (random) => {
  const { envelope } = random.pick(pool)
  const bytes = mutate(envelope, random)
  const isReadable = assertSafe(() => decodeEnvelope(bytes))
  if (isReadable) assert.deepEqual(bytes, envelope)
  return isReadable
})

fuzz('a mutated envelope under a right checksum is refused or in order', (random) => {
  const bytes = mutate(random.pick(pool).envelope, random)
  if (bytes.length >= 12) bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8)
  return assertSafe(() => {
    const { header, arrow } = decodeEnvelope(bytes)
    let rowsBefore = 0
    for (const chunk of chunkEntries(header.chunks)) {
      assert.ok(chunk.rowStart >= rowsBefore && chunk.rowCount > 0)
      rowsBefore = chunk.rowStart + chunk.rowCount
    }
    assert.ok(rowsBefore <= header.rowCount)
    readAll(openBatch(arrow))
  })
})
