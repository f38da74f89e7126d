/**
 * What the standalone process takes beside the load: memory per unflushed record over its OTLP bytes
 * (and at the peak of its flush), the time from a kill to ready per gigabyte of log, and what an idle
 * process costs.
 *
 *     node services/e2e/bench/process.bench.ts [--runs 3] [--json FILE] [memory] [recovery] [idle]
 */
import {
  benchRow,
  finishBench,
  isWanted,
  parseBenchFlags,
  type BenchRow,
} from '@tributary/common/bench/bench-harness'
import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { PayloadPool } from '../src/load/payload-pool.ts'
import { resetPeakRss, usageOf } from './process-usage.ts'
import { poolOf, StandaloneSession, type LoadShape } from './standalone-session.ts'

/** Nothing is flushed until the bench says so. */
const HOLD_FLAGS = [
  '--flush-interval=1h',
  '--flush-bytes=2GiB',
  '--memtable-bytes-max=4GiB',
  '--wal-bytes-max=16GiB',
]
const UNFLUSHED_BYTES = 'tributary_ingester_unflushed_bytes'
const SEND_SECONDS = 0.1
const GRPC: LoadShape = { transport: 'grpc', connections: 16, inFlight: 64 }

const flags = parseBenchFlags({ runs: 3, seconds: 10 }, { 'idle-seconds': 30 })
const seconds = flags.isSmoke ? 0.3 : flags.seconds

/** What a flush holds by default: `--flush-bytes`. */
const FLUSH_BYTES = flags.isSmoke ? 64 * 1024 : 64 * 2 ** 20
/** Small flushes first, until the process has its working size: what it grows by afterwards are rows. */
const WARM_FLUSHES = 6
const WARM_BYTES = FLUSH_BYTES / 8

/** Requests of 1, 10 and 1,000 records: a whole flush's worth held in memory, then flushed. */
async function benchMemory(records: number): Promise<BenchRow> {
  const samples: Record<string, number[]> = {}
  for (let run = 0; run < flags.runs; run++) {
    const resources = Math.min(10, records)
    const poolRequests = flags.isSmoke ? 20 : Math.ceil(20_000 / records)
    const pool = poolOf({ signal: 'logs', records, resources, requests: poolRequests })
    const session = await StandaloneSession.start(HOLD_FLAGS)
    try {
      for (let warm = 0; warm < WARM_FLUSHES; warm++) {
        await sendUntilHeld(session, pool, WARM_BYTES)
        await session.settle()
      }
      resetPeakRss(session.pid)
      const rssBefore = usageOf(session.pid).rssBytes
      const requests = await sendUntilHeld(session, pool, FLUSH_BYTES)
      const otlpBytes = (requests * pool.bytes) / pool.requests
      const accountedBytes = await session.metric(UNFLUSHED_BYTES)
      const held = usageOf(session.pid)
      await session.settle()
      const flushed = usageOf(session.pid)
      await session.verify()
      push(samples, {
        accountedBytesPerOtlpByte: accountedBytes / otlpBytes,
        rssGrowthPerOtlpByte: (held.rssBytes - rssBefore) / otlpBytes,
        peakRssGrowthPerOtlpByte: (flushed.peakRssBytes - rssBefore) / otlpBytes,
        accountedBytesPerRecord: accountedBytes / (requests * records),
        otlpMb: otlpBytes / 1e6,
        peakRssMb: flushed.peakRssBytes / 1e6,
      })
    } finally {
      await session.stop()
    }
  }
  return benchRow(`memory, ${records} records per request`, samples)
}

/** Sends until so many bytes are unflushed; the requests that it took. */
async function sendUntilHeld(
  session: StandaloneSession,
  pool: PayloadPool,
  bytes: number,
): Promise<number> {
  let requests = 0
  do {
    const load = await session.send(pool, GRPC, SEND_SECONDS)
    assert.deepEqual(load.failures, {})
    requests += load.requests
  } while ((await session.metric(UNFLUSHED_BYTES)) < bytes)
  return requests
}

/** kill -9 with a full log; the restart reads it back, by default settings or flushing nothing. */
async function benchRecovery(name: string, restartFlags: readonly string[]): Promise<BenchRow> {
  const samples: Record<string, number[]> = {}
  const pool = poolOf({
    signal: 'logs',
    records: 1000,
    resources: 10,
    requests: flags.isSmoke ? 20 : 100,
  })
  for (let run = 0; run < flags.runs; run++) {
    const session = await StandaloneSession.start(HOLD_FLAGS)
    try {
      const emptySeconds = await session.crashAndRestart(HOLD_FLAGS)
      await session.send(pool, { ...GRPC, inFlight: 8 }, seconds)
      const logBytes = folderBytes(join(session.dataDir, 'wal'))
      const readySeconds = await session.crashAndRestart(restartFlags)
      const peakRssMb = usageOf(session.pid).peakRssBytes / 1e6
      await session.verify()
      push(samples, {
        secondsPerGb: (readySeconds - emptySeconds) / (logBytes / 1e9),
        readySeconds,
        emptySeconds,
        logMb: logBytes / 1e6,
        peakRssMb,
      })
    } finally {
      await session.stop()
    }
  }
  return benchRow(`recovery, ${name}`, samples)
}

function folderBytes(folder: string): number {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const bytes = names.reduce((sum, name) => {
    const stat = statSync(join(folder, name))
    return stat.isFile() ? sum + stat.size : sum
  }, 0)
  assert.ok(bytes > 0, 'the log is in its folder')
  return bytes
}

async function benchIdle(): Promise<BenchRow> {
  const session = await StandaloneSession.start()
  try {
    await sleep(flags.isSmoke ? 0 : 3000)
    const samples: Record<string, number[]> = {}
    const idleMs = (1000 * (flags.isSmoke ? 1 : flags['idle-seconds'])) / flags.runs
    for (let run = 0; run < flags.runs; run++) {
      const before = usageOf(session.pid)
      await sleep(idleMs)
      const after = usageOf(session.pid)
      push(samples, {
        corePercent: (after.cpuUs - before.cpuUs) / 10 / idleMs,
        rssMb: after.rssBytes / 1e6,
        contextSwitchesPerSecond:
          (1000 * (after.contextSwitches - before.contextSwitches)) / idleMs,
      })
    }
    return benchRow('idle', samples)
  } finally {
    await session.stop()
  }
}

function push(lists: Record<string, number[]>, sample: Readonly<Record<string, number>>): void {
  for (const [figure, value] of Object.entries(sample)) (lists[figure] ??= []).push(value)
}

const rows: BenchRow[] = []
if (isWanted(flags, 'memory')) {
  for (const records of flags.isSmoke ? [10] : [1, 10, 1000]) rows.push(await benchMemory(records))
}
if (isWanted(flags, 'recovery')) {
  rows.push(await benchRecovery('flushing as it reads', []))
  if (!flags.isSmoke) rows.push(await benchRecovery('into memory alone', HOLD_FLAGS))
}
if (isWanted(flags, 'idle')) rows.push(await benchIdle())
finishBench('process', rows, flags)
