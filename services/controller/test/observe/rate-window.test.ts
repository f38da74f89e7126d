import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { RateWindow } from '../../src/observe/rate-window.ts'

describe('RateWindow', () => {
  it('knows no rate before the second sample', () => {
    const rates = new RateWindow(10_000)
    rates.note('a', 5, 0)
    assert.equal(rates.perSecond('a'), undefined)
    rates.note('a', 25, 2000)
    assert.equal(rates.perSecond('a'), 10)
  })

  it('looks at the last seconds only', () => {
    const rates = new RateWindow(10_000)
    for (let atMs = 0; atMs <= 60_000; atMs += 2000) rates.note('a', atMs < 40_000 ? 0 : atMs, atMs)
    assert.equal(rates.perSecond('a'), 1000)
  })

  it('begins anew where a counter went back', () => {
    const rates = new RateWindow(10_000)
    rates.note('a', 1000, 0)
    rates.note('a', 10, 2000)
    assert.equal(rates.perSecond('a'), undefined)
    rates.note('a', 30, 4000)
    assert.equal(rates.perSecond('a'), 10)
  })

  it('forgets counters that are not there any more', () => {
    const rates = new RateWindow(10_000)
    rates.note('a', 0, 0)
    rates.note('b', 0, 0)
    rates.note('a', 10, 1000)
    rates.keepOnly(1000)
    rates.note('b', 10, 2000)
    assert.deepEqual([rates.perSecond('a'), rates.perSecond('b')], [10, undefined])
  })
})
