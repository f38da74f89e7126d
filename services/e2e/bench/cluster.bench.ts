/**
 * The cluster end to end: client, router, one broker, ingester, S3 server and Redis on this machine's
 * cores. CPU of router and ingester apart, after everything was committed; then how it grows with
 * streams, tenants and partitions; then how long a takeover and a handover take.
 *
 *     node services/e2e/bench/cluster.bench.ts [--runs 2] [--seconds 8] [--json FILE] [part of a row's name...]
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
import { setTimeout as sleep } from 'node:timers/promises'

import { handOverPausesMs } from '../src/cluster/partition-events.ts'
import type { PayloadPool, PoolOptions } from '../src/load/payload-pool.ts'
import { ClusterSession, type ClusterLoad, type ClusterPhase } from './cluster-session.ts'
import { poolOf } from './standalone-session.ts'

const WARM_SECONDS = 4
const SMOKE_SECONDS = 0.3
const SMOKE_REQUESTS = 20

interface Scenario {
  readonly pool: Omit<PoolOptions, 'startUnixNano'>
  readonly load: ClusterLoad
  readonly partitions: number
  readonly isSmoke?: boolean
}

/** 400,000 different rows: about what one flush holds. */
const LOGS = { signal: 'logs', records: 1000, resources: 10, requests: 400 } as const
/** Each request has the records of so many streams. */
const MANY = { ...LOGS, resources: 100, requests: 200 } as const
const SATURATED: ClusterLoad = { connections: 4, inFlight: 16 }
const OPEN_IN_FLIGHT = 380

function atRate(rate: number): ClusterLoad {
  return { connections: 4, inFlight: OPEN_IN_FLIGHT, rate }
}

/** Of growth: below what saturates, so that all rows do the same work in the same time. */
const STEADY = atRate(40)
/** A tenant and signal of this rate has one partition; as many tenants as this use all of them. */
const HUNDRED: ClusterLoad = { ...STEADY, tenants: 100 }

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  saturated: { pool: LOGS, load: SATURATED, partitions: 6, isSmoke: true },
  'open loop 100 requests/s': { pool: LOGS, load: atRate(100), partitions: 6 },
  'open loop 50 requests/s': { pool: LOGS, load: atRate(50), partitions: 6 },
  '10 streams': { pool: LOGS, load: STEADY, partitions: 6 },
  '1,000 streams': { pool: { ...MANY, resourcesInAll: 1000 }, load: STEADY, partitions: 6 },
  '10,000 streams': { pool: { ...MANY, resourcesInAll: 10_000 }, load: STEADY, partitions: 6 },
  '100,000 streams': {
    pool: { ...LOGS, resources: 500, resourcesInAll: 100_000, requests: 200 },
    load: STEADY,
    partitions: 6,
  },
  '1 tenant, 96 partitions': { pool: LOGS, load: STEADY, partitions: 96 },
  '100 tenants, 96 partitions': { pool: LOGS, load: HUNDRED, partitions: 96 },
  '1,000 tenants, 96 partitions': {
    pool: LOGS,
    load: { ...STEADY, tenants: 1000 },
    partitions: 96,
  },
  '100 tenants, 24 partitions': { pool: LOGS, load: HUNDRED, partitions: 24 },
  '100 tenants, 6 partitions': { pool: LOGS, load: HUNDRED, partitions: 6 },
}

/** Which row a scenario is compared with. */
const COMPARED_WITH: Readonly<Record<string, string>> = {
  '1,000 streams': '10 streams',
  '10,000 streams': '10 streams',
  '100,000 streams': '10 streams',
  '100 tenants, 96 partitions': '1 tenant, 96 partitions',
  '1,000 tenants, 96 partitions': '1 tenant, 96 partitions',
}

const OWNERS = 'owners: takeover after kill -9, and handover'
const OWNERS_PARTITIONS = 12
const OWNERS_RATE = 20
const OWNERS_SETTLE_MS = 3000

let lastPool: { readonly key: string; readonly pool: PayloadPool } | undefined

/** The pool of the scenario before where it is the same: building one takes seconds. */
function pooled(options: Scenario['pool']): PayloadPool {
  const key = JSON.stringify(options)
  if (lastPool?.key !== key) lastPool = { key, pool: poolOf(options) }
  return lastPool.pool
}

async function benchScenario(name: string, scenario: Scenario, flags: BenchFlags) {
  const { isSmoke } = flags
  const { pool: options, load, partitions } = scenario
  const pool = pooled(isSmoke ? { ...options, requests: SMOKE_REQUESTS } : options)
  const session = await ClusterSession.start({ partitions, ingesters: 1 })
  try {
    // the first flush of a process costs four times the others
    const warmSeconds = isSmoke ? SMOKE_SECONDS : WARM_SECONDS / 2
    for (let warm = 0; warm < 2; warm++) await session.measure(pool, load, warmSeconds)
    const phases: ClusterPhase[] = []
    for (let run = 0; run < flags.runs; run++) {
      phases.push(await session.measure(pool, load, isSmoke ? SMOKE_SECONDS : flags.seconds))
    }
    await session.verify()
    return benchRow(name, figuresOf(phases, pool), COMPARED_WITH[name])
  } finally {
    await session.stop()
  }
}

