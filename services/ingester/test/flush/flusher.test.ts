import assert from 'node:assert/strict'
import { mkdtemp, mkdir, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import { batchChunks } from '@tributary/common/columnar/chunk-list'
import { systemClock } from '@tributary/common/clock'
import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import { writeEnvelopeInto } from '@tributary/common/columnar/envelope-writer'
import { CommitChain } from '@tributary/common/commit/commit-chain'
import { hookFailpoints } from '@tributary/common/failpoint'
import { nodeFileSystem } from '@tributary/common/file-system'
import { createLogger } from '@tributary/common/logger'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { decodeInto } from '@tributary/common/otlp/decoder'
import type { PartitionId } from '@tributary/common/paths'
import { Signal } from '@tributary/common/signal'
import { payload, type PayloadOptions } from '@tributary/common/testing/payloads'
import { verifyStore } from '@tributary/common/verify/verify'
import { Flusher, type FlusherOptions } from '../../src/flush/flusher.ts'
import { FlushPool } from '../../src/flush/flush-pool.ts'
import { SchemaCache } from '../../src/flush/schema-cache.ts'
import { Memtable } from '../../src/memtable/memtable.ts'
import { SlabPool } from '../../src/memtable/slab-pool.ts'

const logger = createLogger({ name: 'test', level: 'silent' })
const ID: PartitionId = { logId: 'test-log', topic: 'test', partition: 0 }
const SETTINGS = {
  rowGroupRowsMax: 1000,
  rowGroupBytesMax: 64 * 1024 * 1024,
  fileRowsMax: 4_000_000,
  fileBytesMax: 256 * 1024 * 1024,
  hoursMax: 3,
  attributeColumnsMax: 100,
  zstdLevel: 1,
}

type Differing = Partial<Pick<FlusherOptions, 'commitFilesMax' | 'signal' | 'onFenced'>>

interface Parts {
  readonly store: ObjectStore
  readonly folder: string
  readonly memtable: Memtable
  readonly flusher: (writer: string, options?: Differing) => Promise<Flusher>
}

async function openParts(t: TestContext): Promise<Parts> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-flusher-'))
  const spoolDirectory = join(folder, 'spool')
  await mkdir(spoolDirectory)
  const store = await openObjectStore(pathToFileURL(join(folder, 'store')).href, { logger })
  const schemas = new SchemaCache(store, 10)
  const encoder = new FlushPool({
    workers: 2,
    clock: systemClock,
    spoolDirectory,
    schemaOf: (tenant, signal, wanted) => schemas.resolveOrExtend(tenant, signal, wanted),
    logger,
  })
  t.after(async () => {
    await encoder.close()
    await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  return {
    store,
    folder,
    memtable: new Memtable(new SlabPool(1024 * 1024, 4), 0n),
    flusher: async (writer, options) =>
      new Flusher({
        partition: ID,
        writer,
        epoch: () => 1,
        store,
        chain: await CommitChain.open(store, ID),
        encoder,
        fs: nodeFileSystem,
        admitPoison: () => undefined,
        forget: () => Promise.resolve(),
        settings: SETTINGS,
        clock: systemClock,
        logger,
        signal: new AbortController().signal,
        ...options,
      }),
  }
}

function insert(
  memtable: Memtable,
  offset: bigint,
  options: PayloadOptions,
  suppressed: readonly number[] = [],
  tenant = 'default',
): Uint8Array {
  const builder = new BatchBuilder(1)
  decodeInto(builder, payload('logs', options), { tenant, arrivalUnixNano: ARRIVAL })
  const { rowCount, otlpBytes, minTimeUnixNano, maxTimeUnixNano } = builder
  const header = {
    signal: Signal.logs,
    tenant,
    batchId: new Uint8Array(16),
    rowCount,
    otlpBytes,
    arrivalUnixNano: ARRIVAL,
    minTimeUnixNano,
    maxTimeUnixNano,
    chunks: batchChunks([]),
  }
  const space = writeEnvelopeInto(header, builder, (bytes) => memtable.reserve(bytes))
  memtable.insert({
    offset,
    space,
    header: decodeEnvelope(space.bytes).header,
    appendUnixMs: 0,
    repeats: {
      suppressed: Int32Array.from(suppressed),
      suppressedRows: 0,
      storedHashes: new Uint8Array(0),
    },
    nowMs: 0,
  })
  return space.bytes
}

const ARRIVAL = 2_000_000_000_000_000_000n
const HOUR_NANO = 3_600_000_000_000n

void test('Flusher stores everything but what was stored before, and verify proves it', async (t) => {
  const { store, memtable, flusher, folder } = await openParts(t)
  insert(memtable, 0n, { records: 100, call: 1 })
  insert(memtable, 1n, { records: 50, call: 2 }, [10, 20, 30, 31])
  const [record] = await (await flusher('a')).flush(memtable.freeze(), [])
  assert.deepEqual(record?.counts, {
    rowsIn: 150,
    rowsStored: 139,
    rowsSuppressed: 11,
    rowsQuarantined: 0,
  })
  const report = await verifyStore(store)
  assert.ok(report.isWhole, JSON.stringify(report.problems))
  assert.equal(report.rows, 139)
  assert.deepEqual(await readdir(join(folder, 'spool')), [])
})

void test('Flusher gives each hour a file and what is past the bound of hours one late file', async (t) => {
  const { store, memtable, flusher } = await openParts(t)
  for (let hour = 0n; hour < 6n; hour++) {
    const startUnixNano = 1_700_000_000_000_000_000n + hour * HOUR_NANO
    insert(memtable, hour, { records: 20 + Number(hour), call: Number(hour), startUnixNano })
  }
  const [record] = await (await flusher('a')).flush(memtable.freeze(), [])
  assert.deepEqual(
    record?.files.map(({ hour, rows }) => [hour, rows]),
    [
      ['2023-11-15T01', 23],
      ['2023-11-15T02', 24],
      ['2023-11-15T03', 25],
      ['late', 20 + 21 + 22],
    ],
  )
  assert.ok((await verifyStore(store)).isWhole)
})

void test('Flusher keeps a commit within its bound of files: fewer hours each, then more commits', async (t) => {
  const { store, memtable, flusher } = await openParts(t)
  const hours = [0n, 1n, 2n, 3n]
  const tenants = ['a', 'b', 'c', 'd', 'e']
  let offset = 0n
  for (const hour of hours) {
    for (const tenant of tenants) {
      const startUnixNano = 1_700_000_000_000_000_000n + hour * HOUR_NANO
      insert(memtable, offset, { records: 5, call: Number(offset), startUnixNano }, [], tenant)
      offset++
    }
  }
  const holes = [{ start: '20', end: '25', reason: 'wal_damaged' }]
  memtable.skipTo(25n, 0)
  const records = await (await flusher('a', { commitFilesMax: 6 })).flush(memtable.freeze(), holes)
  assert.ok(records.length > 1)
  assert.ok(records.every(({ files }) => files.length <= 6))
  assert.equal(records.at(-1)?.end, '25')
  assert.deepEqual(
    records.flatMap((record) => record.holes),
    holes,
  )
  const report = await verifyStore(store)
  assert.equal(report.problems.length, 0, JSON.stringify(report.problems))
  assert.equal(report.rows, 100)
})

void test('Flusher keeps a batch that can not be read aside and stores the others', async (t) => {
  const { store, memtable, flusher } = await openParts(t)
  insert(memtable, 0n, { records: 10, call: 1 })
  const bad = insert(memtable, 1n, { records: 7, call: 2 })
  insert(memtable, 2n, { records: 10, call: 3 })
  bad[bad.length - 100]! ^= 1
  const [record] = await (await flusher('a')).flush(memtable.freeze(), [])
  assert.deepEqual(record?.counts, {
    rowsIn: 27,
    rowsStored: 20,
    rowsSuppressed: 0,
    rowsQuarantined: 7,
  })
  assert.equal(record.holes.length, 1)
  assert.deepEqual([record.holes[0]?.start, record.holes[0]?.end], ['1', '2'])
  assert.match(record.holes[0]!.reason, /^quarantined: /)
  const kept: string[] = []
  for await (const { key } of store.list('quarantine/')) kept.push(key)
  assert.equal(kept.length, 1)
  assert.deepEqual(Buffer.from(await store.get(kept[0]!)), Buffer.from(bad))
  const report = await verifyStore(store)
  assert.equal(report.problems.length, 0, JSON.stringify(report.problems))
})

void test('Flusher goes on behind a commit of its own that landed late', async (t) => {
  const { store, memtable, flusher } = await openParts(t)
  const restarted = await flusher('a')
  insert(memtable, 0n, { records: 10, call: 1 })
  insert(memtable, 1n, { records: 20, call: 2 })
  const earlier = new Memtable(new SlabPool(1024 * 1024, 1), 0n)
  insert(earlier, 0n, { records: 10, call: 1 })
  await (await flusher('a')).flush(earlier.freeze(), [])
  const [record] = await restarted.flush(memtable.freeze(), [])
  assert.deepEqual([record?.start, record?.end, record?.counts.rowsStored], ['1', '2', 20])
  const report = await verifyStore(store)
  assert.equal(report.rows, 30)
})

void test('Flusher refuses a range that another writer has committed', async (t) => {
  const { memtable, flusher } = await openParts(t)
  let fences = 0
  const late = await flusher('a', { onFenced: () => fences++ })
  insert(memtable, 0n, { records: 10, call: 1 })
  const other = new Memtable(new SlabPool(1024 * 1024, 1), 0n)
  insert(other, 0n, { records: 5, call: 9 })
  await (await flusher('b')).flush(other.freeze(), [])
  await assert.rejects(late.flush(memtable.freeze(), []), { code: 'fenced' })
  assert.equal(fences, 1)
})

void test('Flusher tells of a refused commit also where the flush was given up before', async (t) => {
  const { memtable, flusher } = await openParts(t)
  const ending = new AbortController()
  const fenced = Promise.withResolvers<void>()
  const frozen = Promise.withResolvers<void>()
  const late = await flusher('a', { signal: ending.signal, onFenced: fenced.resolve })
  insert(memtable, 0n, { records: 10, call: 1 })
  t.after(() => {
    hookFailpoints([], undefined)
  })
  hookFailpoints(['commit:before-put'], () => {
    ending.abort()
    return frozen.promise
  })
  await assert.rejects(late.flush(memtable.freeze(), []), { code: 'cancelled' })
  hookFailpoints([], undefined)
  const other = new Memtable(new SlabPool(1024 * 1024, 1), 0n)
  insert(other, 0n, { records: 5, call: 9 })
  await (await flusher('b')).flush(other.freeze(), [])
  frozen.resolve()
  await fenced.promise
})

void test('The same batches give the same file, byte for byte', async (t) => {
  const files: string[] = []
  for (let run = 0; run < 2; run++) {
    const { memtable, flusher } = await openParts(t)
    for (let call = 0; call < 5; call++) insert(memtable, BigInt(call), { records: 300, call })
    const [record] = await (await flusher('a')).flush(memtable.freeze(), [])
    files.push(record!.files.map(({ sha256 }) => sha256).join())
  }
  assert.equal(files[0], files[1])
})
