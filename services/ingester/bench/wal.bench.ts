/**
 * The log under load: in the main thread (asynchronous calls) against a worker thread (synchronous
 * calls), with and without a pause between fdatasyncs; then its replay. Every row is read back.
 *
 *     node services/ingester/bench/wal.bench.ts [--runs 3] [--seconds 1]
 *         [--bytes 157000] [--replay-mb 512] [--json FILE] [part of a row's name...]
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

import {
  benchRow,
  finishBench,
  isWanted,
  parseBenchFlags,
  type BenchRow,
} from '@tributary/common/bench/bench-harness'
import { systemClock } from '@tributary/common/clock'
import { nodeFileSystem } from '@tributary/common/file-system'
import type { FileSystem } from '@tributary/common/file-system'
import { createLogger } from '@tributary/common/logger'

import { Wal } from '../src/wal/wal.ts'
import type { WalOptions } from '../src/wal/wal.ts'

/** Appends a second at 70 MB/s: what one core takes in. */
const OPEN_LOOP_PER_SECOND = 450

interface LoadSample {
  readonly appendsPerSecond: number
  readonly syncsPerSecond: number | undefined
  readonly cpuUsPerAppend: number
  readonly mainThreadUsPerAppend: number
  readonly p50Ms: number
  readonly p99Ms: number
}

interface Subject {
  append(payload: Uint8Array): Promise<unknown>
  syncs(): number | undefined
  close(): Promise<unknown>
}

const flags = parseBenchFlags(
  { runs: 3, seconds: 1 },
  {
    /** A batch of 1,000 log records in columns. */
    bytes: 157_000,
    'replay-mb': 512,
  },
)
const durationMs = 1000 * (flags.isSmoke ? 0.05 : flags.seconds)
const replayBytes = (flags.isSmoke ? 8 : flags['replay-mb']) * 1024 * 1024
const payload = new Uint8Array(flags.bytes).map((_, index) => (index * 7919) >> 3)

function options(directory: string, overrides: Partial<WalOptions> = {}): WalOptions {
  return {
    directory,
    fs: nodeFileSystem,
    clock: systemClock,
    logger: createLogger({ name: 'wal-bench', level: 'silent' }),
    sync: 'group',
    groupBytesMax: 1024 * 1024,
    segmentBytesMax: 64 * 1024 * 1024,
    diskBytesMax: 2 ** 40,
    segmentIdentity: { logId: 'bench', topic: 'default', partition: 0 },
    ...overrides,
  }
}

function countingFileSystem(): { fs: FileSystem; syncs: () => number } {
  let count = 0
  const fs: FileSystem = {
    ...nodeFileSystem,
    async open(path, mode) {
      const handle = await nodeFileSystem.open(path, mode)
      const datasync = (): Promise<void> => {
        count++
        return handle.datasync()
      }
      return { ...handle, datasync }
    },
  }
  return { fs, syncs: () => count }
}

async function inMainThread(overrides: Partial<WalOptions>): Promise<Subject> {
  const directory = mkdtempSync(join(tmpdir(), 'wal-bench-'))
  const { fs, syncs } = countingFileSystem()
  const visitor = { frame: () => undefined, hole: () => undefined }
  const wal = await Wal.recover(options(directory, { fs, ...overrides }), 0n, visitor)
  return {
    syncs,
    async append(bytes) {
      const offset = await wal.append(bytes)
      if (offset % 200n === 0n) await wal.truncate(offset)
    },
    async close() {
      await wal.close()
      rmSync(directory, { recursive: true })
    },
  }
}

async function inWorker(): Promise<Subject> {
  const directory = mkdtempSync(join(tmpdir(), 'wal-bench-'))
  const worker = new Worker(new URL('wal-worker.ts', import.meta.url), {
    workerData: { directory },
  })
  await new Promise((resolve) => worker.once('message', resolve))
  const waiting = new Map<number, (value: unknown) => void>()
  worker.on('message', ({ id }: { id: number }) => {
    waiting.get(id)!(undefined)
    waiting.delete(id)
  })
  let nextId = 0
  return {
    syncs: () => undefined,
    append: (bytes) =>
      new Promise((resolve) => {
        waiting.set(nextId, resolve)
        worker.postMessage({ id: nextId++, payload: bytes })
      }),
    async close() {
      await worker.terminate()
      rmSync(directory, { recursive: true })
    },
  }
}

