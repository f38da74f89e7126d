import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DigestCounts, digestBytes, digestWords, hashRange } from '../../src/otlp/chunk-hash.ts'

/**
 * XXH3_128bits of u32 length | bytes | zeros up to 256, low half first, little-endian; by the
 * reference implementation (Python: xxhash.xxh3_128_digest). Byte i is (37 i + 11 (i >> 8)) mod 256.
 */
const DIGESTS: readonly (readonly [number, string])[] = [
  [0, '8d6e5cd7b1fb8da6910a63e9719d03bb'],
  [1, 'fee6291508396fb25ffc34edc2ae37b7'],
  [251, 'dafbb8270fdc92da03da32c92e24945b'],
  [252, '2dbf1e16de20fd4a8d7792ec5bfb33f0'],
  [253, '9f4c019fc60b3ef6fc91d47f28e11b15'],
  [1020, 'ab7e13705cb2c04bd04c873cadafa737'],
  [1021, 'ad2bc52c651bdac4b4fa9a4027fbbd14'],
  [2044, '74152fc5e73778e43c50099ee0e31cfa'],
  [131072, '26f192fd51e7d86a594e9dc260b85591'],
  [600000, 'c6d635f3dc25a3e8e5bcc5c3079b75dd'],
]

function sample(byteCount: number): Uint8Array {
  return Uint8Array.from({ length: byteCount }, (_, i) => i * 37 + (i >> 8) * 11)
}

function digestOf(bytes: Uint8Array, start = 0, end = bytes.length): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  hashRange(bytes, view, start, end)
  return Buffer.from(digestBytes).toString('hex')
}

test('hashRange gives what the reference implementation of XXH3 gives', () => {
  for (const [byteCount, digest] of DIGESTS) {
    assert.equal(digestOf(sample(byteCount)), digest, `${byteCount} bytes`)
  }
})

test('hashRange depends on nothing that was hashed before', () => {
  const short = sample(10)
  const before = digestOf(short)
  digestOf(sample(8 * 1024 * 1024))
  assert.equal(digestOf(short), before)
  digestOf(Uint8Array.from({ length: 250 }, () => 255))
  assert.equal(digestOf(short), before)
})

test('hashRange hashes the bytes of the range alone', () => {
  const bytes = sample(3000)
  const framed = new Uint8Array(3100).fill(7)
  framed.set(bytes, 50)
  assert.equal(digestOf(framed, 50, 3050), digestOf(bytes))
})

test('bytes that differ only in zeros at their end have different hashes', () => {
  const seen = new Set<string>()
  for (let byteCount = 0; byteCount <= 300; byteCount++) {
    seen.add(digestOf(new Uint8Array(byteCount)))
  }
  assert.equal(seen.size, 301)
})

test('DigestCounts tells how often a hash has come, however many there are', () => {
  const counts = new DigestCounts()
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 5000; i++) {
      // few first words: entries of one slot must be told apart
      digestWords.set([i % 3, i % 7, i, 1])
      assert.equal(counts.add(digestWords), round)
    }
  }
  for (const added of [3, 1]) {
    counts.clear()
    for (let i = 0; i < added; i++) {
      digestWords.set([i % 3, i % 7, i, 1])
      assert.equal(counts.add(digestWords), 0)
      assert.equal(counts.add(digestWords), 1)
    }
  }
})
