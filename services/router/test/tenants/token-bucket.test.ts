import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { SeededRandom } from '@tributary/common/testing/seeded-random'

import { TokenBucket } from '../../src/tenants/token-bucket.ts'

describe('TokenBucket', () => {
  it('begins full, and fills up to its burst at its rate', () => {
    const bucket = new TokenBucket(1000, 500, 0)
    bucket.take(500, 0)
    assert.equal(bucket.isOpen(0), false)
    assert.equal(bucket.isOpen(1), true)
    bucket.take(1, 1)
    assert.equal(bucket.isFull(500), false)
    assert.equal(bucket.isFull(501), true)
    bucket.take(500, 100_000)
    assert.equal(bucket.isOpen(100_000), false)
  })

  it('lets in what is larger than its burst, and makes the next ones wait for the debt', () => {
    const bucket = new TokenBucket(1000, 500, 0)
    assert.equal(bucket.isOpen(0), true)
    bucket.take(2500, 0)
    assert.equal(bucket.waitMs(0), 2001)
    assert.equal(bucket.isOpen(2000), false)
    assert.equal(bucket.isOpen(2001), true)
    assert.equal(bucket.waitMs(2001), 0)
  })

  it('takes back what was used for nothing, up to its burst', () => {
    const bucket = new TokenBucket(1000, 500, 0)
    bucket.take(700, 0)
    bucket.give(700)
    assert.equal(bucket.isFull(0), true)
    bucket.give(700)
    bucket.take(500, 0)
    assert.equal(bucket.isOpen(0), false)
  })

  it('keeps its debt when its rate changes', () => {
    const bucket = new TokenBucket(1000, 500, 0)
    bucket.take(1500, 0)
    bucket.change(100, 50, 0)
    assert.equal(bucket.waitMs(0), 10_010)
    bucket.change(10_000, 5000, 0)
    assert.equal(bucket.waitMs(0), 100.1)
  })

  it('has the rate as its mean, whatever the sizes are', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = new SeededRandom(seed)
      const bucket = new TokenBucket(1000, 200, 0)
      let taken = 0
      let nowMs = 0
      while (nowMs < 100_000) {
        nowMs += random.below(20)
        if (!bucket.isOpen(nowMs)) continue
        const size = 1 + random.below(1000)
        bucket.take(size, nowMs)
        taken += size
      }
      assert.ok(taken <= 100_000 + 200 + 1000, `seed ${seed}: ${taken}`)
      assert.ok(taken >= 95_000, `seed ${seed}: ${taken}`)
    }
  })
})