async function measure(subject: Subject, load: string): Promise<LoadSample> {
  const latencies: number[] = []
  const append = async (): Promise<void> => {
    const startMs = performance.now()
    await subject.append(payload)
    latencies.push(performance.now() - startMs)
  }
  for (let warm = 0; warm < 20; warm++) await append()
  latencies.length = 0
  const syncsBefore = subject.syncs()
  const cpuBefore = process.cpuUsage()
  const threadBefore = process.threadCpuUsage()
  const startMs = performance.now()
  const endMs = startMs + durationMs
  const concurrency = Number(/^(\d+) clients/.exec(load)?.[1] ?? 0)
  if (concurrency > 0) {
    const client = async (): Promise<void> => {
      while (performance.now() < endMs) await append()
    }
    await Promise.all(Array.from({ length: concurrency }, client))
  } else {
    const pending: Promise<void>[] = []
    for (let due = startMs; due < endMs; due += 1000 / OPEN_LOOP_PER_SECOND) {
      const waitMs = due - performance.now()
      if (waitMs > 1) await sleep(waitMs)
      pending.push(append())
    }
    await Promise.all(pending)
  }
  const elapsedMs = performance.now() - startMs
  const cpu = process.cpuUsage(cpuBefore)
  const thread = process.threadCpuUsage(threadBefore)
  const syncs = subject.syncs()
  latencies.sort((a, b) => a - b)
  const count = latencies.length
  return {
    appendsPerSecond: (1000 * count) / elapsedMs,
    syncsPerSecond: syncs === undefined ? undefined : (1000 * (syncs - syncsBefore!)) / elapsedMs,
    cpuUsPerAppend: (cpu.user + cpu.system) / count,
    mainThreadUsPerAppend: (thread.user + thread.system) / count,
    p50Ms: latencies[count >> 1]!,
    p99Ms: latencies[Math.floor(count * 0.99)]!,
  }
}

async function measureReplay(row: Uint8Array): Promise<Record<string, number>> {
  const directory = mkdtempSync(join(tmpdir(), 'wal-bench-'))
  const visitor = { frame: () => undefined, hole: () => undefined }
  const writer = await Wal.recover(options(directory, { sync: 'none' }), 0n, visitor)
  const rows = Math.floor(replayBytes / row.length)
  for (let at = 0; at < rows; at += 100) {
    const count = Math.min(100, rows - at)
    await Promise.all(Array.from({ length: count }, () => writer.append(row)))
  }
  await writer.close()
  const kept = new Uint8Array(64 * 1024 * 1024)
  let frames = 0
  let at = 0
  let rssMax = 0
  const cpuBefore = process.cpuUsage()
  const startMs = performance.now()
  const wal = await Wal.recover(options(directory), 0n, {
    frame(_offset, bytes) {
      frames++
      if (at + bytes.length > kept.length) at = 0
      kept.set(bytes, at)
      at += bytes.length
      if (frames % 256 === 0) rssMax = Math.max(rssMax, process.memoryUsage.rss())
    },
    hole: () => assert.fail('no holes'),
  })
  const elapsedMs = performance.now() - startMs
  const cpu = process.cpuUsage(cpuBefore)
  assert.equal(frames, rows)
  await wal.close()
  rmSync(directory, { recursive: true })
  const gigabytes = (rows * row.length) / 1e9
  return {
    secondsPerGb: elapsedMs / 1000 / gigabytes,
    cpuSecondsPerGb: (cpu.user + cpu.system) / 1e6 / gigabytes,
    usPerRow: (1000 * elapsedMs) / rows,
    rssMb: rssMax / 1e6,
  }
}

const SUBJECTS: Readonly<Record<string, () => Promise<Subject>>> = {
  'main thread': () => inMainThread({}),
  'main thread, sync always': () => inMainThread({ sync: 'always' }),
  'main thread, sync none': () => inMainThread({ sync: 'none' }),
  worker: () => inWorker(),
}
const RIVALS: Readonly<Record<string, string>> = {
  'main thread': 'worker',
}
const LOADS = ['1 clients', '8 clients', '64 clients', `${OPEN_LOOP_PER_SECOND} appends/s`]

async function benchLoad(name: string, load: string): Promise<BenchRow> {
  const samples: LoadSample[] = []
  for (let run = 0; run < flags.runs; run++) {
    const subject = await SUBJECTS[name]!()
    samples.push(await measure(subject, load))
    await subject.close()
  }
  const rival = RIVALS[name]
  return benchRow(`${name}, ${load}`, gather(samples), rival && `${rival}, ${load}`)
}

/** One list of samples per figure. */
function gather(samples: readonly object[]): Record<string, number[]> {
  const lists: Record<string, number[]> = {}
  for (const sample of samples) {
    for (const [figure, value] of Object.entries(sample) as [string, number | undefined][]) {
      if (value !== undefined) (lists[figure] ??= []).push(value)
    }
  }
  return lists
}

const rows: BenchRow[] = []
for (const name of Object.keys(SUBJECTS)) {
  if (!isWanted(flags, name)) continue
  const loads = flags.isSmoke ? LOADS.slice(1, 2) : LOADS
  for (const load of loads) rows.push(await benchLoad(name, load))
}
for (const payloadBytes of [flags.bytes, 1000]) {
  if (!isWanted(flags, 'replay')) continue
  const samples: object[] = []
  for (let run = 0; run < flags.runs; run++)
    samples.push(await measureReplay(payload.subarray(0, payloadBytes)))
  rows.push(benchRow(`replay of rows of ${payloadBytes} B`, gather(samples)))
}
finishBench('wal', rows, flags)
