import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'

import { NODE_FLAGS, collectAfterStart } from '@tributary/common/collector-tuning'

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

/** Bytes of the young generation after more survivors than it could hold. */
const SURVIVORS = `
  const kept = Array.from({ length: 100_000 }, () => undefined)
  for (let i = 0; i < 3_000_000; i++) kept[i % kept.length] = { i, list: [i] }
  const spaces = process.getBuiltinModule('node:v8').getHeapSpaceStatistics()
  console.log(spaces.find((space) => space.space_name === 'new_space').space_size)`

test('NODE_FLAGS bound the young generation', () => {
  const youngBytes = (flags: readonly string[]): number => {
    const args = [...flags, '--eval', SURVIVORS]
    const child = spawnSync(process.execPath, args, { encoding: 'utf8' })
    assert.equal(child.status, 0, child.stderr)
    return Number(child.stdout)
  }
  const MIB = 2 ** 20
  assert.ok(youngBytes([]) > 64 * MIB, 'it grows beyond the bound by itself')
  assert.ok(youngBytes(NODE_FLAGS) <= 2 * 16 * MIB)
})
