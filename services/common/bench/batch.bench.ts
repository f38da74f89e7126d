/**
 * Writes and opens the Arrow stream of a log batch, ours against apache-arrow, for batches of 1 to
 * 1,000 records. Each reader reads the other's stream first and must find the same values.
 * apache-arrow writes a table that it has open already, so its figure leaves the building out.
 *
 *     node services/common/bench/batch.bench.ts [--runs 5] [--seconds 0.06] [--json FILE]
 */
import assert from 'node:assert/strict'

import { batchChunks } from '../src/columnar/chunk-list.ts'
import { tableFromIPC, tableToIPC } from 'apache-arrow'

import { writeBatch } from '../src/columnar/arrow-writer.ts'
import { batchRows } from '../src/columnar/batch-rows.ts'
import { openBatch } from '../src/columnar/batch-view.ts'
import { decodeEnvelope, type EnvelopeHeader } from '../src/columnar/envelope.ts'
import { writeEnvelopeWithBatch } from '../src/columnar/envelope-writer.ts'
import { Signal } from '../src/signal.ts'
import {
  benchRow,
  finishBench,
  parseBenchFlags,
  timeRuns,
  type BenchFlags,
  type BenchRow,
} from './bench-harness.ts'
import { logBatch } from './log-batch.ts'

const ROW_COUNTS = [1, 10, 100, 1000]

function headerOf(rowCount: number): EnvelopeHeader {
  const hash = new Uint8Array(16)
  return {
    signal: Signal.logs,
    tenant: 'default',
    batchId: new Uint8Array(16),
    rowCount,
    otlpBytes: 400 * rowCount,
    arrivalUnixNano: 1n,
    minTimeUnixNano: 1n,
    maxTimeUnixNano: 2n,
    chunks: batchChunks([{ hash, rowStart: 0, rowCount, removable: true }]),
  }
}

async function benchBatch(records: number, flags: BenchFlags): Promise<BenchRow[]> {
  const builder = logBatch(records)
  const stream = writeBatch(builder)
  const table = tableFromIPC(stream)
  const rival = tableToIPC(table, 'stream')
  assert.deepEqual([...batchRows(openBatch(rival))], [...batchRows(openBatch(stream))])
  assert.equal(tableFromIPC(stream).numRows, records)
  const header = headerOf(records)
  const envelope = writeEnvelopeWithBatch(header, builder)
  assert.deepEqual(decodeEnvelope(envelope), { header, arrow: stream })
  const contenders: [string, number, () => unknown][] = [
    ['write, ours', stream.byteLength, () => writeBatch(builder)],
    ['write, apache-arrow', rival.byteLength, () => tableToIPC(table, 'stream')],
    ['open, ours', stream.byteLength, () => openBatch(stream)],
    ['open, apache-arrow', rival.byteLength, () => tableFromIPC(stream)],
    [
      'write with envelope and CRC',
      envelope.byteLength,
      () => writeEnvelopeWithBatch(header, builder),
    ],
    ['check CRC and open', envelope.byteLength, () => openBatch(decodeEnvelope(envelope).arrow)],
  ]
  const rows: BenchRow[] = []
  for (const [name, byteCount, run] of contenders) {
    const { wallMs } = await timeRuns(run, flags, 20)
    const figures = {
      usPerBatch: wallMs.map((ms) => 1000 * ms),
      recordsPerSecond: wallMs.map((ms) => (1000 * records) / ms),
      bytesPerRecord: byteCount / records,
    }
    const rival = RIVALS[name]
    rows.push(benchRow(titleOf(name, records), figures, rival && titleOf(rival, records)))
  }
  return rows
}

/** What a contender is compared with. */
const RIVALS: Readonly<Record<string, string>> = {
  'write, ours': 'write, apache-arrow',
  'open, ours': 'open, apache-arrow',
}

function titleOf(name: string, records: number): string {
  return `${name}, ${records} records`
}

const flags = parseBenchFlags({ runs: 5, seconds: 0.06 })
const rows: BenchRow[] = []
for (const records of ROW_COUNTS) rows.push(...(await benchBatch(records, flags)))
finishBench('batch', rows, flags)
