/**
 * Protobuf requests into columns, against protobufjs decoding the same bytes in the same run, for the data
 * sets that the product is made for. Of the rivals one stops at objects; the other goes on to values by
 * column, as a JavaScript program does that wants what we have then.
 *
 *     node services/common/bench/decode.bench.ts [--runs N] [--seconds N] [--json FILE] [load...]
 */
import { strict as assert } from 'node:assert'

import { BatchBuilder } from '../src/columnar/batch-builder.ts'
import { decodeInto } from '../src/otlp/decoder.ts'
import { Signal, type SignalName } from '../src/signal.ts'
import { exportRequest } from '../src/testing/otlp-messages.ts'
import { payload, type PayloadOptions } from '../src/testing/payloads.ts'
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
  type RunSamples,
} from './bench-harness.ts'
import { RivalRows } from './rival-rows.ts'

interface Load {
  readonly signal: SignalName
  readonly options: PayloadOptions
}

const LOADS: Readonly<Record<string, Load>> = {
  'logs 1000x10': { signal: 'logs', options: { records: 1000, resources: 10 } },
  'logs 1000x1': { signal: 'logs', options: { records: 1000 } },
  'logs 100x10': { signal: 'logs', options: { records: 100, resources: 10 } },
  'logs 10': { signal: 'logs', options: { records: 10 } },
  'logs 1': { signal: 'logs', options: { records: 1 } },
  'logs 10000 streams': {
    signal: 'logs',
    options: { records: 1000, resources: 100, resourcesInAll: 10_000 },
  },
  'logs 200 sparse keys': { signal: 'logs', options: { records: 1000, sparseKeys: 200 } },
  'logs low cardinality': {
    signal: 'logs',
    options: { records: 1000, resources: 10, cardinality: 20 },
  },
  'logs 10000x10': { signal: 'logs', options: { records: 10_000, resources: 10 } },
  'logs 1 KB': { signal: 'logs', options: { records: 200, bodyBytesMin: 1000 } },
  'logs 100 KB': { signal: 'logs', options: { records: 2, bodyBytesMin: 100_000 } },
  'logs 10 KB': { signal: 'logs', options: { records: 20, bodyBytesMin: 10_000 } },
  'spans 1000x10': { signal: 'spans', options: { records: 1000, resources: 10 } },
  'points 1000x10': { signal: 'metrics', options: { records: 1000, resources: 10 } },
  'points 1000x1000 metrics sparse': {
    signal: 'metrics',
    options: { records: 1000, sparseKeys: 100 },
  },
}

const BATCH_BYTES = 256 * 1024
const ARRIVAL_UNIX_NANO = 1_800_000_000_000_000_000n

function bodiesOf(load: Load, isSmoke: boolean): Uint8Array[] {
  const { records } = load.options
  const items = isSmoke ? 1000 : 20_000
  const count = Math.max(isSmoke ? 2 : 20, Math.min(400, Math.ceil(items / records)))
  return Array.from({ length: count }, (_, call) => payload(load.signal, { ...load.options, call }))
}

/** Decodes all bodies into batches of the usual size; how many rows came in. */
function decodeAll(bodies: readonly Uint8Array[], builder: BatchBuilder): number {
  let rows = 0
  for (const body of bodies) {
    const outcome = decodeInto(builder, body, {
      tenant: 'default',
      arrivalUnixNano: ARRIVAL_UNIX_NANO,
    })
    rows += outcome.rows
    if (builder.estimatedBytes() >= BATCH_BYTES) builder.reset()
  }
  return rows
}

/** Items, bodies and bytes of one call of the work. */
interface Work {
  readonly bodies: readonly Uint8Array[]
  readonly items: number
  readonly bytes: number
}

function workOf(load: Load, bodies: readonly Uint8Array[]): Work {
  const bytes = bodies.reduce((sum, body) => sum + body.length, 0)
  return { bodies, items: bodies.length * load.options.records, bytes }
}

async function benchLoad(name: string, load: Load, flags: BenchFlags): Promise<BenchRow[]> {
  const ours = workOf(load, bodiesOf(load, flags.isSmoke))
  const builder = new BatchBuilder(Signal[load.signal])
  const decode = (): number => decodeAll(ours.bodies, builder)
  assert.equal(decode(), ours.items, 'every item becomes a row')
  const samples = await timeRuns(decode, flags)
  const heapBytes = await heapBytesOf(decode)
  const { type } = exportRequest(load.signal)
  const theirs = workOf(load, ours.bodies.slice(0, Math.ceil(ours.bodies.length / 4)))
  const decodeToObjects = (): void => {
    for (const body of theirs.bodies) type.decode(body)
  }
  const decodeToColumns = (): void => {
    const rivalRows = new RivalRows()
    for (const body of theirs.bodies) rivalRows.addRequest(load.signal, body)
    rivalRows.finish()
    assert.equal(rivalRows.rowCount, theirs.items)
  }
  const row = (title: string, work: Work, runs: RunSamples, allocated: number, versus?: string) =>
    benchRow(
      title,
      {
        ...throughputFigures(runs, work.items, work.bytes),
        heapBytesPerRecord: allocated / work.items,
        otlpBytesPerRecord: work.bytes / work.items,
      },
      versus,
    )
  const rows = [row(name, ours, samples, heapBytes, `${name}, protobufjs to columns`)]
  for (const [rival, work] of [
    ['protobufjs to columns', decodeToColumns],
    ['protobufjs to objects', decodeToObjects],
  ] as const) {
    const rivalSamples = await timeRuns(work, flags)
    rows.push(row(`${name}, ${rival}`, theirs, rivalSamples, await heapBytesOf(work)))
  }
  return rows
}

const flags = parseBenchFlags({ runs: 5, seconds: 0.4 })
const rows: BenchRow[] = []
for (const [name, load] of Object.entries(LOADS)) {
  if (isWanted(flags, name)) rows.push(...(await benchLoad(name, load, flags)))
}
finishBench('decode', rows, flags)
