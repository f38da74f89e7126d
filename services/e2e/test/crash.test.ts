import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCrashes } from '../src/crash/crash-run.ts'

/** The long form is `npm run crash -- --cycles 300`. */
const CYCLES = 16

void test('no kill loses or doubles an acknowledged row', async (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000)
  const result = await runCrashes({
    seed,
    cycles: CYCLES,
    proofEvery: 8,
    firstPoint: seed,
    report: (line) => {
      t.diagnostic(line)
    },
  })
  assert.equal(result.kills, CYCLES)
  assert.ok(result.acknowledged > 0)
})
