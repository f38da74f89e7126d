import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { systemClock } from '../src/clock.ts'
import type { Clock } from '../src/clock.ts'
import { SeededRandom } from '../src/testing/seeded-random.ts'
import { VirtualClock } from '../src/testing/virtual-clock.ts'

async function endsWhenAborted(clock: Clock): Promise<void> {
  const aborting = new AbortController()
  const slept = clock.sleep(60_000, aborting.signal)
  aborting.abort(new Error('enough'))
  await assert.rejects(slept, { code: 'cancelled', cause: new Error('enough') })
  await assert.rejects(clock.sleep(0, aborting.signal), { code: 'cancelled' })
}

describe('systemClock', () => {
  it('sleeps, and wakes at once when its signal is aborted', async () => {
    const beforeMs = systemClock.monotonicMs()
    await systemClock.sleep(5)
    assert.ok(systemClock.monotonicMs() - beforeMs >= 4)
    await endsWhenAborted(systemClock)
  })

  it('calls back once or again and again, until cancelled', async () => {
    const calls: string[] = []
    const never = systemClock.after(1, () => calls.push('never'))
    never.cancel()
    const done = Promise.withResolvers<void>()
    systemClock.after(1, () => calls.push('once'))
    const again = systemClock.every(2, () => {
      if (calls.push('again') >= 4) done.resolve()
    })
    const awake = setInterval(() => undefined, 10)
    await done.promise
    again.cancel()
    clearInterval(awake)
    assert.equal(calls.filter((call) => call === 'once').length, 1)
    assert.ok(!calls.includes('never'))
  })
})

describe('VirtualClock', () => {
  it('lets an hour pass at once, in order, with all that each timer sets off', async () => {
    const clock = new VirtualClock(0)
    const seen: string[] = []
    const minutes = clock.every(60_000, () => seen.push(`m${clock.monotonicMs() / 60_000}`))
    void (async () => {
      await clock.sleep(90_000)
      await Promise.resolve()
      seen.push('slept')
      await clock.sleep(10_000)
      seen.push('slept again')
    })()
    await clock.advance(180_000)
    minutes.cancel()
    await clock.advance(3_600_000)
    assert.deepEqual(seen, ['m1', 'slept', 'slept again', 'm2', 'm3'])
    assert.equal(clock.monotonicMs(), 3_780_000)
    assert.equal(clock.nowUnixMs(), 3_780_000)
  })

  it('fires timers by time and of one time by age', async () => {
    const random = new SeededRandom(1)
    const clock = new VirtualClock()
    const fired: number[][] = []
    const set = Array.from({ length: 500 }, (_, index) => [random.below(50), index])
    for (const timer of set) clock.after(timer[0]!, () => fired.push(timer))
    await clock.advance(100)
    assert.deepEqual(
      fired,
      set.toSorted((a, b) => a[0]! - b[0]! || a[1]! - b[1]!),
    )
  })

  it('ends a sleep when its signal is aborted', () => endsWhenAborted(new VirtualClock()))

  it('steps the wall clock and leaves the monotonic one alone', async () => {
    const clock = new VirtualClock(1000)
    clock.stepWallClock(-7_200_000)
    await clock.advance(10)
    assert.deepEqual([clock.nowUnixMs(), clock.monotonicMs()], [1000 - 7_200_000 + 10, 10])
  })

  it('says so where nothing ever settles a promise', async () => {
    const clock = new VirtualClock()
    assert.equal(await clock.run(clock.sleep(5).then(() => 7)), 7)
    await assert.rejects(clock.run(new Promise(() => undefined)), /nothing more happens/)
  })
})
