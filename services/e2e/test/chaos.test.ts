import assert from 'node:assert/strict'
import { test } from 'node:test'

import { chaosTable } from '../src/chaos/chaos-report.ts'
import { runChaos } from '../src/chaos/chaos-run.ts'

/** The long form is `npm run chaos -- --standalone --minutes 10`. */
void test('a standalone process on S3 keeps every acknowledged row once under faults', async (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000)
  const result = await runChaos({
    ...{ seed, minutes: 1, roundsMax: 3, proofEvery: 3, holdMsMax: 1500 },
    ...{ isStandalone: true, routers: 0, ingesters: 0, partitions: 1 },
    ...{ clients: 5, ratePerSecond: 4, itemsMax: 40 },
    report: (line) => t.diagnostic(line),
  })
  assert.deepEqual(result.problems, [], chaosTable(result).join('\n'))
  assert.ok(result.ledger.acknowledged > 0)
})
