/**
 * OTLP/JSON into columns (transcoding to protobuf and decoding it), against JSON.parse with the
 * conversion to values by column that a JavaScript program would write.
 *
 *     node services/common/bench/json.bench.ts [--runs N] [--seconds N] [--json FILE] [part of a row's name...]
 */
import { strict as assert } from 'node:assert'

import { BatchBuilder } from '../src/columnar/batch-builder.ts'
import { decodeInto } from '../src/otlp/decoder.ts'
import { transcodeJson } from '../src/otlp/json-transcoder.ts'
import { Signal, type SignalName } from '../src/signal.ts'
import { jsonPayload } from '../src/testing/json-payload.ts'
import { payload } from '../src/testing/payloads.ts'
import {
  benchRow,
  finishBench,
  heapBytesOf,
  isWanted,
  parseBenchFlags,
  throughputFigures,
  timeRuns,
  type BenchFlags,
  type BenchRow,
} from './bench-harness.ts'
import { RivalRows } from './rival-rows.ts'

const RECORDS = 1000
const BODIES = 20
const BATCH_BYTES = 256 * 1024

async function benchSignal(signal: SignalName, flags: BenchFlags): Promise<BenchRow[]> {
  const bodies = Array.from({ length: flags.isSmoke ? 2 : BODIES }, (_, call) =>
    jsonPayload(signal, payload(signal, { records: RECORDS, resources: 10, call })),
  )
  const bytes = bodies.reduce((sum, { length }) => sum + length, 0)
  const builder = new BatchBuilder(Signal[signal])
  const options = { tenant: 'default', arrivalUnixNano: 1_800_000_000_000_000_000n }
  const toColumns = (): number => {
    let rows = 0
    for (const body of bodies) {
      rows += decodeInto(builder, transcodeJson(Signal[signal], body), options).rows
      if (builder.estimatedBytes() >= BATCH_BYTES) builder.reset()
    }
    return rows
  }
  const parse = (): number => {
    const rows = new RivalRows()
    for (const body of bodies) {
      rows.addMessage(signal, JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>)
    }
    rows.finish()
    return rows.rowCount
  }
  const records = bodies.length * RECORDS
  const rival = `${signal}, JSON.parse and conversion`
  const rows: BenchRow[] = []
  for (const [name, work, versus] of [
    [`${signal}, JSON to columns`, toColumns, rival],
    [rival, parse, undefined],
  ] as const) {
    assert.equal(work(), records, 'every item becomes a row')
    const samples = await timeRuns(work, flags)
    const heapBytesPerRecord = (await heapBytesOf(work)) / records
    const figures = { ...throughputFigures(samples, records, bytes), heapBytesPerRecord }
    rows.push(benchRow(name, figures, versus))
  }
  return rows
}

const flags = parseBenchFlags({ runs: 5, seconds: 0.4 })
const rows: BenchRow[] = []
for (const signal of ['logs', 'spans', 'metrics'] as const) {
  if (isWanted(flags, signal)) rows.push(...(await benchSignal(signal, flags)))
}
finishBench('json', rows, flags)
