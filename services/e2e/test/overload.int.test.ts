/** The long form is `npm run bench -- overload`. */
import assert from 'node:assert/strict'
import { it } from 'node:test'

import { PayloadPool } from '../src/load/payload-pool.ts'
import { Cluster } from '../src/cluster/cluster.ts'
import { overloadProblems } from '../src/load/overload-problems.ts'
import { OVERLOAD_FLAGS, runOverload } from '../src/load/overload-run.ts'

it('a cluster asked for ten times and twice what it can holds its bounds, and a tenant its latency', async (t) => {
  const cluster = await Cluster.start({
    ...{ seed: 1, isStandalone: false, routers: 1, ingesters: 1, partitions: 6 },
    flags: OVERLOAD_FLAGS,
  })
  t.after(() => cluster.stop())
  const store = await cluster.parts.openStore()
  t.after(() => store.close())
  const startUnixNano = BigInt(Date.now()) * 1_000_000n
  const shape = { records: 100, resources: 4, requests: 1000, seed: 1, startUnixNano }
  const pool = new PayloadPool({ signal: 'logs', ...shape })
  const report = (line: string): void => t.diagnostic(line)
  const result = await runOverload({ cluster, store, pool, seconds: 2, tenants: 12, report })
  assert.deepEqual(overloadProblems(result), [])
})
