/**
 * OTLP -> columns -> Parquet -> DuckDB -> OTLP, in one process: generated requests go through the
 * decoder, the flush and replay, and must come back equal by a canonical form that uses neither.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { batchChunks } from '@tributary/common/columnar/chunk-list'
import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { writeEnvelopeWithBatch } from '@tributary/common/columnar/envelope-writer'
import { LIMITS } from '@tributary/common/limits'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { transcodeJson } from '@tributary/common/otlp/json-transcoder'
import { replayRequests } from '@tributary/common/replay/replay'
import { SchemaState } from '@tributary/common/schema/schema-state'
import { Signal, type SignalName } from '@tributary/common/signal'
import {
  canonicalizeModels,
  canonicalizeProtobuf,
  compareCanonical,
} from '@tributary/common/testing/otlp-canonical'
import {
  generateJson,
  generateProtobuf,
  generateRequest,
} from '@tributary/common/testing/otlp-generator'
import { StoredRows } from '@tributary/cli/replay/stored-rows'
import { SpoolFile } from '@tributary/ingester/flush/spool-file'
import type { FlushEntry } from '@tributary/ingester/flush/table-context'
import { writeTable, type TableResult } from '@tributary/ingester/flush/table-writer'

export type Encoding = 'protobuf' | 'json'

export interface RoundTripOptions {
  readonly signal: SignalName
  readonly encoding: Encoding
  /** Seeds firstSeed, firstSeed + 1, ...: one request each. */
  readonly firstSeed: number
  readonly requests: number
  /** Small, so that keys overflow too. */
  readonly attributeColumnsMax: number
}

export interface RoundTripOutcome {
  readonly items: number
  readonly rejectedItems: number
  readonly files: number
  /** Lines with - for what was sent and did not come back, + for what came back and was not sent. */
  readonly differences: readonly string[]
}

/** Items later than this are past the time window. */
const TIME_MAX_NANO = 2_000_000_000_000_000_000n
const DAY_NANO = 86_400_000_000_000n
const OPTIONS = { tenant: 'default', arrivalUnixNano: TIME_MAX_NANO - DAY_NANO }

export async function roundTrip(options: RoundTripOptions): Promise<RoundTripOutcome> {
  const { signal, encoding } = options
  const seeds = Array.from({ length: options.requests }, (_, index) => options.firstSeed + index)
  const expected = canonicalizeModels(
    signal,
    seeds.map((seed) => generateRequest(signal, seed)),
    { timeMaxUnixNano: TIME_MAX_NANO, hasPlainNan: encoding === 'json' },
  )
  const { entries, rejectedItems } = decodeAll(signal, encoding, seeds)
  const directory = await mkdtemp(join(tmpdir(), 'tributary-fidelity-'))
  try {
    const table = await flush(signal, entries, directory, options.attributeColumnsMax)
    const bodies = await replayAll(signal, table)
    const actual = canonicalizeProtobuf(signal, bodies, { hasPlainNan: encoding === 'json' })
    const differences = [...compareCanonical(expected.items, actual.items)]
    if (rejectedItems !== expected.rejectedItems) {
      differences.push(`rejected ${String(rejectedItems)}, not ${String(expected.rejectedItems)}`)
    }
    return {
      items: actual.items.length,
      rejectedItems,
      files: table.files.length,
      differences,
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Generated requests of the seeds as the flush takes them: envelopes of one and of many requests. */
export function decodeAll(
  signal: SignalName,
  encoding: Encoding,
  seeds: readonly number[],
): { entries: FlushEntry[]; rejectedItems: number } {
  const builder = new BatchBuilder(Signal[signal])
  const entries: FlushEntry[] = []
  let rejectedItems = 0
  const close = (): void => {
    if (builder.rowCount === 0) return
    entries.push({ bytes: envelopeOf(builder), suppressed: new Int32Array(0) })
    builder.reset()
  }
  for (const seed of seeds) {
    const body =
      encoding === 'json'
        ? transcodeJson(Signal[signal], generateJson(signal, seed))
        : generateProtobuf(signal, seed, { splitsMessages: seed % 3 === 0 })
    rejectedItems += decodeInto(builder, body, OPTIONS).rejectedItems
    // batches of one request and of many
    if (seed % 4 === 0) close()
  }
  close()
  return { entries, rejectedItems }
}

/** A batch as the log holds it. */
export function envelopeOf(builder: BatchBuilder): Uint8Array {
  const { signal, rowCount, otlpBytes, minTimeUnixNano, maxTimeUnixNano } = builder
  const header = {
    signal,
    tenant: OPTIONS.tenant,
    batchId: new Uint8Array(16),
    rowCount,
    otlpBytes,
    arrivalUnixNano: OPTIONS.arrivalUnixNano,
    minTimeUnixNano,
    maxTimeUnixNano,
    chunks: batchChunks([]),
  }
  return writeEnvelopeWithBatch(header, builder)
}

/** Writes the files of the entries into a folder. */
export function flush(
  signal: SignalName,
  entries: readonly FlushEntry[],
  directory: string,
  attributeColumnsMax: number,
  rowGroupRowsMax = 1000,
): Promise<TableResult> {
  const job = {
    tenant: OPTIONS.tenant,
    signal,
    topic: 'test',
    partition: 0,
    start: '0',
    end: String(entries.length),
    entries,
    settings: {
      rowGroupRowsMax,
      rowGroupBytesMax: 64 * 1024 * 1024,
      fileRowsMax: 4_000_000,
      fileBytesMax: 256 * 1024 * 1024,
      hoursMax: LIMITS.hoursPerFlushMax,
      attributeColumnsMax,
      zstdLevel: 1,
    },
  }
  return writeTable(job, {
    schemaOf: (wanted) => {
      const empty = SchemaState.empty(OPTIONS.tenant, signal)
      return Promise.resolve(empty.with(1, empty.additionsFor(wanted)))
    },
    createFile: () => new SpoolFile(directory),
  })
}

async function replayAll(signal: SignalName, table: TableResult): Promise<Uint8Array[]> {
  const bodies: Uint8Array[] = []
  const stored = await StoredRows.open()
  try {
    for (const { path } of table.files) {
      const rows = stored.rows(path, { fromMicros: undefined, untilMicros: undefined })
      const columns = await stored.columnMap(path)
      for await (const { body } of replayRequests(signal, columns, rows)) bodies.push(body)
    }
  } finally {
    stored.close()
  }
  return bodies
}
