/**
 * Writes and opens the Arrow stream of a log batch, ours against apache-arrow, for batches of 1 to
 * 1,000 records. Each reader reads the other's stream first and must find the same values.
 * apache-arrow writes a table that it has open already, so its figure leaves the building out.
 *
 *     node services/common/bench/batch.bench.ts [--ms 300] [--json FILE]
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import { tableFromIPC, tableToIPC } from 'apache-arrow'

import { writeBatch } from '../src/columnar/arrow-writer.ts'
import { batchRows } from '../src/columnar/batch-rows.ts'
import { openBatch } from '../src/columnar/batch-view.ts'
import { decodeEnvelope, type EnvelopeHeader } from '../src/columnar/envelope.ts'
import { writeEnvelopeWithBatch } from '../src/columnar/envelope-writer.ts'
import { Signal } from '../src/signal.ts'
import { logBatch } from './log-batch.ts'

interface BenchRow {
  readonly name: string
  readonly records: number
  readonly usPerBatch: number
  readonly usPerRecord: number
  readonly bytesPerRecord: number
}

const ROW_COUNTS = [1, 10, 100, 1000]

/** Median microseconds of a run, over samples of at least 5 ms after the first. */
function measure(run: () => unknown, durationMs: number): number {
  const samples: number[] = []
  const end = performance.now() + durationMs
  let repeats = 1
  while (performance.now() < end || samples.length === 0) {
    const start = performance.now()
    for (let repeat = 0; repeat < repeats; repeat++) run()
    const elapsedMs = performance.now() - start
    if (elapsedMs < 5) repeats *= 2
    else samples.push((1000 * elapsedMs) / repeats)
  }
  return samples.sort((left, right) => left - right)[samples.length >> 1]!
}

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
    chunks: [{ hash, rowStart: 0, rowCount, removable: true }],
  }
}

function benchBatch(records: number, durationMs: number): BenchRow[] {
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
  return contenders.map(([name, byteCount, run]) => {
    const usPerBatch = measure(run, durationMs)
    const bytesPerRecord = byteCount / records
    return { name, records, usPerBatch, usPerRecord: usPerBatch / records, bytesPerRecord }
  })
}

const { values } = parseArgs({
  options: { ms: { type: 'string', default: '300' }, json: { type: 'string' } },
})
const rows = ROW_COUNTS.flatMap((records) => benchBatch(records, Number(values.ms)))
console.table(
  rows.map(({ usPerBatch, usPerRecord, bytesPerRecord, ...names }) => ({
    ...names,
    usPerBatch: usPerBatch.toFixed(1),
    usPerRecord: usPerRecord.toFixed(3),
    bytesPerRecord: bytesPerRecord.toFixed(0),
  })),
)
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(rows, null, 2))
