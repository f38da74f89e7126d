/**
 * The file index of 100,000 files in a real Redis: made anew from the commits of a folder and of an S3
 * server, each in a process of its own; then what a commit costs, and what readers wait for, beside
 * reading the commits themselves. The index must be true afterwards, and both readers find the same.
 *
 *     node services/common/bench/file-index.bench.ts [--files 100000] [--json FILE]
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

import type { FileSelection } from '../src/catalogue/file-index.ts'
import type { CommitFile, CommitRecord } from '../src/commit/commit-record.ts'
import type { ObjectStore } from '../src/object-store/object-store.ts'
import type { PartitionId } from '../src/paths.ts'
import { readCatalogue } from '../src/catalogue/file-catalogue.ts'
import { checkIndexDrift } from '../src/catalogue/index-drift.ts'
import { rebuildIndex, spanOf } from '../src/catalogue/index-filling.ts'
import { RedisFileIndex } from '../src/catalogue/redis-file-index.ts'
import { serializeCommitRecord } from '../src/commit/commit-record.ts'
import { mapOrdered } from '../src/commit/ordered-map.ts'
import { createLogger } from '../src/logger.ts'
import { plainRedisAddress } from '../src/metadata/redis-address.ts'
import { RedisConnection } from '../src/metadata/redis-connection.ts'
import { openObjectStore } from '../src/object-store/object-store.ts'
import { commitKey, dataKey, hourOf } from '../src/paths.ts'
import { RedisServer } from '../src/testing/redis-server.ts'
import { startS3Server } from '../src/testing/s3-server.ts'
import { benchRow, finishBench, parseBenchFlags, timeRuns, type BenchRow } from './bench-harness.ts'

const PARTITIONS = 16
/** Logs, spans and metrics of two tenants: what a flush of a partition makes. */
const FILES_PER_COMMIT = 6
const TENANTS = 20
const OFFSETS_PER_COMMIT = 100n
const PUTS_IN_FLIGHT = 16
const FIRST_HOUR_MS = Date.UTC(2026, 10, 1)
const HOUR_MS = 3_600_000
const PREFIX = 'bench'
const logger = createLogger({ name: 'bench', level: 'error' })

interface Place {
  readonly url: string
  readonly endpoint?: string
  readonly accessKeyId?: string
  readonly secretAccessKey?: string
}

interface Rebuilt {
  readonly wallMs: number
  readonly cpuMs: number
  readonly rssBeforeMb: number
  readonly rssPeakMb: number
  readonly files: number
}

function openPlace({ url, endpoint, accessKeyId, secretAccessKey }: Place): Promise<ObjectStore> {
  if (endpoint === undefined) return openObjectStore(url, { logger })
  const credentials = { accessKeyId: accessKeyId ?? '', secretAccessKey: secretAccessKey ?? '' }
  return openObjectStore(url, { logger, endpoint, region: 'us-east-1', credentials })
}

async function openIndex(port: number): Promise<{ index: RedisFileIndex; close: () => void }> {
  const address = plainRedisAddress('127.0.0.1', port)
  const connection = new RedisConnection({ address, name: 'bench', timeoutMs: 10_000, logger })
  await connection.untilReady(10_000)
  const index = new RedisFileIndex({ connection, prefix: PREFIX, storeId: 'bench' })
  return { index, close: () => connection.close() }
}

/** The n-th commit of all, round robin over the partitions. */
function commitNumbered(number: number): CommitRecord {
  const partition = number % PARTITIONS
  const id: PartitionId = { logId: 'bench', topic: 'tributary', partition }
  const start = BigInt(Math.floor(number / PARTITIONS)) * OFFSETS_PER_COMMIT
  const range = { start, end: start + OFFSETS_PER_COMMIT }
  const hour = hourOf(FIRST_HOUR_MS + Math.floor(number / PARTITIONS / 60) * HOUR_MS)
  const files = Array.from({ length: FILES_PER_COMMIT }, (_, at): CommitFile => {
    const tenant = `tenant-${(partition + (at >> 1)) % TENANTS}`
    const signal = (['logs', 'spans', 'metrics'] as const)[at % 3]!
    const sha256 = createHash('sha256').update(`${number} ${at}`).digest('hex')
    const key = dataKey({ ...id, ...range, tenant, signal, hour, sha256 })
    const times = { timeMin: '1795230000000000000', timeMax: '1795230060000000000' }
    return { key, bytes: 1_000_000 + at, sha256, rows: 20_000, tenant, signal, hour, ...times }
  })
  const rows = files.reduce((sum, file) => sum + file.rows, 0)
  return {
    ...{ formatVersion: 1, ...id, start: String(range.start), end: String(range.end) },
    ...{ epoch: 1, writer: 'bench', files, holes: [], hashes: null },
    schemaVersions: Object.fromEntries(
      files.map(({ tenant, signal }) => [`${tenant}/${signal}`, 0]),
    ),
    counts: { rowsIn: rows, rowsStored: rows, rowsSuppressed: 0, rowsQuarantined: 0 },
    committedAt: '2026-11-21T03:04:05.678Z',
  }
}

async function fillStore(store: ObjectStore, commits: number): Promise<void> {
  const numbers = Array.from({ length: commits }, (_, number) => number)
  const puts = mapOrdered(numbers, PUTS_IN_FLIGHT, async (number) => {
    const record = commitNumbered(number)
    await store.put(commitKey(record, BigInt(record.start)), serializeCommitRecord(record))
  })
  for await (const _put of puts);
}

