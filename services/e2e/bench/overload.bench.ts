/**
 * A router and an ingester that are asked for ten times and for twice what the lines to their brokers
 * carry (src/load/overload-run.ts): what clients hear, how long an OK takes, what memory is held, and
 * after how long everything is committed. Each run has a cluster of its own.
 *
 *     node services/e2e/bench/overload.bench.ts [--runs 1] [--seconds 5] [--json FILE]
 */
import {
  benchRow,
  finishBench,
  parseBenchFlags,
  type BenchRow,
} from '@tributary/common/bench/bench-harness'

import { Cluster } from '../src/cluster/cluster.ts'
import { runOverload, type OverloadPhase } from '../src/load/overload-run.ts'
import { poolOf } from './standalone-session.ts'

const flags = parseBenchFlags({ runs: 1, seconds: 5 })
const phases: OverloadPhase[] = []
for (let run = 0; run < flags.runs; run++) {
  const cluster = await Cluster.start({
    ...{ seed: 1, isStandalone: false, routers: 1, ingesters: 1, partitions: 6 },
  })
  const store = await cluster.parts.openStore()
  const pool = poolOf({ signal: 'logs', records: 100, resources: 4, requests: 600 })
  const seconds = flags.isSmoke ? 1 : flags.seconds
  const shape = { cluster, store, pool, seconds, tenants: 12 }
  phases.push(...(await runOverload({ ...shape, report: () => undefined })))
  await store.close()
  await cluster.stop()
}
const rows = [...Map.groupBy(phases, ({ name }) => name)].map(([name, runs]): BenchRow => {
  const each = (pick: (phase: OverloadPhase) => number): number[] => runs.map(pick)
  const failed = (status: string) => each(({ load }) => load.failures[status] ?? 0)
  return benchRow(name, {
    offeredPerSecond: each(({ rate, load }) => rate ?? load.requests / load.seconds),
    okPerSecond: each(({ load }) => load.requests / load.seconds),
    retryLater: failed('14'),
    unsent: failed('unsent'),
    p50Ms: each(({ load }) => load.latencyMs.p50),
    p99Ms: each(({ load }) => load.latencyMs.p99),
    maxMs: each(({ load }) => load.latencyMs.max),
    routerPeakRssMb: each(({ peakRssBytes }) => peakRssBytes.router / 1e6),
    ingesterPeakRssMb: each(({ peakRssBytes }) => peakRssBytes.ingester / 1e6),
    drainSeconds: each(({ drainSeconds }) => drainSeconds),
  })
})
finishBench('overload', rows, flags)
