/**
 * The simulated cluster (src/simulation): some hundred seeds without a violation, the same seed the same
 * run, and every deliberate bug found. `npm run simulate` is the long form; SIMULATION_SEEDS more seeds.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { BUGS } from '../src/simulation/bugs.ts'
import { runSeed } from '../src/simulation/simulate.ts'

const SEEDS = Number(process.env['SIMULATION_SEEDS'] ?? 300)
/** Of the seeds of README.md the last first detection, and some more. */
const BUG_SEEDS_MAX = 1000

describe('a simulated cluster', () => {
  const { stackTraceLimit } = Error
  before(() => {
    Error.stackTraceLimit = 0
  })
  after(() => {
    Error.stackTraceLimit = stackTraceLimit
  })

  it(`holds every invariant under ${String(SEEDS)} seeds`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violations } = await runSeed(seed)
      assert.deepEqual(violations, [], `seed ${String(seed)}`)
    }
  })

  it('runs the same for the same seed, and otherwise for another', async () => {
    const hashes = new Set<string>()
    for (const seed of [1, 2, 3, 17, 4711]) {
      const first = await runSeed(seed)
      const second = await runSeed(seed)
      assert.deepEqual(second, first)
      assert.ok(first.events > 10)
      hashes.add(first.traceHash)
    }
    assert.equal(hashes.size, 5)
  })

  for (const [bug, { what }] of Object.entries(BUGS)) {
    it(`finds the bug ${bug}: ${what}`, async () => {
      for (let seed = 1; seed <= BUG_SEEDS_MAX; seed++) {
        if ((await runSeed(seed, { bug })).violations.length > 0) return
      }
      assert.fail(`not found by ${String(BUG_SEEDS_MAX)} seeds`)
    })
  }
})
