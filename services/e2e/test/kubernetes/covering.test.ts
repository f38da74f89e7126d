import assert from 'node:assert/strict'
import { test } from 'node:test'

import { coveringCombinations } from '@tributary/e2e/kubernetes/covering'

test('each pair of settings is in one of few combinations', () => {
  const switches = {
    a: ['0', '1'],
    b: ['0', '1'],
    c: ['x', 'y', 'z'],
    d: ['0', '1'],
    e: ['0', '1'],
  }
  const combinations = coveringCombinations(switches)
  assert.ok(combinations.length < 10, `${String(combinations.length)} in place of 48`)
  const names = Object.keys(switches) as (keyof typeof switches)[]
  for (const one of names) {
    for (const other of names.filter((name) => name > one)) {
      for (const a of switches[one]) {
        for (const b of switches[other]) {
          assert.ok(combinations.some((made) => made[one] === a && made[other] === b))
        }
      }
    }
  }
})
