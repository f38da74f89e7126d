/** A seeded column batch of log records: 30 columns, 350 to 450 bytes of OTLP a record. */
import { BatchBuilder } from '../src/columnar/batch-builder.ts'
import type { BytesColumn } from '../src/columnar/bytes-column.ts'
import { Signal } from '../src/signal.ts'
import { SeededRandom } from '../src/testing/seeded-random.ts'

/** Attribute key, distinct values (0: all distinct) and the share of records that have it. */
const STRING_ATTRIBUTES: readonly (readonly [string, number, number])[] = [
  ['http.request.method', 5, 1],
  ['url.path', 200, 1],
  ['client.address', 500, 1],
  ['user_agent.original', 40, 1],
  ['enduser.id', 0, 0.9],
  ['code.function', 60, 1],
  ['thread.name', 16, 1],
  ['log.logger', 25, 1],
  ['server.address', 12, 0.5],
  ['error.type', 8, 0.05],
  ['exception.message', 0, 0.05],
  ['messaging.destination', 6, 0.1],
]
const INT_ATTRIBUTES = ['http.response.status_code', 'server.port', 'duration_us', 'thread.id']
const ROWS_PER_RESOURCE = 120

const encoder = new TextEncoder()

export function logBatch(rowCount: number, seed = 1): BatchBuilder {
  const random = new SeededRandom(seed)
  const builder = new BatchBuilder(Signal.logs)
  const { logs, attributes } = builder
  const keyOf = (text: string) => {
    const bytes = encoder.encode(text)
    return attributes.key(bytes, new DataView(bytes.buffer), 0, bytes.length)
  }
  const strings = STRING_ATTRIBUTES.map(([key, distinct, share]) => ({
    key: keyOf(key),
    distinct,
    share,
  }))
  const ints = INT_ATTRIBUTES.map(keyOf)
  const doubles = ['load', 'ratio'].map(keyOf)
  const flags = ['sampled', 'retried'].map(keyOf)
  for (let row = 0; row < rowCount; row++) {
    if (row % ROWS_PER_RESOURCE === 0) startRuns(builder, row, random)
    logs.time.append(row, row * 1000, 0x1900_0000)
    logs.observedTime.append(row, row * 1000 + 500, 0x1900_0000)
    logs.severityNumber.append(row, random.pick([9, 13, 17]))
    append(logs.severityText, row, random.pick(['INFO', 'WARN', 'ERROR']))
    append(logs.bodyString, row, `handled item ${random.uint32()} of order ${row} in time`)
    if (random.chance(0.6)) logs.traceId.append(row, new DataView(random.bytes(16).buffer), 0)
    if (random.chance(0.6)) logs.spanId.append(row, new DataView(random.bytes(8).buffer), 0)
    for (const { key, distinct, share } of strings) {
      if (!random.chance(share)) continue
      const value = distinct === 0 ? random.uint32() : random.below(distinct)
      append(attributes.stringColumn(key), row, `value-${value}`)
    }
    for (const key of ints) attributes.intColumn(key).append(row, random.below(1000), 0)
    for (const key of doubles) attributes.doubleColumn(key).append(row, random.uint32(), 0x3ff00000)
    for (const key of flags) attributes.boolColumn(key).append(row, random.chance(0.5) ? 1 : 0)
  }
  builder.rowCount = rowCount
  return builder
}

function append(column: BytesColumn, row: number, text: string): void {
  const bytes = encoder.encode(text)
  column.append(row, bytes, new DataView(bytes.buffer), 0, bytes.length, false)
}

function startRuns(builder: BatchBuilder, row: number, random: SeededRandom): void {
  for (const [column, length] of [
    [builder.resource, 180],
    [builder.scope, 24],
  ] as const) {
    const bytes = random.bytes(length)
    const view = new DataView(bytes.buffer)
    const hash = column.entries.hash(view, 0, length)
    column.start(row, column.entries.add(bytes, view, 0, length, hash, row))
  }
}
