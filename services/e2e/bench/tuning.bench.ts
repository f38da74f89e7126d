/**
 * What the main settings do: each measured at its default and at other values, one process or cluster
 * per value, under the load of tuning-settings.ts. Rows are counted by DuckDB, and nothing may have been
 * taken for a repeat. docs/tuning.md is made of it (tools/measured-docs.ts).
 *
 *     node services/e2e/bench/tuning.bench.ts [--runs 2] [--seconds 2] [--json FILE] [part of a row's name...]
 */
import {
  benchRow,
  finishBench,
  isWanted,
  parseBenchFlags,
  type BenchFlags,
  type BenchRow,
} from '@tributary/common/bench/bench-harness'
import assert from 'node:assert/strict'

import type { LoadResult } from '../src/load/load-run.ts'
import type { PayloadPool, PoolOptions } from '../src/load/payload-pool.ts'
import { ClusterSession, type ClusterPhase } from './cluster-session.ts'
import { poolOf, StandaloneSession, type PhaseResult } from './standalone-session.ts'
import {
  CLUSTER_SETTINGS,
  STANDALONE_SETTINGS,
  type ClusterSetting,
  type StandaloneSetting,
} from './tuning-settings.ts'

const WARM_SECONDS = 1.5
const SMOKE_SECONDS = 0.3
const SMOKE_REQUESTS = 20

let lastPool: { readonly key: string; readonly pool: PayloadPool } | undefined

/** The pool of the row before where it is the same: building one takes seconds. */
function pooled(options: Omit<PoolOptions, 'startUnixNano'>, { isSmoke }: BenchFlags): PayloadPool {
  const wanted = isSmoke ? { ...options, requests: SMOKE_REQUESTS } : options
  const key = JSON.stringify(wanted)
  if (lastPool?.key !== key) lastPool = { key, pool: poolOf(wanted) }
  return lastPool.pool
}

interface Seconds {
  readonly warm: number
  readonly run: number
}

function secondsOf(setting: { warmSeconds?: number }, flags: BenchFlags): Seconds {
  if (flags.isSmoke) return { warm: SMOKE_SECONDS, run: SMOKE_SECONDS }
  return { warm: setting.warmSeconds ?? WARM_SECONDS, run: flags.seconds }
}

async function standaloneRow(
  setting: StandaloneSetting,
  value: string,
  flags: BenchFlags,
): Promise<Parameters<typeof benchRow>[1]> {
  const pool = pooled(setting.pool, flags)
  const seconds = secondsOf(setting, flags)
  const session = await StandaloneSession.start([
    `${setting.flag}=${value}`,
    ...(setting.beside ?? []),
  ])
  try {
    // the first flush of a process costs four times the others
    for (let warm = 0; warm < 2; warm++) await session.measure(pool, setting.load, seconds.warm)
    const before = await written(session)
    const phases: PhaseResult[] = []
    for (let run = 0; run < flags.runs; run++) {
      phases.push(await session.measure(pool, setting.load, seconds.run))
    }
    const after = await written(session)
    await session.verify()
    const records = phases.reduce((sum, { load }) => sum + load.records, 0)
    return {
      cpuUsPerRecord: phases.map(({ used, load }) => used.cpuUs / load.records),
      ...loadFigures(phases),
      peakRssMb: phases.map(({ used }) => used.peakRssBytes / 1e6),
      fileBytesPerRecord: (after.bytes - before.bytes) / records,
      filesPerMillionRecords: (1e6 * (after.files - before.files)) / records,
    }
  } finally {
    await session.stop()
  }
}

async function written(session: StandaloneSession) {
  return {
    bytes: await session.metric('tributary_ingester_file_bytes_total'),
    files: await session.metric('tributary_ingester_files_total'),
  }
}

