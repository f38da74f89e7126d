/** Flushes to an S3 store whose network fails under a seed: each range committed once, and whole. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, mkdir, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { batchChunks } from '@tributary/common/columnar/chunk-list'
import { systemClock } from '@tributary/common/clock'
import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { decodeEnvelope } from '@tributary/common/columnar/envelope'
import { writeEnvelopeInto } from '@tributary/common/columnar/envelope-writer'
import { CommitChain } from '@tributary/common/commit/commit-chain'
import { nodeFileSystem } from '@tributary/common/file-system'
import { createLogger } from '@tributary/common/logger'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { decodeInto } from '@tributary/common/otlp/decoder'
import type { PartitionId } from '@tributary/common/paths'
import { Signal } from '@tributary/common/signal'
import { payload } from '@tributary/common/testing/payloads'
import {
  S3_CONFLICT,
  S3_INTERNAL_ERROR,
  S3_SLOW_DOWN,
  S3FaultProxy,
  type S3Fault,
} from '@tributary/common/testing/s3-fault-proxy'
import { startS3Server, type S3Server } from '@tributary/common/testing/s3-server'
import { verifyStore } from '@tributary/common/verify/verify'

import { Flusher } from '../../src/flush/flusher.ts'
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
const ARRIVAL = 2_000_000_000_000_000_000n
const ROWS = 20

/** Each at a share of all requests, all at once: what a bad hour looks like. */
const WEATHER: readonly S3Fault[] = [
  S3_SLOW_DOWN,
  S3_INTERNAL_ERROR,
  S3_CONFLICT,
  { kind: 'lose-answer' },
  { kind: 'flip-body' },
  { kind: 'cut-body' },
  { kind: 'cut-answer' },
  { kind: 'late', delayMs: 300 },
  { kind: 'twice', delayMs: 100, answer: 'first' },
  { kind: 'twice', delayMs: 0, answer: 'second' },
]

describe('Flusher before a store that fails', () => {
  let server: S3Server
  let proxy: S3FaultProxy
  let folder: string
  before(async () => {
    server = await startS3Server()
    proxy = await S3FaultProxy.start(server, 7)
    folder = await mkdtemp(join(tmpdir(), 'tributary-flusher-faults-'))
  })
  after(async () => {
    await proxy.stop()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  function openStore(prefix: string, endpoint: string): Promise<ObjectStore> {
    const { region, credentials, bucket } = server
    return openObjectStore(`s3://${bucket}/${prefix}`, { endpoint, region, credentials, logger })
  }

  /** A writer with everything of its own but the store. */
  async function openWriter(store: ObjectStore, writer: string) {
    const spoolDirectory = join(folder, randomUUID())
    await mkdir(spoolDirectory)
    const schemas = new SchemaCache(store, 10)
    const encoder = new FlushPool({
      workers: 1,
      clock: systemClock,
      spoolDirectory,
      schemaOf: (tenant, signal, wanted) => schemas.resolveOrExtend(tenant, signal, wanted),
      logger,
    })
    const chain = await CommitChain.open(store, ID)
    const signal = new AbortController().signal
    const flusher = new Flusher({
      ...{ partition: ID, writer, epoch: () => 1, store, chain, encoder, settings: SETTINGS },
      ...{ fs: nodeFileSystem, clock: systemClock, logger, signal },
      admitPoison: () => undefined,
      forget: () => Promise.resolve(),
    })
    return { flusher, encoder, chain, spoolDirectory }
  }

  it('commits every range once through errors, lost answers, damage, late and repeated requests', async () => {
    const prefix = randomUUID()
    const store = await openStore(prefix, proxy.endpoint)
    const { flusher, encoder, chain, spoolDirectory } = await openWriter(store, 'a')
    for (const fault of WEATHER) proxy.inject({ fault, times: Infinity, share: 0.04 })
    const flushes = 12
    for (let n = 0; n < flushes; n++) {
      const memtable = filled(BigInt(n * 3))
      await flusher.flush(memtable.freeze(), [])
      assert.equal(chain.end, BigInt(n * 3 + 3))
    }
    proxy.heal()
    await proxy.settled()
    assert.deepEqual(await readdir(spoolDirectory), [])
    await encoder.close()
    await store.close()
    await proveWhole(prefix, flushes * 3 * ROWS)
  })

  it('lets one of two writers of a partition commit each range, and the other step back', async () => {
    const prefix = randomUUID()
    const stores = [
      await openStore(prefix, proxy.endpoint),
      await openStore(prefix, proxy.endpoint),
    ]
    for (const fault of WEATHER) proxy.inject({ fault, times: Infinity, share: 0.03 })
    const fences: number[] = [0, 0]
    type Writer = Awaited<ReturnType<typeof openWriter>>
    const open = async (index: number): Promise<Writer> => {
      for (;;) {
        const writer = await openWriter(stores[index]!, `writer-${index}`).catch(unlessAway)
        if (writer !== undefined) return writer
      }
    }
    const run = async (index: number, first: Writer): Promise<void> => {
      for (let writer = first; ; writer = await open(index)) {
        const { flusher, encoder, chain } = writer
        try {
          while (chain.end < 30n) await flusher.flush(filled(chain.end).freeze(), [])
          return
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'fenced')
          fences[index]!++
        } finally {
          await encoder.close()
        }
      }
    }
    // both begin at the same end, so that they meet however slow the machine is
    const first = await Promise.all([open(0), open(1)])
    await Promise.all([run(0, first[0]), run(1, first[1])])
    proxy.heal()
    await proxy.settled()
    for (const store of stores) await store.close()
    assert.ok(fences[0]! + fences[1]! > 0, 'one of them is refused')
    await proveWhole(prefix, 10 * 3 * ROWS)
  })

  /** Reads with no fault between. */
  async function proveWhole(prefix: string, rows: number): Promise<void> {
    const store = await openStore(prefix, server.endpoint)
    const report = await verifyStore(store)
    assert.deepEqual(report.problems, [])
    assert.equal(report.rows, rows)
    await store.close()
  }
})

/** The weather can outlast the tries of one listing; whoever opens a chain opens it again. */
function unlessAway(error: unknown): undefined {
  assert.equal((error as { code?: string }).code, 'store_unavailable')
}

/** Three batches, of two tenants. */
function filled(start: bigint): Memtable {
  const memtable = new Memtable(new SlabPool(1024 * 1024, 4), start)
  for (let n = 0n; n < 3n; n++) {
    const builder = new BatchBuilder(1)
    const call = Number(start + n)
    const tenant = n === 2n ? 'other' : 'default'
    decodeInto(builder, payload('logs', { records: ROWS, call }), {
      ...{ tenant, arrivalUnixNano: ARRIVAL },
    })
    const { rowCount, otlpBytes, minTimeUnixNano, maxTimeUnixNano } = builder
    const space = writeEnvelopeInto(
      {
        ...{ signal: Signal.logs, tenant, batchId: new Uint8Array(16), rowCount, otlpBytes },
        ...{ arrivalUnixNano: ARRIVAL, minTimeUnixNano, maxTimeUnixNano, chunks: batchChunks([]) },
      },
      builder,
      (bytes) => memtable.reserve(bytes),
    )
    const { header } = decodeEnvelope(space.bytes)
    const repeats = {
      suppressed: new Int32Array(0),
      suppressedRows: 0,
      storedHashes: new Uint8Array(0),
    }
    memtable.insert({ offset: start + n, space, header, appendUnixMs: 0, repeats, nowMs: 0 })
  }
  return memtable
}
