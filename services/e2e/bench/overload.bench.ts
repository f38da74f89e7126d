/**
 * A router and an ingester that are asked for ten times and for twice what the lines to their brokers
 * carry (src/load/overload-run.ts): what clients hear, how long an OK takes, what memory is held, and
 * after how long everything is committed; then a tenant beside another that sends fifty times as much.
 * Each run has a cluster of its own. Ends with 1 where a bound of `overload-problems.ts` does not hold.
 *
 *     node services/e2e/bench/overload.bench.ts [--runs 1] [--seconds 10] [--json FILE]
 */
import {
  benchRow,
  finishBench,
  parseBenchFlags,
  type BenchRow,
} from '@tributary/common/bench/bench-harness'

import { neighbourProblems, overloadProblems } from '../src/load/overload-problems.ts'
import { runOverload, startOverloadCluster, type OverloadResult } from '../src/load/overload-run.ts'
import { poolOf } from './standalone-session.ts'

const flags = parseBenchFlags({ runs: 1, seconds: 10 })
const results: OverloadResult[] = []
for (let run = 0; run < flags.runs; run++) {
  const cluster = await startOverloadCluster()
  const store = await cluster.parts.openStore()
  try {
    const pool = poolOf({ signal: 'logs', records: 100, resources: 4, requests: 1000 })
    const seconds = flags.isSmoke ? 2 : flags.seconds
    const shape = { cluster, store, pool, seconds, tenants: 12 }
    results.push(await runOverload({ ...shape, report: () => undefined }))
  } finally {
    await store.close()
    await cluster.stop()
  }
}
const phases = results.flatMap((result) => result.phases)
const rows = [...Map.groupBy(phases, ({ name }) => name)].map(([name, runs]): BenchRow => {
  const each = (pick: (phase: (typeof runs)[number]) => number): number[] => runs.map(pick)
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
const neighbours = Map.groupBy(
  results.flatMap((result) => result.neighbours),
  ({ name }) => name,
)
for (const [name, runs] of neighbours) {
  rows.push(
    benchRow(`a tenant ${name}`, {
      offeredPerSecond: runs.map(({ load }) => load.requests / load.seconds),
      okPerSecond: runs.map(({ load }) => load.requests / load.seconds),
      p50Ms: runs.map(({ load }) => load.latencyMs.p50),
      p99Ms: runs.map(({ load }) => load.latencyMs.p99),
      maxMs: runs.map(({ load }) => load.latencyMs.max),
      neighbourOkPerSecond: runs.map(({ neighbour }) => neighbour.requests / neighbour.seconds),
      neighbourRetryLater: runs.map(({ neighbour }) => neighbour.failures['14'] ?? 0),
      neighbourOverRate: runs.map(({ neighbour }) => neighbour.failures['8'] ?? 0),
    }),
  )
}
finishBench('overload', rows, flags)
const problems = results.flatMap((result) => [
  ...overloadProblems(result),
  ...(flags.isSmoke ? [] : neighbourProblems(result)),
])
for (const problem of problems) process.stderr.write(`! ${problem}\n`)
if (problems.length > 0) process.exitCode = 1
