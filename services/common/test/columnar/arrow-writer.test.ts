import assert from 'node:assert/strict'
import { test } from 'node:test'

import { writeBatch } from '../../src/columnar/arrow-writer.ts'
import { BatchBuilder } from '../../src/columnar/batch-builder.ts'
import { openBatch } from '../../src/columnar/batch-view.ts'
import { Signal } from '../../src/signal.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import { readWithApacheArrow, readWithPyarrow } from './arrow-foreign-reader.ts'
import { appendText, randomBatch, startRun, viewTexts } from './random-batch.ts'

const SIGNALS = [Signal.logs, Signal.spans, Signal.metrics] as const
const ROW_COUNTS = [0, 1, 2, 7, 8, 9, 63, 64, 65, 300, 1000]

test('PyArrow and apache-arrow read every value of every type as it was appended', () => {
  const random = new SeededRandom(1)
  const batches = SIGNALS.flatMap((signal) =>
    ROW_COUNTS.map((rowCount) => randomBatch(random, signal, rowCount)),
  )
  const streams = batches.map(({ builder }) => writeBatch(builder))
  const foreign = readWithPyarrow(streams)
  batches.forEach(({ builder, expected }, index) => {
    const stream = streams[index]!
    assert.equal(foreign[index]!.rows, builder.rowCount)
    assert.deepEqual(Object.entries(foreign[index]!.texts), Object.entries(expected))
    assert.deepEqual(Object.entries(viewTexts(openBatch(stream))), Object.entries(expected))
    assert.deepEqual(Object.entries(readWithApacheArrow(stream)), Object.entries(expected))
  })
})

test('what openBatch reads is what was appended, for many random batches', () => {
  const random = new SeededRandom(2)
  for (let round = 0; round < 150; round++) {
    const { builder, expected } = randomBatch(random, random.pick(SIGNALS), random.below(90))
    const texts = viewTexts(openBatch(writeBatch(builder)))
    assert.deepEqual(Object.entries(texts), Object.entries(expected))
  }
})

test('a builder that was reset writes the next batch as a fresh one does', () => {
  const builder = new BatchBuilder(Signal.metrics)
  randomBatch(new SeededRandom(3), Signal.metrics, 500, builder)
  writeBatch(builder)
  builder.reset()
  const reused = randomBatch(new SeededRandom(4), Signal.metrics, 60, builder)
  const texts = viewTexts(openBatch(writeBatch(builder)))
  assert.deepEqual(Object.entries(texts), Object.entries(reused.expected))
})

test('equal builders give equal bytes', () => {
  const [first, second] = [5, 5].map((seed) =>
    writeBatch(randomBatch(new SeededRandom(seed), Signal.spans, 100).builder),
  )
  assert.deepEqual(first, second)
})

test('dictionary ids take 8 bits up to 128 entries, 16 up to 32,768, else 32', () => {
  const cases = [
    { entryCount: 127, index: 'int8' },
    { entryCount: 128, index: 'int8' },
    { entryCount: 129, index: 'int16' },
    { entryCount: 32_768, index: 'int16' },
    { entryCount: 32_769, index: 'int32' },
  ]
  const streams = cases.map(({ entryCount }) => writeBatch(dictionaryBatch(entryCount)))
  const foreign = readWithPyarrow(streams)
  cases.forEach(({ entryCount, index }, number) => {
    const { types, texts } = foreign[number]!
    assert.equal(types['event_name'], `dictionary<values=string, indices=${index}, ordered=0>`)
    const names = texts['event_name']!
    names.forEach((name, row) => {
      assert.equal(name, row % 50 === 49 ? null : `s:e${row % entryCount}`)
    })
    const opened = viewTexts(openBatch(streams[number]!))
    assert.deepEqual(Object.entries(opened), Object.entries(texts))
  })
})

