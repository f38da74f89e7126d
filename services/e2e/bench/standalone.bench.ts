/**
 * The standalone process end to end: OTLP over loopback, acknowledged from the synced log, sorted and
 * indexed Parquet. CPU is that of the whole server after everything was committed; the client shares
 * the machine, and its CPU stands beside it.
 *
 *     node services/e2e/bench/standalone.bench.ts [--runs 3] [--seconds 8] [--json FILE] [part of a row's name...]
 */
import {
  benchRow,
  finishBench,
  isWanted,
  parseBenchFlags,
  type BenchFlags,
  type BenchRow,
} from '@tributary/common/bench/bench-harness'
import { NODE_FLAGS } from '@tributary/common/collector-tuning'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

import { runLoad } from '../src/load/load-run.ts'
import { grpcTransport } from '../src/load/load-transport.ts'
import type { PayloadPool } from '../src/load/payload-pool.ts'
import { usageOf } from './process-usage.ts'
import { COMPARED_WITH, SCENARIOS, SMALL_REQUESTS, type Scenario } from './standalone-scenarios.ts'
import { poolOf, StandaloneSession, type PhaseResult } from './standalone-session.ts'

const WARM_SECONDS = 4
const SMOKE_SECONDS = 0.3
/** Between two syncs of the log under small requests. */
const HOLD_MS = 5

function secondsOf(flags: BenchFlags): { warm: number; run: number } {
  return flags.isSmoke
    ? { warm: SMOKE_SECONDS, run: SMOKE_SECONDS }
    : { warm: WARM_SECONDS, run: flags.seconds }
}

let lastPool: { readonly key: string; readonly pool: PayloadPool } | undefined

/** The pool of the scenario before where it is the same: building one takes seconds. */
function pooled(options: Scenario['pool']): PayloadPool {
  const key = JSON.stringify(options)
  if (lastPool?.key !== key) lastPool = { key, pool: poolOf(options) }
  return lastPool.pool
}

async function benchScenario(
  name: string,
  { pool: options, shape }: Scenario,
  flags: BenchFlags,
): Promise<BenchRow> {
  const pool = pooled(flags.isSmoke ? { ...options, requests: 20 } : options)
  const session = await StandaloneSession.start()
  try {
    const seconds = secondsOf(flags)
    // the first flush of a process costs four times the others
    for (let warm = 0; warm < 2; warm++) await session.measure(pool, shape, seconds.warm / 2)
    const before = await countersOf(session)
    const stallsBefore = await session.stalls()
    const phases: PhaseResult[] = []
    for (let run = 0; run < flags.runs; run++) {
      phases.push(await session.measure(pool, shape, seconds.run))
    }
    const records = phases.reduce((sum, { load }) => sum + load.records, 0)
    const settledSeconds = phases.reduce((sum, phase) => sum + phase.settledSeconds, 0)
    const after = await countersOf(session)
    const written = {
      fileBytesPerRecord: (after.fileBytes - before.fileBytes) / records,
      filesPerFlush: (after.files - before.files) / (after.flushes - before.flushes),
      mainThreadGcPercent: (100 * (after.gcSeconds - before.gcSeconds)) / settledSeconds,
    }
    const stalls = stallFigures(stallsBefore, await session.stalls())
    await session.verify()
    const figures = { ...phaseFigures(phases, pool), ...written, ...stalls }
    return benchRow(name, figures, COMPARED_WITH[name])
  } finally {
    await session.stop()
  }
}

/** What the server counts itself. */
async function countersOf(session: StandaloneSession) {
  return {
    fileBytes: await session.metric('tributary_ingester_file_bytes_total'),
    files: await session.metric('tributary_ingester_files_total'),
    flushes: await session.metric('tributary_ingester_commits_total'),
    gcSeconds: await session.metric('nodejs_gc_duration_seconds_sum'),
  }
}

/**
 * Of the seconds between two readings of the histogram: the bound that no stall was above, and how
 * many of a hundred seconds had one above the 10 ms that our code may hold the event loop.
 */
function stallFigures(before: ReadonlyMap<number, number>, after: ReadonlyMap<number, number>) {
  const counts = [...after].map(
    ([bound, count]) => [bound, count - (before.get(bound) ?? 0)] as const,
  )
  const all = counts.at(-1)?.[1] ?? 0
  if (all === 0) return {}
  const longest = counts.find(([, count]) => count >= all)?.[0] ?? 0
  const short = counts.find(([bound]) => bound === 0.01)?.[1] ?? 0
  return {
    longestStallAtMostMs: 1000 * longest,
    secondsWithStallOver10MsPercent: (100 * (all - short)) / all,
  }
}

