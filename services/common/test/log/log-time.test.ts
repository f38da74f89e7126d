import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { LogTime } from '../../src/log/log-time.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'

const NOON = 1_800_000_000_000

describe('LogTime', () => {
  it('knows nothing before an answer, and nothing of topics without append times', () => {
    const time = new LogTime(new VirtualClock())
    time.heard(-1)
    time.isAfter(-1)
    assert.equal(time.nowUnixMs, undefined)
    assert.equal(time.floorUnixMs, undefined)
  })

  it('goes on by the monotonic clock, however the wall clock jumps', async () => {
    const clock = new VirtualClock()
    const time = new LogTime(clock)
    time.heard(NOON)
    clock.stepWallClock(-7_200_000)
    await clock.advance(30_000)
    assert.equal(time.nowUnixMs, NOON + 30_000)
  })

  it('takes the fastest answer of a minute: slow ones tell a time that is over', async () => {
    const clock = new VirtualClock()
    const time = new LogTime(clock)
    time.heard(NOON)
    await clock.advance(5000)
    time.heard(NOON + 1000)
    assert.equal(time.nowUnixMs, NOON + 5000)
  })

  it('forgets a broker that was ahead after two minutes', async () => {
    const clock = new VirtualClock()
    const time = new LogTime(clock)
    time.heard(NOON + 3_600_000)
    for (let minute = 1; minute <= 2; minute++) {
      await clock.advance(60_000)
      time.heard(NOON + minute * 60_000)
    }
    assert.equal(time.nowUnixMs, NOON + 120_000)
  })

  it('keeps an append of long ago as a time that is over, not as the time', () => {
    const time = new LogTime(new VirtualClock())
    time.isAfter(NOON)
    time.isAfter(NOON - 1)
    assert.equal(time.nowUnixMs, undefined)
    assert.equal(time.floorUnixMs, NOON)
    time.heard(NOON + 5)
    assert.equal(time.floorUnixMs, NOON + 5)
  })
})
