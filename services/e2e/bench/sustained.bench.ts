/**
 * Ten minutes of steady load: resident set and open descriptors must stay flat. All signals at once,
 * at a rate that the machine holds with the client beside the server. Not among the benches that run
 * by default: `npm run bench -- sustained`.
 *
 *     node services/e2e/bench/sustained.bench.ts [--seconds 600] [--rate 100] [--json FILE]
 */
import {
  benchRow,
  finishBench,
  parseBenchFlags,
  type BenchRow,
} from '@tributary/common/bench/bench-harness'

import { usageOf } from './process-usage.ts'
import { poolOf, StandaloneSession, type LoadShape } from './standalone-session.ts'

const flags = parseBenchFlags(
  { runs: 1, seconds: 600 },
  /** Requests of 1,000 items per second: 80 % logs, 10 % spans, 10 % points. */
  { rate: 100 },
)
const seconds = flags.isSmoke ? 2 : flags.seconds
/** Twenty slices: the first warm up, the others are compared. */
const SLICES = 20

const SHARES = { logs: 0.8, spans: 0.1, metrics: 0.1 } as const
const pools = (['logs', 'spans', 'metrics'] as const).map((signal) =>
  poolOf({ signal, records: 1000, resources: 10, requests: flags.isSmoke ? 5 : 100 }),
)

function shapeOf(share: number): LoadShape {
  return { transport: 'grpc', connections: 4, inFlight: 300, rate: Math.max(1, flags.rate * share) }
}

const session = await StandaloneSession.start()
const rows: BenchRow[] = []
try {
  const rssMb: number[] = []
  const descriptors: number[] = []
  const p99Ms: number[] = []
  let records = 0
  let failures = 0
  const before = usageOf(session.pid)
  for (let slice = 0; slice < SLICES; slice++) {
    const loads = await Promise.all(
      pools.map((pool) => session.send(pool, shapeOf(SHARES[pool.signal]), seconds / SLICES)),
    )
    const usage = usageOf(session.pid)
    rssMb.push(usage.rssBytes / 1e6)
    descriptors.push(usage.descriptors)
    p99Ms.push(Math.max(...loads.map(({ latencyMs }) => latencyMs.p99)))
    for (const load of loads) {
      records += load.records
      failures += Object.values(load.failures).reduce((sum, count) => sum + count, 0)
    }
    process.stdout.write(
      `${((seconds * (slice + 1)) / SLICES).toFixed(0)} s: rss ${rssMb.at(-1)!.toFixed(0)} MB, ` +
        `${descriptors.at(-1)!} descriptors, p99 ${p99Ms.at(-1)!} ms\n`,
    )
  }
  await session.settle()
  const cpuUs = usageOf(session.pid).cpuUs - before.cpuUs
  await session.verify()
  const third = Math.floor(SLICES / 3)
  rows.push(
    benchRow('second third', {
      rssMb: rssMb.slice(third, 2 * third),
      descriptors: descriptors.slice(third, 2 * third),
      p99Ms: p99Ms.slice(third, 2 * third),
    }),
    benchRow('last third', {
      rssMb: rssMb.slice(-third),
      descriptors: descriptors.slice(-third),
      p99Ms: p99Ms.slice(-third),
    }),
    benchRow('all', {
      recordsPerSecond: records / seconds,
      cpuUsPerRecord: cpuUs / records,
      failures,
      peakRssMb: usageOf(session.pid).peakRssBytes / 1e6,
    }),
  )
} finally {
  await session.stop()
}
finishBench('sustained', rows, flags)
