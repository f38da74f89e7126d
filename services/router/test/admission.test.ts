import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'

import { AppError } from '@tributary/common/errors'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'

import { Admission, type Reservation } from '../src/admission.ts'
import type { TenantAccount } from '../src/tenants/tenant-account.ts'
import { testAccount } from '../src/testing/test-account.ts'

function admissionOf(inFlightBytesMax: number, clock = new VirtualClock()): Admission {
  return new Admission({ inFlightBytesMax, clock, random: () => 0.5 })
}

function isOverloaded(error: unknown): boolean {
  return error instanceof AppError && error.code === 'overloaded' && error.answer.retryable
}

describe('Admission', () => {
  it('refuses what does not fit, and takes it after a release', () => {
    const admission = admissionOf(100)
    const first = admission.reserve(60, testAccount())
    assert.throws(() => admission.reserve(41, testAccount()), isOverloaded)
    const second = admission.reserve(40, testAccount())
    first.release()
    admission.reserve(60, testAccount()).release()
    second.release()
    assert.equal(admission.inFlightBytes, 0)
    assert.equal(admission.reservations, 0)
    assert.equal(admission.refusals, 1)
  })

  it('lets a call in alone, however large, so that it is never refused for ever', () => {
    const admission = admissionOf(100)
    const large = admission.reserve(1000, testAccount())
    assert.throws(() => admission.reserve(1, testAccount()), isOverloaded)
    large.resize(2000)
    large.release()
    assert.equal(admission.inFlightBytes, 0)
  })

  it('keeps a reservation as it was when its growth is refused', () => {
    const admission = admissionOf(100)
    const other = admission.reserve(50, testAccount())
    const growing = admission.reserve(10, testAccount())
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
      const reservation = admission.reserve(100_000, testAccount())
      await clock.advance(1000)
      reservation.release()
    }
    const held = admission.reserve(1_000_000, testAccount())
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

  describe('among tenants', () => {
    let hog: TenantAccount
    let small: TenantAccount

    beforeEach(() => {
      hog = testAccount('hog')
      small = testAccount('small')
    })

    /** Takes all that it gets, in calls of `bytes`. */
    function fill(admission: Admission, tenant: TenantAccount, bytes: number): Reservation[] {
      const held: Reservation[] = []
      for (;;) {
        try {
          held.push(admission.reserve(bytes, tenant))
        } catch (error) {
          assert.ok(isOverloaded(error))
          return held
        }
      }
    }

    it('leaves an eighth for those that come new, however much one sends', () => {
      const admission = admissionOf(800)
      fill(admission, hog, 10)
      assert.equal(admission.inFlightBytes, 700)
      assert.ok(admission.shareRefusals > 0)
      admission.reserve(100, small)
    })

    it('gives each of two its half once both want in', () => {
      const admission = admissionOf(800)
      const held = fill(admission, hog, 10)
      admission.reserve(10, small)
      for (const reservation of held) reservation.release()
      fill(admission, hog, 10)
      assert.equal(hog.inFlightBytes, 390, 'all of the half that is not shared')
      fill(admission, small, 10)
      assert.equal(small.inFlightBytes, 350)
    })

    it('lets anybody have anything up to half of the bound', () => {
      const admission = admissionOf(800)
      const tenants = Array.from({ length: 30 }, (_, index) => testAccount(`t${index}`))
      for (const tenant of tenants) admission.reserve(1, tenant)
      admission.reserve(300, hog).release()
    })

    it('never refuses the only call of a tenant for the sake of others', () => {
      const admission = admissionOf(800)
      const tenants = Array.from({ length: 100 }, (_, index) => testAccount(`t${index}`))
      for (const tenant of tenants) admission.reserve(4, tenant)
      const only = admission.reserve(50, testAccount('late'))
      only.resize(200)
      only.release()
      assert.throws(() => admission.reserve(10, tenants[0]!), isOverloaded)
    })

    it('gives the share back to those that stay, once the others are gone', async () => {
      const clock = new VirtualClock()
      const admission = admissionOf(800, clock)
      admission.reserve(10, small).release()
      const turn = async (): Promise<void> => {
        admission.reserve(10, hog).release()
        await clock.advance(1000)
      }
      await turn()
      assert.equal(admission.sharers, 2)
      for (let seconds = 0; seconds < 11; seconds++) await turn()
      assert.equal(admission.sharers, 1)
      await clock.advance(60_000)
      admission.reserve(10, small).release()
      admission.reserve(10, small).release()
      assert.equal(admission.sharers, 1)
    })
  })
})
