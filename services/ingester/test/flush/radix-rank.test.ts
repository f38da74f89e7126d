import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { rankByKeys } from '../../src/flush/radix-rank.ts'

for (const count of [0, 1, 2, 300, 5000]) {
  void test(`${String(count)} items rank as a comparator ranks them`, () => {
    const random = new SeededRandom(count + 1)
    const few = Uint32Array.from({ length: count }, () => random.below(7))
    const many = Uint32Array.from({ length: count }, () =>
      random.pick([0, 0xffff_ffff, random.uint32()]),
    )
    const compare = (left: number, right: number): number =>
      few[left]! - few[right]! || many[left]! - many[right]!
    const sorted = Array.from({ length: count }, (_, item) => item).sort(compare)
    const ranks = new Int32Array(count)
    let rank = -1
    sorted.forEach((item, index) => {
      if (index === 0 || compare(sorted[index - 1]!, item) !== 0) rank++
      ranks[item] = rank
    })
    assert.deepEqual(rankByKeys(count, [few, many]), { rankOf: ranks, rankCount: rank + 1 })
  })
}
