/**
 * What a cluster needs by record, by commit and by partition, so that one can be laid out: CPU of router and
 * ingester, bytes in Kafka and in files, memory, requests to the bucket. docs/sizing.md is made of it
 * (tools/measured-docs.ts).
 *
 *     node services/e2e/bench/sizing.bench.ts [--runs 2] [--seconds 2] [--json FILE] [part of a row's name...]
 */
import {
  benchRow,
  finishBench,
  isWanted,
  parseBenchFlags,
  type BenchRow,
} from '@tributary/common/bench/bench-harness'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import type { PayloadPool, PoolOptions } from '../src/load/payload-pool.ts'
import { ClusterSession, type ClusterLoad, type ClusterPhase } from './cluster-session.ts'
import { poolOf } from './standalone-session.ts'

const WARM_SECONDS = 1.5
const SMOKE_SECONDS = 0.3
const SMOKE_REQUESTS = 20
const HEAR_MS = 100
const PARTITIONS = 12
const TENANTS = 12
/** What a start does is over: partitions are taken after 7 s, when leases are not young any more. */
const QUIET_SECONDS = 20
/** The file index is asked once a minute. */
const IDLE_SECONDS = 60

interface RecordLoad {
  readonly pool: Omit<PoolOptions, 'startUnixNano'>
  readonly load: ClusterLoad
}

const THOUSAND = { records: 1000, resources: 10, requests: 400 } as const
const LOGS = { signal: 'logs', ...THOUSAND } as const
const SATURATED: ClusterLoad = { connections: 4, inFlight: 16, tenants: TENANTS }
const WIDE: ClusterLoad = { connections: 16, inFlight: 64, tenants: TENANTS }
const STEADY: ClusterLoad = { connections: 4, inFlight: 380, tenants: TENANTS }

/** From the lightest to the heaviest: they share a cluster, and memory that was taken stays. */
const RECORD_LOADS: Readonly<Record<string, RecordLoad>> = {
  'logs, 1,000 a request, 10,000/s': { pool: LOGS, load: { ...STEADY, rate: 10 } },
  'logs, 1,000 a request, 40,000/s': { pool: LOGS, load: { ...STEADY, rate: 40 } },
  'logs, 1,000 a request, saturated': { pool: LOGS, load: SATURATED },
  'logs, 100 a request, saturated': {
    pool: { ...LOGS, records: 100, requests: 4000 },
    load: WIDE,
  },
  'logs, 10 a request, saturated': {
    pool: { signal: 'logs', records: 10, requests: 20_000 },
    load: WIDE,
  },
  'spans, 1,000 a request, saturated': {
    pool: { signal: 'spans', ...THOUSAND },
    load: SATURATED,
  },
  'metric points, 1,000 a request, saturated': {
    pool: { signal: 'metrics', ...THOUSAND },
    load: SATURATED,
  },
}

const flags = parseBenchFlags({ runs: 2, seconds: 2 })
const seconds = flags.isSmoke ? SMOKE_SECONDS : flags.seconds

let lastPool: { readonly key: string; readonly pool: PayloadPool } | undefined

/** The pool of the row before where it is the same: building one takes seconds. */
function pooled(options: RecordLoad['pool']): PayloadPool {
  const wanted = flags.isSmoke ? { ...options, requests: SMOKE_REQUESTS } : options
  const key = JSON.stringify(wanted)
  if (lastPool?.key !== key) lastPool = { key, pool: poolOf(wanted) }
  return lastPool.pool
}

async function recordRows(loads: readonly (readonly [string, RecordLoad])[]): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  const session = await ClusterSession.start({ partitions: PARTITIONS, ingesters: 1 })
  try {
    for (const [name, load] of loads) {
      rows.push(await recordRow(session, name, load))
      process.stdout.write(`${name}\n`)
    }
    await session.verify()
  } finally {
    await session.stop()
  }
  return rows
}

