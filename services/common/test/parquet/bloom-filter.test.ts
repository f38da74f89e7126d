import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { test } from 'node:test'
import { sbbfContains } from 'hyparquet/src/bloom.js'
import { xxhash64 } from 'hyparquet/src/xxhash.js'
import { bloomFilterBytes, buildBloomFilter } from '../../src/parquet/bloom-filter.ts'
import { compileKernels, KERNELS } from '../../tools/build-kernels.ts'

/** hyparquet's check of a value against our blocks. */
function mayHold(filter: Uint8Array, value: Uint8Array): boolean {
  const words = new Uint32Array(filter.buffer, filter.byteOffset, filter.length / 4)
  return sbbfContains(words, xxhash64(value))
}

function byteArrays(values: readonly Uint8Array[]) {
  const offsets = new Int32Array(values.length + 1)
  for (const [i, value] of values.entries()) offsets[i + 1] = offsets[i]! + value.length
  return { data: new Uint8Array(Buffer.concat(values)), offsets, width: 0, count: values.length }
}

for (const path of KERNELS) {
  test(`the committed ${basename(path)}.ts is what its source compiles to`, async () => {
    assert.equal(readFileSync(`${path}.ts`, 'utf8'), await compileKernels(path))
  })
}

test('a filter holds values of every length from 0 to 200', () => {
  const values = Array.from({ length: 201 }, (_, i) =>
    Uint8Array.from({ length: i }, (_, j) => (i * 37 + j * 101) & 0xff),
  )
  const { blocks: filter } = buildBloomFilter(byteArrays(values))
  for (const value of values) assert(mayHold(filter, value), `${value.length} bytes`)
})

test('values of a fixed width hash as their bytes', () => {
  for (const width of [1, 4, 8]) {
    const data = Uint8Array.from({ length: width * 100 }, (_, i) => (i * 89 + width) & 0xff)
    const { blocks: filter } = buildBloomFilter({ data, offsets: undefined, width, count: 100 })
    for (let i = 0; i < 100; i++) {
      assert(mayHold(filter, data.slice(i * width, (i + 1) * width)))
    }
  }
})

test('the size follows the distinct values, not the rows', () => {
  const values = Array.from({ length: 100_000 }, (_, i) => Buffer.from(`trace-${i % 1000}`))
  const { blocks: filter, distinct } = buildBloomFilter(byteArrays(values))
  assert.equal(distinct, 1000)
  assert.equal(filter.length, bloomFilterBytes(1000))
  assert.equal(filter.length, 2048)
})

test('about 1 % of absent values pass a filter at its designed load, and never more than 1.5 %', () => {
  const bytes = 65_536
  const count = Math.floor((bytes * 8) / 9.7)
  assert.equal(bloomFilterBytes(count), bytes)
  const values = Array.from({ length: count }, (_, i) => Buffer.from(`present ${i}`))
  const { blocks: filter } = buildBloomFilter(byteArrays(values))
  assert.equal(filter.length, bytes)
  let passed = 0
  for (let i = 0; i < 20_000; i++) if (mayHold(filter, Buffer.from(`absent ${i}`))) passed++
  assert(passed > 50 && passed < 300, `${passed} of 20,000 passed`)
})

test('batches split at any size give the same filter', () => {
  // values of 40 KB force batches of a few values, between small ones
  const values = Array.from({ length: 300 }, (_, i) => Buffer.alloc(i % 3 === 0 ? 40_000 : 9, i))
  const { blocks: filter } = buildBloomFilter(byteArrays(values))
  for (const value of values) assert(mayHold(filter, value))
})

test('positions in the data may start after 0', () => {
  const { data, offsets, count } = byteArrays([Buffer.from('skipped'), Buffer.from('kept')])
  const input = { data, offsets: offsets.subarray(1), width: 0, count: count - 1 }
  const { blocks: filter } = buildBloomFilter(input)
  assert(mayHold(filter, Buffer.from('kept')))
  assert(!mayHold(filter, Buffer.from('skipped')))
})
