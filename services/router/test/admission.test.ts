import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '@tributary/common/errors'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'

import { Admission } from '../src/admission.ts'

function admissionOf(inFlightBytesMax: number, clock = new VirtualClock()): Admission {
  return new Admission({ inFlightBytesMax, clock, random: () => 0.5 })
}

function isOverloaded(error: unknown): boolean {
  return error instanceof AppError && error.code === 'overloaded' && error.answer.retryable
}

describe('Admission', () => {
  it('refuses what does not fit, and takes it after a release', () => {
    const admission = admissionOf(100)
    const first = admission.reserve(60)
    assert.throws(() => admission.reserve(41), isOverloaded)
    const second = admission.reserve(40)
    first.release()
    admission.reserve(60).release()
    second.release()
    assert.equal(admission.inFlightBytes, 0)
    assert.equal(admission.reservations, 0)
    assert.equal(admission.refusals, 1)
  })

  it('lets a call in alone, however large, so that it is never refused for ever', () => {
    const admission = admissionOf(100)
    const large = admission.reserve(1000)
    assert.throws(() => admission.reserve(1), isOverloaded)
    large.resize(2000)
    large.release()
    assert.equal(admission.inFlightBytes, 0)
  })

  it('keeps a reservation as it was when its growth is refused', () => {
    const admission = admissionOf(100)
    const other = admission.reserve(50)
    const growing = admission.reserve(10)
    growing.resize(50)
    assert.throws(() => {
      growing.resize(51)
    }, isOverloaded)
    assert.equal(growing.bytes, 50)
    growing.resize(5)
    assert.equal(admission.inFlightBytes, 55)
    growing.release()
    growing.release()
    other.release()
    assert.equal(admission.inFlightBytes, 0)
  })

  it('names a retry delay from the rate at which bytes drain', async () => {
    const clock = new VirtualClock()
    const admission = admissionOf(1_000_000, clock)
    assert.equal(admission.retryDelayMs(), 2000)
    // 100 bytes drain per millisecond.
    for (let second = 0; second < 10; second++) {
      const reservation = admission.reserve(100_000)
      await clock.advance(1000)
      reservation.release()
    }
    const held = admission.reserve(1_000_000)
    // Half a million bytes above the half of the bound, at 100 per millisecond.
    assert.equal(admission.retryDelayMs(), 5000)
    held.release()
  })

  it('spreads retries over half to one and a half of the delay', () => {
    const delays = [0, 0.999].map((value) =>
      new Admission({
        inFlightBytesMax: 1,
        clock: new VirtualClock(),
        random: () => value,
      }).retryDelayMs(),
    )
    assert.deepEqual(delays, [1000, 2998])
  })
})
