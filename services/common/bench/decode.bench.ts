/**
 * Protobuf requests into columns, against protobufjs decoding the same bytes to objects in the same
 * run. Prints a line per load: items/s, MB/s, microseconds per item and the ratio to the rival.
 * `node services/common/bench/decode.bench.ts [--json] [--seconds N] [load...]`
 */
import { strict as assert } from 'node:assert'

import { BatchBuilder } from '../src/columnar/batch-builder.ts'
import { decodeInto } from '../src/otlp/decoder.ts'
import { Signal, type SignalName } from '../src/signal.ts'
import { exportRequest } from '../src/testing/otlp-messages.ts'
import { payload, type PayloadOptions } from '../src/testing/payloads.ts'

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

interface Result {
  readonly load: string
  readonly itemsPerSecond: number
  readonly megabytesPerSecond: number
  readonly microsPerItem: number
  readonly bytesPerItem: number
  readonly rivalItemsPerSecond: number
  readonly ratio: number
}

function bodiesOf(load: Load): Uint8Array[] {
  const { records } = load.options
  const count = Math.max(20, Math.min(400, Math.ceil(20_000 / records)))
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

/** Best of several runs of at least `seconds` together, in items per second. */
function measure(seconds: number, itemsPerRun: number, run: () => void): number {
  const until = performance.now() + seconds * 1000
  let best = Infinity
  while (performance.now() < until) {
    const start = performance.now()
    run()
    best = Math.min(best, performance.now() - start)
  }
  return itemsPerRun / (best / 1000)
}

function benchLoad(name: string, load: Load, seconds: number): Result {
  const bodies = bodiesOf(load)
  const items = bodies.length * load.options.records
  const bytes = bodies.reduce((sum, body) => sum + body.length, 0)
  const builder = new BatchBuilder(Signal[load.signal])
  assert.equal(decodeAll(bodies, builder), items, 'every item becomes a row')
  const itemsPerSecond = measure(seconds, items, () => {
    decodeAll(bodies, builder)
  })
  const { type } = exportRequest(load.signal)
  const rivalBodies = bodies.slice(0, Math.ceil(bodies.length / 4))
  const rivalItems = rivalBodies.length * load.options.records
  const rivalItemsPerSecond = measure(seconds / 2, rivalItems, () => {
    for (const body of rivalBodies) type.decode(body)
  })
  return {
    load: name,
    itemsPerSecond,
    megabytesPerSecond: (itemsPerSecond * bytes) / items / 1e6,
    microsPerItem: 1e6 / itemsPerSecond,
    bytesPerItem: bytes / items,
    rivalItemsPerSecond,
    ratio: itemsPerSecond / rivalItemsPerSecond,
  }
}

function main(args: readonly string[]): void {
  const isJson = args.includes('--json')
  const secondsAt = args.indexOf('--seconds')
  const seconds = secondsAt < 0 ? 2 : Number(args[secondsAt + 1])
  const wanted = args.filter((arg) => arg in LOADS)
  const names = wanted.length > 0 ? wanted : Object.keys(LOADS)
  for (const name of names) {
    const result = benchLoad(name, LOADS[name]!, seconds)
    if (isJson) console.log(JSON.stringify(result))
    else console.log(lineOf(result))
  }
}

function lineOf(result: Result): string {
  return [
    result.load.padEnd(32),
    `${(result.itemsPerSecond / 1000).toFixed(0)} k/s`.padStart(9),
    `${result.megabytesPerSecond.toFixed(0)} MB/s`.padStart(9),
    `${result.microsPerItem.toFixed(2)} us`.padStart(9),
    `${result.bytesPerItem.toFixed(0)} B`.padStart(8),
    `protobufjs ${(result.rivalItemsPerSecond / 1000).toFixed(0)} k/s`.padStart(20),
    `${result.ratio.toFixed(1)}x`.padStart(7),
  ].join(' ')
}

main(process.argv.slice(2))
