import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js'
import { readRleBitPackedHybrid } from 'hyparquet/src/encoding.js'
import { writeDeltaInt32, writeDeltaInt64 } from '../../src/parquet/delta-encoder.ts'
import { bitWidthOf, writeBitmapHybrid, writeHybrid } from '../../src/parquet/hybrid-encoder.ts'
import { PageBuffer } from '../../src/parquet/page-buffer.ts'
import { bitAt, countBits } from '../../src/parquet/presence.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

const COUNTS = [1, 2, 31, 32, 33, 34, 127, 128, 129, 130, 161, 257, 300]

function reader(page: PageBuffer, offset = 0) {
  const bytes = page.written().slice()
  // hyparquet reads whole words past a miniblock's end
  const padded = new Uint8Array(bytes.length + 8)
  padded.set(bytes)
  return { view: new DataView(padded.buffer), offset }
}

function dirtyPage(): PageBuffer {
  const page = new PageBuffer()
  page.bytes.fill(0xaa)
  return page
}

test('64-bit deltas of every width come back', () => {
  const random = new SeededRandom(1)
  for (let width = 0; width <= 64; width++) {
    for (const count of COUNTS) {
      const values = new BigInt64Array(count)
      for (let i = 1; i < count; i++) {
        const delta = width === 0 ? 3n : BigInt.asUintN(width, random.uint64())
        values[i] = values[i - 1]! + (random.chance(0.3) ? -delta : delta)
      }
      const page = dirtyPage()
      writeDeltaInt64(page, new Int32Array(values.buffer), 0, count)
      const output = new BigInt64Array(count)
      deltaBinaryUnpack(reader(page), count, output)
      assert.deepEqual(output, values, `width ${width}, ${count} values`)
    }
  }
})

test('32-bit deltas of every width come back', () => {
  const random = new SeededRandom(2)
  for (let width = 0; width <= 32; width++) {
    for (const count of COUNTS) {
      const values = new Int32Array(count)
      for (let i = 1; i < count; i++) {
        const delta = width === 0 ? -7 : random.uint32() >>> (32 - width)
        values[i] = values[i - 1]! + (random.chance(0.3) ? -delta : delta)
      }
      const page = dirtyPage()
      writeDeltaInt32(page, values, 0, count)
      const output = new Int32Array(count)
      deltaBinaryUnpack(reader(page), count, output)
      assert.deepEqual(output, values, `width ${width}, ${count} values`)
    }
  }
})

test('deltas that wrap around 64 bits come back', () => {
  const extremes = [2n ** 63n - 1n, -(2n ** 63n), 0n, -1n, 2n ** 32n, -(2n ** 32n) - 1n]
  const random = new SeededRandom(3)
  const values = BigInt64Array.from({ length: 500 }, () => random.pick(extremes))
  const page = dirtyPage()
  writeDeltaInt64(page, new Int32Array(values.buffer), 0, values.length)
  const output = new BigInt64Array(values.length)
  deltaBinaryUnpack(reader(page), values.length, output)
  assert.deepEqual(output, values)
})

test('a range within an array is encoded as that range alone', () => {
  const values = BigInt64Array.from({ length: 400 }, (_, i) => BigInt(i * i))
  const page = dirtyPage()
  writeDeltaInt64(page, new Int32Array(values.buffer), 150, 300)
  const output = new BigInt64Array(150)
  deltaBinaryUnpack(reader(page), 150, output)
  assert.deepEqual(output, values.slice(150, 300))
})

test('ids of every width come back from the hybrid, as runs and as literals', () => {
  const random = new SeededRandom(4)
  for (let width = 0; width <= 24; width++) {
    for (const count of [1, 7, 8, 9, 16, 63, 64, 65, 1000]) {
      for (const runChance of [0, 0.05, 0.9]) {
        const limit = 2 ** width
        let id = random.below(limit)
        const ids = Int32Array.from({ length: count }, () => {
          if (!random.chance(runChance)) id = random.below(limit)
          return id
        })
        const page = dirtyPage()
        writeHybrid(page, ids, 0, count, width)
        const output = new Array<number>(count)
        readRleBitPackedHybrid(reader(page), width, output, page.length)
        assert.deepEqual(Int32Array.from(output), ids, `width ${width}, ${count} ids`)
      }
    }
  }
})

test('a bitmap comes back as levels from any position', () => {
  const random = new SeededRandom(5)
  let bit = 0
  const bits = Array.from({ length: 3000 }, (_, i) => {
    if (i < 1000 ? random.chance(0.5) : random.chance(0.01)) bit = 1 - bit
    return bit
  })
  const bitmap = new Uint8Array(375)
  for (const [i, value] of bits.entries()) bitmap[i >>> 3]! |= value << (i & 7)
  for (let round = 0; round < 500; round++) {
    const from = random.below(bits.length)
    const to = from + 1 + random.below(bits.length - from)
    const page = dirtyPage()
    writeBitmapHybrid(page, bitmap, from, to)
    const output = new Array<number>(to - from)
    readRleBitPackedHybrid(reader(page), 1, output, page.length)
    assert.deepEqual(output, bits.slice(from, to), `${from} to ${to}`)
    const counted = bits.slice(from, to).reduce((a, b) => a + b, 0)
    assert.equal(countBits(bitmap, from, to), counted)
    assert.equal(bitAt(bitmap, from), bits[from])
  }
})

test('sparse presence takes a few bytes', () => {
  const bitmap = new Uint8Array(2500)
  bitmap[1200] = 1
  const page = dirtyPage()
  writeBitmapHybrid(page, bitmap, 0, 20_000)
  assert(page.length < 16, `${page.length} bytes`)
})

test('bit widths are those of the greatest id', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 255, 256].map(bitWidthOf), [0, 1, 2, 2, 3, 8, 9])
})
