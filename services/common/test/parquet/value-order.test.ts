import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteArrayOrder } from '../../src/parquet/value-order.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'

test('ByteArrayOrder finds the bounds among values that begin alike, in part or for good', () => {
  const random = new SeededRandom(8)
  for (let round = 0; round < 300; round++) {
    const begin = random.bytes(random.pick([0, 1, 5, 6, 7, 40]))
    const values = Array.from({ length: 1 + random.below(20) }, () => {
      // few distinct bytes, zeros among them: ties in the first six, and values that others begin with
      const end = Uint8Array.from({ length: random.below(12) }, () => random.pick([0, 0, 1, 255]))
      return Buffer.concat([begin, end])
    })
    const offsets = new Int32Array(values.length + 1)
    for (const [index, { length }] of values.entries())
      offsets[index + 1] = offsets[index]! + length
    const order = new ByteArrayOrder(Buffer.concat(values), offsets)
    // again and again: pages of one dictionary
    for (let page = 0; page < 3; page++) {
      const count = 1 + random.below(values.length)
      const positions = Int32Array.from({ length: count + 2 }, () => random.below(values.length))
      const among = [...positions.subarray(0, count)].map((position) => values[position]!)
      const sorted = among.toSorted((a, b) => Buffer.compare(a, b))
      const { min, max } = order.boundsAmong(positions, count)
      assert.deepEqual(values[min], sorted[0], `round ${round}`)
      assert.deepEqual(values[max], sorted.at(-1), `round ${round}`)
    }
  }
})