/** In a process of its own, so that its memory is that of the rebuild. */
async function rebuildHere(place: Place, redisPort: number): Promise<Rebuilt> {
  const store = await openPlace(place)
  const { index, close } = await openIndex(redisPort)
  const rssBeforeMb = process.memoryUsage.rss() / 1e6
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  const { files } = await rebuildIndex(index, store)
  const wallMs = performance.now() - startMs
  const { user, system } = process.cpuUsage(cpu)
  close()
  await store.close()
  const rssPeakMb = process.resourceUsage().maxRSS / 1000
  return { wallMs, cpuMs: (user + system) / 1000, rssBeforeMb, rssPeakMb, files }
}

function rebuildApart(place: Place, redisPort: number): Rebuilt {
  const args = [
    import.meta.filename,
    '--place',
    JSON.stringify(place),
    '--redis',
    String(redisPort),
  ]
  const child = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 2],
  })
  assert.equal(child.status, 0, 'the rebuild ended well')
  return JSON.parse(child.stdout) as Rebuilt
}

async function benchRebuild(
  name: string,
  place: Place,
  redis: RedisServer,
  commits: number,
  runs: number,
): Promise<BenchRow> {
  const store = await openPlace(place)
  await fillStore(store, commits)
  const samples: Rebuilt[] = []
  for (let run = 0; run < runs; run++) {
    await redis.admin.flushall()
    samples.push(rebuildApart(place, redis.port))
  }
  const { index, close } = await openIndex(redis.port)
  const drift = await checkIndexDrift(index, store)
  assert.ok(drift.isTrue && drift.files === commits * FILES_PER_COMMIT, JSON.stringify(drift))
  close()
  await store.close()
  const memory = /used_memory:(\d+)/.exec(await redis.admin.info('memory'))?.[1]
  return benchRow(name, {
    rebuildSeconds: samples.map(({ wallMs }) => wallMs / 1000),
    filesPerSecond: samples.map(({ wallMs, files }) => (1000 * files) / wallMs),
    cpuUsPerFile: samples.map(({ cpuMs, files }) => (1000 * cpuMs) / files),
    rssGrowthMb: samples.map(({ rssPeakMb, rssBeforeMb }) => rssPeakMb - rssBeforeMb),
    redisBytesPerFile: Number(memory) / (commits * FILES_PER_COMMIT),
  })
}

/** What readers wait for and what a commit costs, with the index full. */
async function benchUse(place: Place, redisPort: number, commits: number): Promise<BenchRow[]> {
  const store = await openPlace(place)
  const { index, close } = await openIndex(redisPort)
  const hour = hourOf(FIRST_HOUR_MS)
  const selections: readonly (readonly [string, FileSelection])[] = [
    ['one hour of a tenant', { tenant: 'tenant-3', fromHour: hour, toHour: hour }],
    ['a tenant', { tenant: 'tenant-3' }],
    ['everything', {}],
  ]
  const rows: BenchRow[] = []
  for (const [name, selection] of selections) {
    const byIndex = await readCatalogue(store, index, selection)
    const byChains = await readCatalogue(store, undefined, selection)
    const keysOf = ({ files }: typeof byIndex) => files.map(({ key }) => key).sort()
    assert.deepEqual(keysOf(byIndex), keysOf(byChains))
    assert.equal(byIndex.indexedFiles, byIndex.files.length)
    const timing = { runs: 3, seconds: 0 }
    const ours = await timeRuns(() => readCatalogue(store, index, selection), timing, 1)
    const theirs = await timeRuns(() => readCatalogue(store, undefined, selection), timing, 0)
    const files = byIndex.files.length
    rows.push(benchRow(`read ${name}`, { readMs: ours.wallMs, filesFound: files }))
    rows.push(benchRow(`the same from commits alone`, { readMs: theirs.wallMs, filesFound: files }))
  }
  let next = commits
  const apply = async () => {
    const outcome = await index.apply(spanOf(commitNumbered(next++)))
    assert.equal(outcome.kind, 'applied')
  }
  const applied = await timeRuns(apply, { runs: 5, seconds: 0.2 }, 20)
  rows.push(benchRow('apply a commit of 6 files', { applyMs: applied.wallMs }))
  close()
  await store.close()
  return rows
}

async function main(): Promise<void> {
  const { files, ...flags } = parseBenchFlags({ runs: 3, seconds: 0 }, { files: 100_000 })
  const commits = Math.ceil((flags.isSmoke ? 600 : files) / FILES_PER_COMMIT)
  const folder = mkdtempSync(join(tmpdir(), 'tributary-bench-'))
  const redis = await RedisServer.start({ configuration: ['appendfsync everysec'] })
  const s3 = await startS3Server()
  try {
    const inFolder: Place = { url: pathToFileURL(folder).href }
    const { endpoint, credentials } = s3
    const inBucket: Place = { url: `s3://${s3.bucket}/bench`, endpoint, ...credentials }
    const rows = [
      await benchRebuild('rebuild from a folder', inFolder, redis, commits, flags.runs),
      await benchRebuild('rebuild from S3', inBucket, redis, commits, flags.runs),
      ...(await benchUse(inBucket, redis.port, commits)),
    ]
    finishBench('file-index', rows, flags)
  } finally {
    await s3.stop()
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const { values } = parseArgs({
  strict: false,
  options: { place: { type: 'string' }, redis: { type: 'string' } },
})
if (typeof values.place === 'string') {
  const rebuilt = await rebuildHere(JSON.parse(values.place) as Place, Number(values.redis))
  process.stdout.write(JSON.stringify(rebuilt))
} else {
  await main()
}
