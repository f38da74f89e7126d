import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { RepeatWindow } from '../src/repeat-window.ts'

function hashOf(value: number): Uint8Array {
  return createHash('sha256').update(String(value)).digest().subarray(0, 16)
}

void test('RepeatWindow forgets by age and by its bound, and nothing else', () => {
  const window = new RepeatWindow(1000, 2000)
  const times = new Map<number, number>()
  for (let value = 0; value < 20_000; value++) {
    const nowMs = value
    window.add(hashOf(value), 0, nowMs)
    times.set(value, nowMs)
    if (value % 500 !== 0) continue
    for (let earlier = Math.max(0, value - 1200); earlier <= value; earlier += 7) {
      const expected = nowMs - times.get(earlier)! <= 1000
      assert.equal(window.has(hashOf(earlier), 0, nowMs), expected, `${earlier} at ${nowMs}`)
    }
  }
  assert.equal(window.evicted, 0)
})

void test('RepeatWindow pushes out the oldest at its bound and counts it', () => {
  const window = new RepeatWindow(1_000_000, 1024)
  for (let value = 0; value < 3000; value++) window.add(hashOf(value), 0, value)
  assert.equal(window.size, 1024)
  assert.equal(window.evicted, 3000 - 1024)
  for (let value = 0; value < 3000; value++) {
    assert.equal(window.has(hashOf(value), 0, 3000), value >= 3000 - 1024, String(value))
  }
})
