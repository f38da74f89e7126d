/**
 * OTLP/JSON requests into columns (transcoded to protobuf, then decoded), against what JavaScript
 * offers: JSON.parse, its objects converted and encoded by protobufjs, and the same decoder behind.
 * A second rival stops at protobufjs' objects.
 *
 *     node services/common/bench/json.bench.ts [--runs N] [--seconds N] [--json FILE] [load...]
 */
import { strict as assert } from 'node:assert'

import type { Message } from 'protobufjs'

import { BatchBuilder } from '../src/columnar/batch-builder.ts'
import { decodeInto } from '../src/otlp/decoder.ts'
import { transcodeJson } from '../src/otlp/json-transcoder.ts'
import { Signal, type SignalName } from '../src/signal.ts'
import { canonicalizeProtobuf, compareCanonical } from '../src/testing/otlp-canonical.ts'
import { encodeModelJson } from '../src/testing/otlp-json-emitter.ts'
import { exportRequest } from '../src/testing/otlp-messages.ts'
import { decodeModel } from '../src/testing/otlp-model.ts'
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
} from './bench-harness.ts'

interface Load {
  readonly signal: SignalName
  readonly options: PayloadOptions
}

const LOADS: Readonly<Record<string, Load>> = {
  'logs 1000x10': { signal: 'logs', options: { records: 1000, resources: 10 } },
  'logs 10': { signal: 'logs', options: { records: 10 } },
  'logs 10 KB': { signal: 'logs', options: { records: 20, bodyBytesMin: 10_000 } },
  'spans 1000x10': { signal: 'spans', options: { records: 1000, resources: 10 } },
  'points 1000x10': { signal: 'metrics', options: { records: 1000, resources: 10 } },
}

const RECORDS_PER_CALL = 4000
const BATCH_BYTES = 256 * 1024
const DECODE_OPTIONS = { tenant: 'default', arrivalUnixNano: 1_800_000_000_000_000_000n }

type JsonObject = Record<string, unknown>

/** Ids are hexadecimal in OTLP/JSON but base64 for protobufjs. */
function convertIds(value: unknown): void {
  if (Array.isArray(value)) {
    for (const element of value) convertIds(element)
    return
  }
  if (typeof value !== 'object' || value === null) return
  const object = value as JsonObject
  for (const key in object) {
    const member = object[key]
    const isId = key === 'traceId' || key === 'spanId' || key === 'parentSpanId'
    if (isId && typeof member === 'string') object[key] = Buffer.from(member, 'hex')
    else if (typeof member === 'object') convertIds(member)
  }
}

function parseAndConvert(signal: SignalName, text: Uint8Array): Message {
  const json = Buffer.from(text.buffer, text.byteOffset, text.length).toString()
  const object = JSON.parse(json) as JsonObject
  convertIds(object)
  return exportRequest(signal).type.fromObject(object)
}

/** The bytes that the rival makes of a body. */
function convertToBytes(signal: SignalName, text: Uint8Array): Uint8Array {
  return exportRequest(signal).type.encode(parseAndConvert(signal, text)).finish()
}

function jsonBodies({ signal, options }: Load): Uint8Array[] {
  const { type } = exportRequest(signal)
  const count = Math.max(4, Math.ceil(RECORDS_PER_CALL / options.records))
  return Array.from({ length: count }, (_, call) => {
    const protobuf = payload(signal, { ...options, call })
    const json = encodeModelJson(type, decodeModel(type, protobuf))
    const transcoded = canonicalizeProtobuf(signal, [transcodeJson(Signal[signal], json)])
    const expected = canonicalizeProtobuf(signal, [protobuf])
    assert.deepEqual(compareCanonical(expected.items, transcoded.items), [], 'nothing is lost')
    return json
  })
}

async function benchLoad(name: string, load: Load, flags: BenchFlags): Promise<BenchRow[]> {
  const { signal, options } = load
  const bodies = jsonBodies(load)
  const items = bodies.length * options.records
  const bytes = bodies.reduce((sum, body) => sum + body.length, 0)
  const builder = new BatchBuilder(Signal[signal])
  const transcode = (): void => {
    for (const body of bodies) transcodeJson(Signal[signal], body)
  }
  const toColumns = (protobufOf: (body: Uint8Array) => Uint8Array): number => {
    let rows = 0
    for (const body of bodies) {
      rows += decodeInto(builder, protobufOf(body), DECODE_OPTIONS).rows
      if (builder.estimatedBytes() >= BATCH_BYTES) builder.reset()
    }
    return rows
  }
  const ours = (): number => toColumns((body) => transcodeJson(Signal[signal], body))
  const theirs = (): number => toColumns((body) => convertToBytes(signal, body))
  assert.equal(ours(), items, 'every item becomes a row')
  assert.equal(theirs(), items)
  const convert = (): void => {
    for (const body of bodies) parseAndConvert(signal, body)
  }
  const rival = `${name}, JSON.parse and protobufjs to columns`
  const objects = `${name}, JSON.parse and protobufjs to objects`
  const contenders: [string, () => unknown, string?][] = [
    [`${name}, to columns`, ours, rival],
    [rival, theirs],
    [`${name}, to protobuf`, transcode, objects],
    [objects, convert],
  ]
  const rows: BenchRow[] = []
  for (const [title, work, versus] of contenders) {
    const samples = await timeRuns(work, flags)
    const figures = {
      ...throughputFigures(samples, items, bytes),
      heapBytesPerRecord: (await heapBytesOf(work)) / items,
      jsonBytesPerRecord: bytes / items,
    }
    rows.push(benchRow(title, figures, versus))
  }
  return rows
}

const flags = parseBenchFlags({ runs: 5, seconds: 0.3 })
const rows: BenchRow[] = []
for (const [name, load] of Object.entries(LOADS)) {
  if (isWanted(flags, name)) rows.push(...(await benchLoad(name, load, flags)))
}
finishBench('json', rows, flags)
