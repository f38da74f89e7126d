import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'

import { keyHashText, leadHash, streamHash, tenantHash } from '../../src/routing/key-hash.ts'
import { bestFew, bestOf, scoreOf, type KeyHash } from '../../src/routing/rendezvous.ts'
import { Signal } from '../../src/signal.ts'

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const key: fc.Arbitrary<KeyHash> = fc.record({ high: int32, low: int32 })
const someKeys = Array.from({ length: 20_000 }, (_, index) =>
  streamHash('default', Signal.logs, Buffer.from(`service-${String(index)}`)),
)

function range(count: number): number[] {
  return Array.from({ length: count }, (_, partition) => partition)
}

test('hashes and scores are the ones that the format fixes', () => {
  assert.equal(keyHashText(tenantHash('default', Signal.logs)), '4e927f91855077dc')
  assert.equal(
    keyHashText(streamHash('acme', Signal.spans, Uint8Array.of(1, 2, 3))),
    'aa1c2c987f05fde4',
  )
  assert.equal(keyHashText(leadHash(Uint8Array.of(0x12, 0), 300)), 'bd30b5be0cdb4308')
  assert.equal(scoreOf({ high: 1, low: 2 }, 0), 845_261_965)
  assert.equal(scoreOf({ high: -1, low: 7 }, 95), 1_581_648_165)
})

test('only the first kilobyte of an item counts', () => {
  const item = Buffer.alloc(5000, 7)
  const other = Buffer.alloc(6000, 7)
  assert.deepEqual(leadHash(item, 3), leadHash(other, 3))
  assert.notDeepEqual(leadHash(item, 3), leadHash(item, 4))
})

test('a new partition takes its share of the keys, and no key moves between old ones', () => {
  for (const count of [1, 2, 5, 12, 95]) {
    const before = range(count)
    const after = range(count + 1)
    let movedCount = 0
    for (const each of someKeys) {
      const from = bestOf(each, before)
      const to = bestOf(each, after)
      if (from === to) continue
      assert.equal(to, count)
      movedCount++
    }
    const expected = someKeys.length / (count + 1)
    assert.ok(Math.abs(movedCount - expected) < 6 * Math.sqrt(expected), `${String(movedCount)}`)
  }
})

test('keys spread evenly', () => {
  const counts = new Array<number>(96).fill(0)
  for (const each of someKeys) counts[bestOf(each, range(96))]! += 1
  const mean = someKeys.length / 96
  const chiSquare = counts.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0)
  assert.ok(chiSquare < 96 + 6 * Math.sqrt(2 * 96), `chi square ${String(chiSquare)}`)
})

test('the best few begin with the best and grow without moving', () => {
  fc.assert(
    fc.property(key, fc.integer({ min: 1, max: 40 }), (each, count) => {
      const all = bestFew(each, range(count), count)
      assert.equal(all[0], bestOf(each, range(count)))
      assert.deepEqual(new Set(all), new Set(range(count)))
      for (let few = 1; few < count; few++) {
        assert.deepEqual(bestFew(each, range(count), few), all.slice(0, few))
      }
    }),
  )
})

test('the order in which partitions are listed does not matter', () => {
  fc.assert(
    fc.property(
      key,
      fc.uniqueArray(fc.nat(4095), { minLength: 1, maxLength: 30 }),
      (each, list) => {
        assert.equal(bestOf(each, list), bestOf(each, list.toReversed()))
        assert.deepEqual(bestFew(each, list, 3), bestFew(each, list.toReversed(), 3))
      },
    ),
  )
})