async function clusterRow(
  setting: ClusterSetting,
  value: string,
  flags: BenchFlags,
): Promise<Parameters<typeof benchRow>[1]> {
  const pool = pooled(setting.pool, flags)
  const seconds = secondsOf(setting, flags)
  const { role, flag, shape, load } = setting
  const session = await ClusterSession.start({
    ...shape,
    flags: { [role]: [`${flag}=${value}`, ...(setting.beside ?? [])] },
  })
  try {
    for (let warm = 0; warm < 2; warm++) await session.measure(pool, load, seconds.warm)
    const phases: ClusterPhase[] = []
    for (let run = 0; run < flags.runs; run++) {
      const phase = await session.measure(pool, load, seconds.run)
      assert.equal(phase.counts.suppressed, 0, 'no load was taken for a repeat')
      phases.push(phase)
    }
    await session.verify()
    return clusterFigures(phases, pool)
  } finally {
    await session.stop()
  }
}

function clusterFigures(phases: readonly ClusterPhase[], pool: PayloadPool) {
  const each = (pick: (phase: ClusterPhase) => number): number[] => phases.map(pick)
  const perRecord = (pick: (phase: ClusterPhase) => number): number[] =>
    each((phase) => pick(phase) / phase.load.records)
  const bytesPerRecord = pool.bytes / pool.requests / pool.records
  return {
    cpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.router + cpuUs.ingester),
    routerCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.router),
    ingesterCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.ingester),
    brokerCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.broker),
    ...loadFigures(phases),
    settledRecordsPerSecond: each(({ load, settledSeconds }) => load.records / settledSeconds),
    producesPerSecond: each(({ counts, load }) => counts.produces / load.seconds),
    kilobytesPerProduce: each(({ counts }) => counts.producedBytes / 1000 / counts.produces),
    kafkaBytesPerRecord: perRecord(({ counts }) => counts.producedBytes),
    fileBytesPerRecord: perRecord(({ counts }) => counts.fileBytes),
    commits: each(({ counts }) => counts.commits),
    files: each(({ counts }) => counts.files),
    bucketPutsPerGb: each(
      ({ counts, load }) =>
        (1e9 * (counts.puts + counts.filePuts)) / (load.records * bytesPerRecord),
    ),
  }
}

function loadFigures(phases: readonly { readonly load: LoadResult }[]) {
  const each = (pick: (load: LoadResult) => number): number[] =>
    phases.map(({ load }) => pick(load))
  return {
    recordsPerSecond: each(({ records, seconds }) => records / seconds),
    p50Ms: each(({ latencyMs }) => latencyMs.p50),
    p99Ms: each(({ latencyMs }) => latencyMs.p99),
    failuresPercent: each(({ failures, requests }) => {
      const failed = Object.values(failures).reduce((sum, count) => sum + count, 0)
      return (100 * failed) / (failed + requests)
    }),
  }
}

interface Measured {
  readonly flag: string
  readonly values: readonly string[]
}

/** A row per value, each compared with the default. */
async function measureAll<Setting extends Measured>(
  who: string,
  settings: readonly Setting[],
  flags: BenchFlags,
  measure: (setting: Setting, value: string, flags: BenchFlags) => ReturnType<typeof clusterRow>,
): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  for (const setting of settings) {
    const nameOf = (value: string): string => `${who} ${setting.flag} ${value}`
    const [standard] = setting.values
    // the least of each is proved by the smoke run
    const values = flags.isSmoke ? setting.values.slice(-1) : setting.values
    for (const value of values) {
      if (!isWanted(flags, nameOf(value))) continue
      const figures = await measure(setting, value, flags)
      rows.push(
        benchRow(nameOf(value), figures, value === standard ? undefined : nameOf(standard!)),
      )
      process.stdout.write(`${nameOf(value)}\n`)
    }
  }
  return rows
}

const flags = parseBenchFlags({ runs: 2, seconds: 2 })
finishBench(
  'tuning',
  [
    ...(await measureAll('standalone', STANDALONE_SETTINGS, flags, standaloneRow)),
    ...(await measureAll('cluster', CLUSTER_SETTINGS, flags, clusterRow)),
  ],
  flags,
)
