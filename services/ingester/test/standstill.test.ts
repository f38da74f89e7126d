import assert from 'node:assert/strict'
import { test } from 'node:test'

import { AppError } from '@tributary/common/errors'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'

import { Standstill } from '../src/standstill.ts'

const full = new AppError('log_full', 'no space for the log')

test('a standstill begins when all was refused for seconds, and ends with the first batch stored', async () => {
  const clock = new VirtualClock()
  const standstill = new Standstill(clock)
  assert.equal(standstill.reason, undefined)
  standstill.refused(full)
  assert.equal(standstill.reason, undefined, 'one refusal is none')
  await clock.advance(4000)
  standstill.refused(full)
  await clock.advance(1000)
  assert.equal(standstill.reason, full)
  standstill.stored()
  assert.equal(standstill.reason, undefined)
})

test('overload, in which some batches get through, is no standstill', async () => {
  const clock = new VirtualClock()
  const standstill = new Standstill(clock)
  for (let second = 0; second < 60; second++) {
    standstill.refused(full)
    await clock.advance(1000)
    if (second % 4 === 3) standstill.stored()
    assert.equal(standstill.reason, undefined)
  }
})

test('a standstill that keeps everybody away ends by itself, and is back with the next refusal', async () => {
  const clock = new VirtualClock()
  const standstill = new Standstill(clock)
  standstill.refused(full)
  await clock.advance(5000)
  assert.equal(standstill.reason, full)
  await clock.advance(5000)
  assert.equal(standstill.reason, undefined)
  standstill.refused(full)
  assert.equal(standstill.reason, full)
})