async function recordRow(
  session: ClusterSession,
  name: string,
  { pool: options, load }: RecordLoad,
): Promise<BenchRow> {
  const pool = pooled(options)
  // it took seconds in one go: hear of connections that were closed meanwhile before one is used
  await sleep(HEAR_MS)
  const warmSeconds = flags.isSmoke ? SMOKE_SECONDS : WARM_SECONDS
  // the first flush of a process costs four times the others
  for (let warm = 0; warm < 2; warm++) await session.measure(pool, load, warmSeconds)
  const phases: ClusterPhase[] = []
  for (let run = 0; run < flags.runs; run++) {
    const phase = await session.measure(pool, load, seconds)
    assert.equal(phase.counts.suppressed, 0, 'no load was taken for a repeat')
    phases.push(phase)
  }
  const perRecord = (pick: (phase: ClusterPhase) => number): number[] =>
    phases.map((phase) => pick(phase) / phase.load.records)
  return benchRow(name, {
    routerCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.router),
    ingesterCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.ingester),
    brokerCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.broker),
    recordsPerSecond: phases.map(({ load: { records, seconds: time } }) => records / time),
    otlpBytesPerRecord: pool.bytes / pool.requests / pool.records,
    kafkaBytesPerRecord: perRecord(({ counts }) => counts.producedBytes),
    fileBytesPerRecord: perRecord(({ counts }) => counts.fileBytes),
    routerPeakRssMb: phases.map(({ peakRssBytes }) => peakRssBytes.router / 1e6),
    ingesterPeakRssMb: phases.map(({ peakRssBytes }) => peakRssBytes.ingester / 1e6),
    failures: phases.map(({ load: { failures } }) =>
      Object.values(failures).reduce((sum, count) => sum + count, 0),
    ),
  })
}

const COMMIT_ROW = 'requests to the bucket by commit'
const IDLE_ROW = 'an idle cluster'

/** Freshness is told so seldom in one, and each second in the other, that each counts one thing. */
async function bucketRows(): Promise<BenchRow[]> {
  const pool = pooled(LOGS)
  const rows: BenchRow[] = []
  const session = await ClusterSession.start({
    ...{ partitions: PARTITIONS, ingesters: 1 },
    flags: { ingester: ['--freshness-interval=1h', '--flush-interval=500ms'] },
  })
  try {
    const load = { ...STEADY, rate: 40 }
    await session.measure(pool, load, flags.isSmoke ? SMOKE_SECONDS : WARM_SECONDS)
    const { counts } = await session.measure(pool, load, 2 * seconds)
    rows.push(
      benchRow(COMMIT_ROW, {
        filesPerCommit: counts.files / counts.commits,
        filePutsPerFile: counts.filePuts / counts.files,
        putsPerCommit: counts.puts / counts.commits,
        getsPerCommit: counts.gets / counts.commits,
        headsPerCommit: counts.heads / counts.commits,
        listsPerCommit: counts.lists / counts.commits,
        commits: counts.commits,
      }),
    )
    await session.verify()
  } finally {
    await session.stop()
  }
  return [...rows, await idleRow()]
}

async function idleRow(): Promise<BenchRow> {
  const session = await ClusterSession.start({
    ...{ partitions: PARTITIONS, ingesters: 1 },
    flags: { ingester: ['--freshness-interval=1s'] },
  })
  try {
    const idleSeconds = flags.isSmoke ? 2 : IDLE_SECONDS
    await session.idle(flags.isSmoke ? 0 : QUIET_SECONDS)
    const { counts, cpuUs } = await session.idle(idleSeconds)
    const perSecond = (count: number): number => count / idleSeconds
    return benchRow(IDLE_ROW, {
      freshnessPutsPerPartitionAndInterval: perSecond(counts.puts) / PARTITIONS,
      getsPerPartitionAndHour: (3600 * perSecond(counts.gets)) / PARTITIONS,
      listsPerPartitionAndHour: (3600 * perSecond(counts.lists)) / PARTITIONS,
      routerCpuPercent: (100 * perSecond(cpuUs.router)) / 1e6,
      ingesterCpuPercent: (100 * perSecond(cpuUs.ingester)) / 1e6,
    })
  } finally {
    await session.stop()
  }
}

const rows: BenchRow[] = []
const loads = Object.entries(RECORD_LOADS).filter(([name]) => isWanted(flags, name))
if (loads.length > 0) rows.push(...(await recordRows(loads)))
if (isWanted(flags, COMMIT_ROW) || isWanted(flags, IDLE_ROW)) rows.push(...(await bucketRows()))
finishBench('sizing', rows, flags)
