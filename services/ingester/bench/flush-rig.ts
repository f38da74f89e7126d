/**
 * Decode and flush in one thread, as one core does them: requests into batches, batches into
 * envelopes in shared memory (as the memtable holds them), envelopes into finished Parquet files.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { batchChunks } from '@tributary/common/columnar/chunk-list'
import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { writeEnvelopeWithBatch } from '@tributary/common/columnar/envelope-writer'
import { LIMITS } from '@tributary/common/limits'
import { createLogger } from '@tributary/common/logger'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { Signal, type SignalName } from '@tributary/common/signal'
import { payload, type PayloadOptions } from '@tributary/common/testing/payloads'

import { SchemaCache } from '../src/flush/schema-cache.ts'
import { SpoolFile } from '../src/flush/spool-file.ts'
import type { FlushEntry } from '../src/flush/table-context.ts'
import { writeTable, type FlushSettings, type TableJob } from '../src/flush/table-writer.ts'

const ARRIVAL_UNIX_NANO = 1_800_000_000_000_000_000n
const NO_ROWS = new Int32Array(0)
const MIB = 1024 * 1024

/** The product's defaults, but one row group holds all rows. */
export const FLUSH_SETTINGS: FlushSettings = {
  rowGroupRowsMax: 131_072,
  rowGroupBytesMax: 64 * MIB,
  fileRowsMax: 4_000_000,
  fileBytesMax: 256 * MIB,
  hoursMax: LIMITS.hoursPerFlushMax,
  attributeColumnsMax: LIMITS.attributeColumnsMax,
  zstdLevel: 1,
}

/** Requests of at least `records` items in all; their times lie within one hour. */
export function bodiesOf(
  signal: SignalName,
  records: number,
  options: PayloadOptions,
): Uint8Array[] {
  const count = Math.ceil(records / options.records)
  return Array.from({ length: count }, (_, call) => payload(signal, { ...options, call }))
}

export class FlushRig {
  readonly signal: SignalName
  readonly #builder: BatchBuilder
  readonly #folder: string
  readonly spoolDirectory: string
  readonly schemas: SchemaCache

  private constructor(signal: SignalName, folder: string, store: ObjectStore) {
    this.signal = signal
    this.#builder = new BatchBuilder(Signal[signal])
    this.#folder = folder
    this.spoolDirectory = join(folder, 'spool')
    this.schemas = new SchemaCache(store, 10)
    mkdirSync(this.spoolDirectory)
  }

  static async open(signal: SignalName): Promise<FlushRig> {
    const folder = mkdtempSync(join(tmpdir(), 'tributary-flush-bench-'))
    const store = await openObjectStore(pathToFileURL(join(folder, 'store')).href, {
      logger: createLogger({ name: 'flush-bench', level: 'silent' }),
    })
    return new FlushRig(signal, folder, store)
  }

  /** All requests as envelopes. */
  decode(bodies: readonly Uint8Array[]): FlushEntry[] {
    const builder = this.#builder
    const entries: FlushEntry[] = []
    for (const body of bodies) {
      const options = { tenant: 'default', arrivalUnixNano: ARRIVAL_UNIX_NANO }
      decodeInto(builder, body, options)
      if (builder.estimatedBytes() >= LIMITS.batchBytesMax) entries.push(this.#close())
    }
    if (builder.rowCount > 0) entries.push(this.#close())
    return entries
  }

  jobOf(
    entries: readonly FlushEntry[],
    settings: FlushSettings = FLUSH_SETTINGS,
    tenant = 'default',
  ): TableJob {
    return {
      tenant,
      signal: this.signal,
      topic: 'bench',
      partition: 0,
      start: '0',
      end: String(entries.length),
      entries,
      settings,
    }
  }

  /** Writes the files of a table; returns their bytes where `keep` says so, and removes them. */
  async flush(job: TableJob, keep = false): Promise<{ rows: number; files: Buffer[] }> {
    const result = await writeTable(job, {
      schemaOf: (wanted) => this.schemas.resolveOrExtend(job.tenant, job.signal, wanted),
      createFile: () => new SpoolFile(this.spoolDirectory),
    })
    const files = keep ? result.files.map(({ path }) => readFileSync(path)) : []
    for (const { path } of result.files) unlinkSync(path)
    return { rows: result.rowsStored, files }
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #close(): FlushEntry {
    const builder = this.#builder
    const envelope = writeEnvelopeWithBatch(
      {
        signal: builder.signal,
        tenant: 'default',
        batchId: new Uint8Array(16),
        rowCount: builder.rowCount,
        otlpBytes: builder.otlpBytes,
        arrivalUnixNano: ARRIVAL_UNIX_NANO,
        minTimeUnixNano: builder.minTimeUnixNano,
        maxTimeUnixNano: builder.maxTimeUnixNano,
        chunks: batchChunks([]),
      },
      builder,
    )
    builder.reset()
    const bytes = new Uint8Array(new SharedArrayBuffer(envelope.length))
    bytes.set(envelope)
    return { bytes, suppressed: NO_ROWS }
  }
}
