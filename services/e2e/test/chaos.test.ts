import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { chaosTable } from '../src/chaos/chaos-report.ts'
import type { ChaosOptions } from '../src/chaos/chaos-run.ts'
import { runChaos } from '../src/chaos/chaos-run.ts'

const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000)
const SHORT = {
  ...{ seed, minutes: 1, holdMsMax: 1500, atOnceMin: 1, atOnceMax: 3 },
  ...{ clients: 5, ratePerSecond: 4, itemsMax: 40 },
}

/** The long form is `npm run chaos -- --minutes 10`. */
describe('faults under load', () => {
  it('lose and double nothing in a standalone process on S3', async (t) => {
    await runShort((line) => t.diagnostic(line), {
      ...{ isStandalone: true, routers: 0, ingesters: 0, partitions: 1 },
      ...{ roundsMax: 2, proofEvery: 2 },
    })
  })

  it('lose and double nothing in a cluster of routers, Kafka, Redis, ingesters and S3', async (t) => {
    await runShort((line) => t.diagnostic(line), {
      ...{ isStandalone: false, routers: 2, ingesters: 2, partitions: 4 },
      ...{ roundsMax: 3, proofEvery: 3 },
    })
  })
})

async function runShort(
  report: (line: string) => void,
  shape: Omit<ChaosOptions, keyof typeof SHORT | 'report'>,
): Promise<void> {
  const result = await runChaos({ ...SHORT, ...shape, report })
  assert.deepEqual(result.problems, [], chaosTable(result).join('\n'))
  assert.ok(result.ledger.acknowledged > 0)
}
