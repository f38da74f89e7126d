/** The long form is `npm run bench -- overload`. */
import assert from 'node:assert/strict'
import { it } from 'node:test'

import { PayloadPool } from '../src/load/payload-pool.ts'
import { overloadProblems } from '../src/load/overload-problems.ts'
import { runOverload, startOverloadCluster } from '../src/load/overload-run.ts'

it('a cluster asked for ten times and twice what it can holds its bounds, and serves who sends little', async (t) => {
  const cluster = await startOverloadCluster()
  t.after(() => cluster.stop())
  const store = await cluster.parts.openStore()
  t.after(() => store.close())
  const startUnixNano = BigInt(Date.now()) * 1_000_000n
  const shape = { records: 100, resources: 4, requests: 1000, seed: 1, startUnixNano }
  const pool = new PayloadPool({ signal: 'logs', ...shape })
  const report = (line: string): void => t.diagnostic(line)
  const result = await runOverload({ cluster, store, pool, seconds: 1, tenants: 12, report })
  assert.deepEqual(overloadProblems(result), [])
})