/** Rows with `entryCount` event names in turn; every 50th row has none but keeps the turn. */
function dictionaryBatch(entryCount: number): BatchBuilder {
  const rowCount = 3 * entryCount
  const builder = new BatchBuilder(Signal.logs)
  startRun(builder.resource, 0, Uint8Array.of(1))
  startRun(builder.scope, 0, Uint8Array.of(2))
  for (let row = 0; row < rowCount; row++) {
    builder.logs.time.append(row, row, 0)
    if (row % 50 !== 49) appendText(builder.logs.eventName, row, `e${row % entryCount}`)
  }
  builder.rowCount = rowCount
  return builder
}

test('40,000 rows of mostly distinct values are written plain and read back', () => {
  const random = new SeededRandom(6)
  const { builder, expected } = randomBatch(random, Signal.logs, 40_000)
  const stream = writeBatch(builder)
  assert.deepEqual(Object.entries(viewTexts(openBatch(stream))), Object.entries(expected))
  assert.deepEqual(Object.entries(readWithApacheArrow(stream)), Object.entries(expected))
})

test('more schemas than the caches hold are each written and read as they are', () => {
  for (let round = 0; round < 2; round++) {
    for (let number = 0; number < 600; number++) {
      const builder = new BatchBuilder(Signal.logs)
      startRun(builder.resource, 0, Uint8Array.of(1))
      startRun(builder.scope, 0, Uint8Array.of(2))
      const name = new TextEncoder().encode(`key ${number}`)
      const key = builder.attributes.key(name, new DataView(name.buffer), 0, name.length)
      builder.attributes.intColumn(key).append(0, number, 0)
      builder.rowCount = 1
      const texts = viewTexts(openBatch(writeBatch(builder)))
      assert.deepEqual(texts[`attributes.key ${number}@int`], [`i:${number}`])
    }
  }
})

test('a batch of standard logs stays small with few rows and with many', () => {
  const limits = [
    { rowCount: 1, bytesMax: 3000 },
    { rowCount: 10, bytesMax: 4600 },
    { rowCount: 100, bytesMax: 16_500 },
    { rowCount: 1000, bytesMax: 160_000 },
  ]
  for (const { rowCount, bytesMax } of limits) {
    const { byteLength } = writeBatch(standardLogs(rowCount))
    assert.ok(byteLength <= bytesMax, `${rowCount} rows: ${byteLength} bytes`)
  }
})

const LOG_KEYS = [
  'http.request.method',
  'url.path',
  'client.address',
  'user_agent.original',
  'enduser.id',
  'http.response.status_code',
  'server.port',
  'duration_ms',
]

/** About 350 bytes of OTLP a record: 8 attributes, trace ids, a distinct body. */
function standardLogs(rowCount: number): BatchBuilder {
  const random = new SeededRandom(7)
  const builder = new BatchBuilder(Signal.logs)
  const { logs, attributes } = builder
  const keys = LOG_KEYS.map((text) => {
    const name = new TextEncoder().encode(text)
    return attributes.key(name, new DataView(name.buffer), 0, name.length)
  })
  for (let row = 0; row < rowCount; row++) {
    if (row % 100 === 0) startRun(builder.resource, row, random.bytes(200))
    if (row % 100 === 0) startRun(builder.scope, row, Buffer.from('io.example.scope 1.2.3'))
    logs.time.append(row, row * 1000, 0x1900_0000)
    logs.observedTime.append(row, row * 1000 + 500, 0x1900_0000)
    logs.severityNumber.append(row, random.pick([9, 13, 17]))
    appendText(logs.severityText, row, random.pick(['INFO', 'WARN', 'ERROR']))
    appendText(logs.bodyString, row, `GET /api/v1/items/${random.uint32()} took ${row} ms`)
    logs.traceId.append(row, new DataView(random.bytes(16).buffer), 0)
    logs.spanId.append(row, new DataView(random.bytes(8).buffer), 0)
    keys.forEach((key, index) => {
      if (index < 5) appendText(attributes.stringColumn(key), row, `value ${random.below(12)}`)
      else attributes.intColumn(key).append(row, random.below(1000), 0)
    })
  }
  builder.rowCount = rowCount
  return builder
}
