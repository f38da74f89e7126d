import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'

import { collectAfterStart } from '@tributary/common/collector-tuning'

test('collectAfterStart frees what nothing holds any more', async () => {
  const garbage = new WeakRef(Array.from({ length: 100_000 }, (_, i) => ({ i })))
  const kept = { value: 1 }
  const keptRef = new WeakRef(kept)
  // what a WeakRef was made of in this turn is held until its end
  await nextTurn()
  collectAfterStart()
  assert.equal(garbage.deref(), undefined)
  assert.equal(keptRef.deref(), kept)
})
