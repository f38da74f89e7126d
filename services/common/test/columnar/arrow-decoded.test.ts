import assert from 'node:assert/strict'
import { test } from 'node:test'

import { writeBatch } from '../../src/columnar/arrow-writer.ts'
import { BatchBuilder } from '../../src/columnar/batch-builder.ts'
import { openBatch } from '../../src/columnar/batch-view.ts'
import { BytesColumn } from '../../src/columnar/bytes-column.ts'
import { AppError } from '../../src/errors.ts'
import { decodeInto } from '../../src/otlp/decoder.ts'
import { Signal, SIGNAL_NAMES } from '../../src/signal.ts'
import { generateProtobuf } from '../../src/testing/otlp-generator.ts'
import { readWithPyarrow } from './arrow-foreign-reader.ts'
import { appendText, viewTexts } from './random-batch.ts'

const OPTIONS = { tenant: 'acme', arrivalUnixNano: 1_700_000_000_000_000_000n }

test('batches of decoded requests read the same in PyArrow, after resets and rollbacks too', () => {
  const streams: Uint8Array[] = []
  for (const name of SIGNAL_NAMES) {
    const reused = new BatchBuilder(Signal[name])
    for (let seed = 0; seed < 40; seed++) {
      const body = generateProtobuf(name, seed)
      const fresh = new BatchBuilder(Signal[name])
      decodeInto(fresh, body, OPTIONS)
      reused.reset()
      decodeInto(reused, body, OPTIONS)
      rejectBroken(reused, generateProtobuf(name, seed + 1000))
      const stream = writeBatch(reused)
      const texts = Object.entries(viewTexts(openBatch(stream)))
      assert.deepEqual(texts, Object.entries(viewTexts(openBatch(writeBatch(fresh)))))
      streams.push(stream)
    }
  }
  readWithPyarrow(streams).forEach(({ texts }, index) => {
    const ours = viewTexts(openBatch(streams[index]!))
    assert.deepEqual(Object.entries(ours), Object.entries(texts))
  })
})

/** A request that turns out bad at its last byte: everything before it is undone. */
function rejectBroken(builder: BatchBuilder, body: Uint8Array): void {
  const broken = Uint8Array.from([...body, 0x0a])
  assert.throws(
    () => decodeInto(builder, broken, OPTIONS),
    (error: unknown) => error instanceof AppError && error.code === 'malformed_body',
  )
}

test('a column that gives up its dictionary in every batch keeps to the memory of one batch', () => {
  const column = new BytesColumn('body@string', 'utf8', true)
  for (let batch = 0; batch < 100; batch++) {
    for (let row = 0; row < 60; row++) appendText(column, row, `value ${row % 40}`)
    column.finish(60)
    assert.equal(column.isDictionary, false)
    assert.ok(column.entries.bytes.byteLength < 4096)
    column.reset()
  }
})
