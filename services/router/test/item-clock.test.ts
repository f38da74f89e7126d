import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { LogTime } from '@tributary/common/log/log-time'
import { createLogger } from '@tributary/common/logger'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'

import { ItemClock } from '../src/item-clock.ts'

const HOUR_MS = 3_600_000

describe('ItemClock', () => {
  function open(): { clock: VirtualClock; logTime: LogTime; items: ItemClock } {
    const clock = new VirtualClock()
    const logTime = new LogTime(clock)
    const logger = createLogger({ name: 'test', level: 'silent' })
    return { clock, logTime, items: new ItemClock({ clock, logTime, logger }) }
  }

  /** Hours by which the bounds are off the own clock. */
  function boundsOf(items: ItemClock, clock: VirtualClock): { earliest: number; latest: number } {
    const own = clock.nowUnixNano()
    const { earliestUnixNano, latestUnixNano } = items.bounds(own)
    const hours = (nanos: bigint): number => Number(nanos) / 1e6 / HOUR_MS
    return { earliest: hours(earliestUnixNano - own), latest: hours(latestUnixNano - own) }
  }

  it('has its own clock alone before the brokers told theirs', () => {
    const { clock, items } = open()
    assert.deepEqual(boundsOf(items, clock), { earliest: 0, latest: 0 })
    assert.equal(items.skewMs, undefined)
  })

  it('judges what is of the future by the later clock, what is old by the earlier one', () => {
    for (const hours of [5, -5]) {
      const { clock, logTime, items } = open()
      logTime.heard(clock.nowUnixMs() + hours * HOUR_MS)
      const bounds = boundsOf(items, clock)
      assert.deepEqual(bounds, { earliest: Math.min(0, hours), latest: Math.max(0, hours) })
      assert.equal(items.skewMs, -hours * HOUR_MS)
    }
  })

  it('takes an old append for nothing but a time that is over', () => {
    const { clock, logTime, items } = open()
    logTime.isAfter(clock.nowUnixMs() - 5 * HOUR_MS)
    assert.deepEqual(boundsOf(items, clock), { earliest: 0, latest: 0 })
    logTime.isAfter(clock.nowUnixMs() + 5 * HOUR_MS)
    assert.deepEqual(boundsOf(items, clock), { earliest: 0, latest: 5 })
    assert.equal(items.skewMs, undefined)
  })
})