function phaseFigures(phases: readonly PhaseResult[], pool: PayloadPool) {
  const each = (pick: (phase: PhaseResult) => number): number[] => phases.map(pick)
  const bytesPerRequest = pool.bytes / pool.requests
  const failures = (phase: PhaseResult): number =>
    Object.values(phase.load.failures).reduce((sum, count) => sum + count, 0)
  return {
    cpuUsPerRecord: each(({ used, load }) => used.cpuUs / load.records),
    recordsPerSecond: each(({ load }) => load.records / load.seconds),
    megabytesPerSecond: each(({ load }) => (load.requests * bytesPerRequest) / 1e6 / load.seconds),
    p50Ms: each(({ load }) => load.latencyMs.p50),
    p99Ms: each(({ load }) => load.latencyMs.p99),
    p999Ms: each(({ load }) => load.latencyMs.p999),
    failures: each(failures),
    clientCpuUsPerRecord: each(({ clientCpuUs, load }) => clientCpuUs / load.records),
    peakRssMb: each(({ used }) => used.peakRssBytes / 1e6),
    contextSwitchesPerSecond: each(({ used, load }) => used.contextSwitches / load.seconds),
    writeCallsPerSecond: each(({ used, load }) => used.writeCalls / load.seconds),
    settledSeconds: each(({ settledSeconds }) => settledSeconds),
  }
}

/** 10-record requests: what the product adds to empty handlers of its own receiver. */
async function benchSmallRequests(flags: BenchFlags): Promise<BenchRow[]> {
  const floor = 'empty handler, 10-record requests, 64 connections'
  const pool = poolOf(SMALL_REQUESTS.pool)
  const { shape } = SMALL_REQUESTS
  const seconds = secondsOf(flags)
  const emptyCosts = await emptyHandlerCosts(pool, flags, seconds, 0)
  const heldCosts = await emptyHandlerCosts(pool, flags, seconds, HOLD_MS)
  const session = await StandaloneSession.start()
  try {
    await session.measure(pool, shape, seconds.warm)
    const phases: PhaseResult[] = []
    for (let run = 0; run < flags.runs; run++) {
      phases.push(await session.measure(pool, shape, seconds.run))
    }
    await session.verify()
    const cpuUsPerRequest = phases.map(({ used, load }) => used.cpuUs / load.requests)
    return [
      benchRow(
        'standalone, 10-record requests, 64 connections',
        { cpuUsPerRequest, ...phaseFigures(phases, pool) },
        floor,
      ),
      benchRow(floor, { cpuUsPerRequest: emptyCosts }),
      benchRow('empty handler that answers as a sync does, 10-record requests, 64 connections', {
        cpuUsPerRequest: heldCosts,
      }),
    ]
  } finally {
    await session.stop()
  }
}

async function emptyHandlerCosts(
  pool: PayloadPool,
  flags: BenchFlags,
  seconds: { warm: number; run: number },
  holdMs: number,
): Promise<number[]> {
  const script = join(import.meta.dirname, 'empty-receiver.ts')
  const child = spawn(process.execPath, [...NODE_FLAGS, script, String(holdMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const { connections, inFlight } = SMALL_REQUESTS.shape
    const transport = grpcTransport(`127.0.0.1:${line.toString().trim()}`, 'logs', connections)
    const costs: number[] = []
    for (let run = -1; run < flags.runs; run++) {
      const before = usageOf(child.pid!)
      const load = await runLoad({
        pool,
        transport,
        seconds: run < 0 ? seconds.warm : seconds.run,
        rate: undefined,
        inFlight,
      })
      assert.deepEqual(load.failures, {})
      if (run >= 0) costs.push((usageOf(child.pid!).cpuUs - before.cpuUs) / load.requests)
    }
    transport.close()
    return costs
  } finally {
    child.kill('SIGKILL')
  }
}

const flags = parseBenchFlags({ runs: 3, seconds: 8 })
const rows: BenchRow[] = []
for (const [name, scenario] of Object.entries(SCENARIOS)) {
  if (!isWanted(flags, name) || (flags.isSmoke && scenario.isSmoke !== true)) continue
  rows.push(await benchScenario(name, scenario, flags))
}
if (isWanted(flags, '10-record requests') && !flags.isSmoke)
  rows.push(...(await benchSmallRequests(flags)))
finishBench('standalone', rows, flags)
