/**
 * The log under load: in the main thread (asynchronous calls) against a worker thread (synchronous
 * calls), with and without a pause between fdatasyncs; then its replay. Every row is read back.
 *
 *     node services/ingester/bench/wal.bench.ts [--ms 1500] [--bytes 157000] [--dir FOLDER] [--replay-mb 512] [--json FILE]
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'

import { systemClock } from '@tributary/common/clock'
import { nodeFileSystem } from '@tributary/common/file-system'
import type { FileSystem } from '@tributary/common/file-system'
import { createLogger } from '@tributary/common/logger'

import { Wal } from '../src/wal/wal.ts'
import type { WalOptions } from '../src/wal/wal.ts'

/** Appends a second at 70 MB/s: what one core takes in. */
const OPEN_LOOP_PER_SECOND = 450

interface BenchRow {
  readonly log: string
  readonly load: string
  readonly appendsPerSecond: number
  readonly syncsPerSecond: number | undefined
  readonly cpuUsPerAppend: number
  readonly mainThreadUsPerAppend: number
  readonly p50Ms: number
  readonly p99Ms: number
}

interface Subject {
  readonly name: string
  append(payload: Uint8Array): Promise<unknown>
  syncs(): number | undefined
  close(): Promise<unknown>
}

const { values: flags } = parseArgs({
  options: {
    ms: { type: 'string', default: '1500' },
    bytes: { type: 'string', default: '157000' },
    dir: { type: 'string', default: tmpdir() },
    'replay-mb': { type: 'string', default: '512' },
    json: { type: 'string' },
  },
})
const durationMs = Number(flags.ms)
/** The default is a batch of 1,000 log records in columns. */
const payloadBytes = Number(flags.bytes)
const payload = new Uint8Array(payloadBytes).map((_, index) => (index * 7919) >> 3)

function options(directory: string, overrides: Partial<WalOptions> = {}): WalOptions {
  return {
    directory,
    fs: nodeFileSystem,
    clock: systemClock,
    logger: createLogger({ name: 'wal-bench', level: 'silent' }),
    sync: 'group',
    groupDelayMs: 0,
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

async function inMainThread(overrides: Partial<WalOptions>, name: string): Promise<Subject> {
  const directory = mkdtempSync(join(flags.dir, 'wal-bench-'))
  const { fs, syncs } = countingFileSystem()
  const visitor = { frame: () => undefined, hole: () => undefined }
  const wal = await Wal.recover(options(directory, { fs, ...overrides }), 0n, visitor)
  return {
    name,
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

async function inWorker(groupDelayMs: number): Promise<Subject> {
  const directory = mkdtempSync(join(flags.dir, 'wal-bench-'))
  const worker = new Worker(new URL('wal-worker.ts', import.meta.url), {
    workerData: { directory, groupDelayMs },
  })
  await new Promise((resolve) => worker.once('message', resolve))
  const waiting = new Map<number, (value: unknown) => void>()
  worker.on('message', ({ id }: { id: number }) => {
    waiting.get(id)!(undefined)
    waiting.delete(id)
  })
  let nextId = 0
  return {
    name: `worker, synchronous, pause ${groupDelayMs} ms`,
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

async function measure(subject: Subject, load: string): Promise<BenchRow> {
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
    log: subject.name,
    load,
    appendsPerSecond: Math.round((1000 * count) / elapsedMs),
    syncsPerSecond:
      syncs === undefined ? undefined : Math.round((1000 * (syncs - syncsBefore!)) / elapsedMs),
    cpuUsPerAppend: Math.round((cpu.user + cpu.system) / count),
    mainThreadUsPerAppend: Math.round((thread.user + thread.system) / count),
    p50Ms: Number(latencies[count >> 1]!.toFixed(2)),
    p99Ms: Number(latencies[Math.floor(count * 0.99)]!.toFixed(2)),
  }
}

async function measureReplay(row: Uint8Array): Promise<Record<string, unknown>> {
  const directory = mkdtempSync(join(flags.dir, 'wal-bench-'))
  const totalBytes = Number(flags['replay-mb']) * 1024 * 1024
  const visitor = { frame: () => undefined, hole: () => undefined }
  const writer = await Wal.recover(options(directory, { sync: 'none' }), 0n, visitor)
  const rows = Math.floor(totalBytes / row.length)
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
    replay: `rows of ${row.length} B`,
    secondsPerGb: Number((elapsedMs / 1000 / gigabytes).toFixed(2)),
    cpuSecondsPerGb: Number(((cpu.user + cpu.system) / 1e6 / gigabytes).toFixed(2)),
    usPerRow: Number(((1000 * elapsedMs) / rows).toFixed(2)),
    rssMb: Math.round(rssMax / 1e6),
  }
}

const subjects = [
  () => inMainThread({ groupDelayMs: 0 }, 'main thread, pause 0 ms'),
  () => inMainThread({ groupDelayMs: 5 }, 'main thread, pause 5 ms'),
  () => inMainThread({ sync: 'always' }, 'main thread, sync always'),
  () => inMainThread({ sync: 'none' }, 'main thread, sync none'),
  () => inWorker(0),
  () => inWorker(5),
]
const rows: BenchRow[] = []
for (const make of subjects) {
  for (const load of [
    '1 clients',
    '8 clients',
    '64 clients',
    `${OPEN_LOOP_PER_SECOND} appends/s`,
  ]) {
    const subject = await make()
    rows.push(await measure(subject, load))
    await subject.close()
  }
}
console.table(rows)
const replays = [await measureReplay(payload), await measureReplay(payload.subarray(0, 1000))]
console.table(replays)
if (flags.json !== undefined) writeFileSync(flags.json, JSON.stringify({ rows, replays }, null, 2))
