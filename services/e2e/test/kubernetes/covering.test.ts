import assert from 'node:assert/strict'
import { test } from 'node:test'

import { coveringCombinations } from '@tributary/e2e/kubernetes/covering'

const SWITCHES = {
  a: ['0', '1'],
  b: ['0', '1'],
  c: ['x', 'y', 'z'],
  d: ['0', '1'],
  e: ['0', '1'],
}
type Name = keyof typeof SWITCHES
const NAMES = Object.keys(SWITCHES) as Name[]

test('each pair of settings is in one of few combinations', () => {
  const combinations = coveringCombinations(SWITCHES)
  assert.ok(combinations.length < 10, `${String(combinations.length)} in place of 48`)
  for (const one of NAMES) {
    for (const other of NAMES.filter((name) => name > one)) {
      for (const a of SWITCHES[one]) {
        for (const b of SWITCHES[other]) {
          assert.ok(combinations.some((made) => made[one] === a && made[other] === b))
        }
      }
    }
  }
})

test('each three settings are, where three are asked for', () => {
  const combinations = coveringCombinations(SWITCHES, 3)
  assert.ok(combinations.length < 30, `${String(combinations.length)} in place of 48`)
  const threes = NAMES.flatMap((x) => NAMES.flatMap((y) => NAMES.map((z) => [x, y, z] as const)))
  for (const [x, y, z] of threes.filter(([x, y, z]) => x < y && y < z)) {
    for (const a of SWITCHES[x]) {
      for (const b of SWITCHES[y]) {
        for (const c of SWITCHES[z]) {
          const isThere = combinations.some(
            (made) => made[x] === a && made[y] === b && made[z] === c,
          )
          assert.ok(isThere, `${x}=${a} ${y}=${b} ${z}=${c}`)
        }
      }
    }
  }
})

test('a number of switches at once that gives no combination is refused', () => {
  for (const strength of [0, 1.5, NaN, NAMES.length + 1]) {
    assert.throws(() => coveringCombinations(SWITCHES, strength), assert.AssertionError)
  }
})
