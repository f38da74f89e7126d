import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { RepeatWindow } from '../src/repeat-window.ts'

function hashOf(value: number): Uint8Array {
  return createHash('sha256').update(String(value)).digest().subarray(0, 16)
}

void test('RepeatWindow forgets by age and by nothing else', () => {
  const window = new RepeatWindow(1000, 1024 * 1024)
  const metMs = new Map<number, number>()
  for (let nowMs = 0; nowMs < 20_000; nowMs++) {
    // new ones, and earlier ones from all distances around the window's length
    for (const value of [nowMs, nowMs - ((nowMs * 7) % 2000)]) {
      const before = metMs.get(value)
      const isRepeat = before !== undefined && nowMs - before <= 1000
      assert.equal(window.meet(hashOf(value), 0, nowMs), isRepeat, `${value} at ${nowMs}`)
      if (!isRepeat) metMs.set(value, nowMs)
    }
  }
  const inWindow = [...metMs.values()].filter((ms) => 19_999 - ms <= 1000).length
  assert.equal(window.size, inWindow)
  assert.equal(window.evicted, 0)
})

void test('RepeatWindow pushes out the oldest at its bound and counts it', () => {
  const window = new RepeatWindow(1_000_000, 1024)
  for (let value = 0; value < 3000; value++) {
    assert.equal(window.meet(hashOf(value), 0, value), false)
  }
  assert.equal(window.size, 1024)
  assert.equal(window.evicted, 3000 - 1024)
  for (let value = 3000 - 1024; value < 3000; value++) {
    assert.equal(window.meet(hashOf(value), 0, 3000), true, String(value))
  }
  assert.equal(window.meet(hashOf(0), 0, 3000), false)
})

void test('RepeatWindow keeps all that it holds when its ring grows from the middle', () => {
  const window = new RepeatWindow(500, 1024 * 1024)
  // the head has moved on by the time that more come than the ring has places for
  for (let value = 0; value < 1500; value++) window.meet(hashOf(value), 0, value)
  for (let value = 1500; value < 20_000; value++) window.meet(hashOf(value), 0, 1499)
  for (let value = 999; value < 20_000; value++) {
    assert.equal(window.meet(hashOf(value), 0, 1499), true, String(value))
  }
  assert.equal(window.meet(hashOf(998), 0, 1499), false)
})

void test('RepeatWindow takes a clock that goes back', () => {
  const window = new RepeatWindow(1000, 2048)
  assert.equal(window.meet(hashOf(1), 0, 5000), false)
  assert.equal(window.meet(hashOf(2), 0, 100), false)
  assert.equal(window.meet(hashOf(1), 0, 100), true)
  // behind one that is not old yet, this one is: it stays where it is, and is met anew
  assert.equal(window.meet(hashOf(2), 0, 5500), false)
  assert.equal(window.meet(hashOf(2), 0, 5600), true)
})