function figuresOf(phases: readonly ClusterPhase[], pool: PayloadPool) {
  const each = (pick: (phase: ClusterPhase) => number): number[] => phases.map(pick)
  const perRecord = (pick: (phase: ClusterPhase) => number): number[] =>
    phases.map((phase) => pick(phase) / phase.load.records)
  for (const { counts } of phases)
    assert.equal(counts.suppressed, 0, 'no load was taken for a repeat')
  return {
    cpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.router + cpuUs.ingester),
    routerCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.router),
    ingesterCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.ingester),
    brokerCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.broker),
    storeCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.store),
    clientCpuUsPerRecord: perRecord(({ cpuUs }) => cpuUs.client),
    recordsPerSecond: each(({ load }) => load.records / load.seconds),
    settledRecordsPerSecond: each(({ load, settledSeconds }) => load.records / settledSeconds),
    p50Ms: each(({ load }) => load.latencyMs.p50),
    p99Ms: each(({ load }) => load.latencyMs.p99),
    p999Ms: each(({ load }) => load.latencyMs.p999),
    failures: each(({ load }) => Object.values(load.failures).reduce((sum, n) => sum + n, 0)),
    otlpBytesPerRecord: pool.bytes / pool.requests / pool.records,
    kafkaBytesPerRecord: perRecord(({ counts }) => counts.producedBytes),
    fileBytesPerRecord: perRecord(({ counts }) => counts.fileBytes),
    kilobytesPerProduce: each(({ counts }) => counts.producedBytes / 1000 / counts.produces),
    producesPerSecond: each(({ counts, load }) => counts.produces / load.seconds),
    files: each(({ counts }) => counts.files),
    commits: each(({ counts }) => counts.commits),
    routerPeakRssMb: each(({ peakRssBytes }) => peakRssBytes.router / 1e6),
    ingesterPeakRssMb: each(({ peakRssBytes }) => peakRssBytes.ingester / 1e6),
  }
}

/** Under load: one of three ingesters is killed, comes back, and another is told to stop. */
async function benchOwners(flags: BenchFlags): Promise<BenchRow> {
  const pool = pooled(flags.isSmoke ? { ...LOGS, requests: SMOKE_REQUESTS } : LOGS)
  const session = await ClusterSession.start({ partitions: OWNERS_PARTITIONS, ingesters: 3 })
  try {
    const [first, second] = session.ingesters
    const stop = new AbortController()
    const sending = keepSending(session, pool, stop.signal)
    await sleep(OWNERS_SETTLE_MS)
    const killedUnixMs = Date.now()
    await first!.kill()
    const owned = await session.untilOwned(killedUnixMs, OWNERS_PARTITIONS / 3)
    const takeoverMs = Math.max(...owned) - killedUnixMs
    await sleep(OWNERS_SETTLE_MS)
    await session.startIngester('ingester-1')
    await sleep(2 * OWNERS_SETTLE_MS)
    const stopUnixMs = performance.now()
    assert.equal(await second!.stop(), 0)
    const drainMs = performance.now() - stopUnixMs
    await sleep(OWNERS_SETTLE_MS)
    stop.abort()
    const slowestMs = await sending
    const pauses = handOverPausesMs(session.ingesters.map(({ log }) => log))
    await session.verify()
    return benchRow(OWNERS, {
      ...{ takeoverMs, handOverPauseMs: pauses, handOverPauseMaxMs: Math.max(...pauses), drainMs },
      slowestOkMs: slowestMs,
    })
  } finally {
    await session.stop()
  }
}

/** @returns the slowest acknowledgement, milliseconds */
async function keepSending(
  session: ClusterSession,
  pool: PayloadPool,
  signal: AbortSignal,
): Promise<number> {
  let slowestMs = 0
  while (!signal.aborted) {
    const { latencyMs, failures } = await session.send(pool, atRate(OWNERS_RATE), 1)
    assert.deepEqual(failures, {}, 'routers are not in the way of owners')
    slowestMs = Math.max(slowestMs, latencyMs.max)
  }
  return slowestMs
}

const flags = parseBenchFlags({ runs: 2, seconds: 8 })
const rows: BenchRow[] = []
for (const [name, scenario] of Object.entries(SCENARIOS)) {
  if (!isWanted(flags, name) || (flags.isSmoke && scenario.isSmoke !== true)) continue
  rows.push(await benchScenario(name, scenario, flags))
}
if (isWanted(flags, OWNERS) && !flags.isSmoke) rows.push(await benchOwners(flags))
finishBench('cluster', rows, flags)
