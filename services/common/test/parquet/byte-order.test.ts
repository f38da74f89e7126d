import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareBytes, cutMax, cutMin } from '../../src/parquet/byte-order.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

const text = (value: string) => new Uint8Array(Buffer.from(value))
const shown = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8')

test('a value within the limit is its own bound, to the byte', () => {
  const value = text('x'.repeat(64))
  assert.deepEqual(cutMin(value, 64, true), { bytes: value, isExact: true })
  assert.deepEqual(cutMax(value, 64, true), { bytes: value, isExact: true })
})

const CUTS: readonly (readonly [string, string, string, string | undefined])[] = [
  ['ASCII', 'a'.repeat(65), 'a'.repeat(64), `${'a'.repeat(63)}b`],
  [
    'a two-byte character over the edge',
    `${'a'.repeat(63)}é!`,
    'a'.repeat(63),
    `${'a'.repeat(62)}b`,
  ],
  [
    'a four-byte character over the edge',
    `${'a'.repeat(61)}\u{1f600}`,
    'a'.repeat(61),
    `${'a'.repeat(60)}b`,
  ],
  [
    'a four-byte character before the edge',
    `${'a'.repeat(60)}\u{1f600}zz`,
    `${'a'.repeat(60)}\u{1f600}`,
    `${'a'.repeat(60)}\u{1f601}`,
  ],
  [
    'a successor that needs a byte more',
    `${'a'.repeat(63)}\x7fzz`,
    `${'a'.repeat(63)}\x7f`,
    `${'a'.repeat(62)}b`,
  ],
  [
    'the last character before the surrogates',
    `${'a'.repeat(61)}\ud7ffzz`,
    `${'a'.repeat(61)}\ud7ff`,
    `${'a'.repeat(61)}\ue000`,
  ],
  [
    'the last character of all',
    `${'a'.repeat(60)}\u{10ffff}zz`,
    `${'a'.repeat(60)}\u{10ffff}`,
    `${'a'.repeat(59)}b`,
  ],
  ['nothing but the last character', '\u{10ffff}'.repeat(17), '\u{10ffff}'.repeat(16), undefined],
]

for (const [name, value, min, max] of CUTS) {
  test(`bounds are cut at whole characters: ${name}`, () => {
    assert.equal(shown(cutMin(text(value), 64, true).bytes), min)
    assert.equal(shown(cutMax(text(value), 64, true)?.bytes), max)
    assert.equal(cutMin(text(value), 64, true).isExact, false)
    assert.notEqual(cutMax(text(value), 64, true)?.isExact, true)
  })
}

test('bytes are raised at the last one that can be', () => {
  const value = Uint8Array.from([1, 2, 0xff, 0xff, 0xff, 9])
  assert.deepEqual(cutMax(value, 5, false)?.bytes, Uint8Array.from([1, 3]))
  assert.deepEqual(cutMin(value, 5, false).bytes, Uint8Array.from([1, 2, 0xff, 0xff, 0xff]))
  assert.equal(cutMax(new Uint8Array(9).fill(0xff), 5, false), undefined)
})

test('bounds of anything lie on their side of it, also of bytes that are no UTF-8', () => {
  const random = new SeededRandom(6)
  const pieces = ['a', '\x7f', 'é', '\u07ff', '\ud7ff', '\uffff', '\ufffd', '\u{10ffff}'].map(text)
  const broken = [
    Uint8Array.of(0x80),
    Uint8Array.of(0xff),
    Uint8Array.of(0xc3),
    Uint8Array.of(0xf0, 0x9f),
  ]
  for (let round = 0; round < 20_000; round++) {
    const from = random.chance(0.5) ? pieces : [...pieces, ...broken]
    const value = new Uint8Array(
      Buffer.concat(Array.from({ length: random.below(12) }, () => random.pick(from))),
    )
    const isText = random.chance(0.8)
    const limit = 4 + random.below(8)
    const min = cutMin(value, limit, isText)
    const max = cutMax(value, limit, isText)
    assert(min.bytes.length <= limit && (max === undefined || max.bytes.length <= limit))
    assert(Buffer.compare(min.bytes, value) <= 0)
    assert.equal(min.isExact, Buffer.compare(min.bytes, value) === 0)
    if (max !== undefined) {
      assert(Buffer.compare(max.bytes, value) >= 0, Buffer.from(value).toString('hex'))
      assert.equal(max.isExact, Buffer.compare(max.bytes, value) === 0)
    }
  }
})

test('bytes compare as unsigned, and a prefix stands first', () => {
  const data = Uint8Array.from([0x7f, 0x80, 0x7f])
  assert(compareBytes(data, 0, 1, 1, 2) < 0)
  assert.equal(compareBytes(data, 0, 1, 2, 3), 0)
  assert(compareBytes(data, 0, 2, 2, 3) > 0)
  assert(compareBytes(data, 0, 0, 0, 1) < 0)
})
