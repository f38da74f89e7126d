/** Attributes that find no column in their batch, or lose it. */
import { strict as assert } from 'node:assert'
import test from 'node:test'

import { writeBatch } from '../../src/columnar/arrow-writer.ts'
import { BatchBuilder } from '../../src/columnar/batch-builder.ts'
import { batchRows } from '../../src/columnar/batch-rows.ts'
import { openBatch } from '../../src/columnar/batch-view.ts'
import { decodeInto } from '../../src/otlp/decoder.ts'
import { Signal } from '../../src/signal.ts'
import { OPTIONS, attribute, decode, decodeWhole, logs, text } from './request-bytes.ts'

test('a request of many keys keeps its size: what finds no column stands in pairs', () => {
  const records = Array.from({ length: 5000 }, (_, index) =>
    Buffer.concat([
      attribute(`key ${index}`, text(`value ${index}`)),
      attribute(`int ${index}`, [0x18, 7]),
      attribute(`none ${index}`),
      attribute('common', text('c')),
    ]),
  )
  const body = logs(...records)
  const batch = new BatchBuilder(Signal.logs)
  decodeWhole(batch, body, OPTIONS)
  assert.ok(batch.attributeColumns.length <= 300)
  assert.ok(batch.attributes.sparse.count > 14_000)
  const bytes = writeBatch(batch)
  assert.ok(bytes.length < 3 * body.length)
  assert.ok(batch.estimatedBytes() < 1.2 * bytes.length)
  const rows = [...batchRows(openBatch(bytes))]
  const last = rows.at(-1)!
  assert.equal(last['attributes.common@string'], 'c')
  assert.deepEqual(last['sparse_keys'], ['key 4999', 'int 4999', 'none 4999'])
  assert.deepEqual(last['sparse_values'], [
    Uint8Array.from(text('value 4999')),
    Uint8Array.of(0x18, 7),
    new Uint8Array(0),
  ])
})

test('equal keys without a column are seen as equal too', () => {
  const many = Array.from({ length: 2000 }, (_, index) => attribute(`key ${index}`, text('v')))
  const twice = [attribute('twice', text('first')), attribute('twice', text('second'))]
  const { rows, outcome } = decode(logs(...many, Buffer.concat(twice)))
  assert.equal(outcome.counters.duplicateKeys, 1)
  assert.deepEqual(rows.at(-1)!['sparse_keys'], ['twice'])
  assert.deepEqual(rows.at(-1)!['sparse_values'], [Uint8Array.from(text('second'))])
})

test('a key that few rows of a batch have gets no column in the next, and one again when many do', () => {
  const batch = new BatchBuilder(Signal.logs)
  const request = (rareRows: number): Buffer =>
    logs(
      ...Array.from({ length: 100 }, (_, index) =>
        Buffer.concat([
          attribute('usual', text('u')),
          ...(index < rareRows ? [attribute('rare', text(`r${index}`))] : []),
        ]),
      ),
    )
  const columnNames = (): string[] => batch.attributeColumns.map(({ name }) => name)
  const both = ['attributes.usual@string', 'attributes.rare@string']
  for (const [rareRows, names, pairs] of [
    [12, both, 0],
    [20, ['attributes.usual@string'], 20],
    [25, ['attributes.usual@string'], 25],
    [20, both, 0],
    [12, both, 0],
    [100, ['attributes.usual@string'], 100],
    [1, both, 0],
  ] as const) {
    decodeInto(batch, request(rareRows), OPTIONS)
    assert.deepEqual(columnNames(), names)
    assert.equal(batch.attributes.sparse.count, pairs)
    batch.reset()
  }
})

test('odd values without a column are stored as the ones that they mean', () => {
  const batch = new BatchBuilder(Signal.logs)
  const rare = (index: number, value: Uint8Array): Buffer =>
    index === 0 ? attribute('rare', value) : Buffer.alloc(0)
  const request = (value: Uint8Array): Buffer =>
    logs(...Array.from({ length: 64 }, (_, index) => rare(index, value)))
  decodeInto(batch, request(text('first')), OPTIONS)
  batch.reset()
  // a length in two bytes where one does, and an int in ten: legal, and not in normal form
  const longText = Uint8Array.of(0x0a, 0x81, 0x00, 0x61)
  const longInt = Uint8Array.of(0x18, 0x87, 0x80, 0x00)
  const seven = Uint8Array.of(0x18, 7)
  for (const value of [text('a'), longText, seven, longInt]) {
    decodeInto(batch, request(value), OPTIONS)
  }
  const rows = [...batchRows(openBatch(writeBatch(batch)))]
  const values = rows.flatMap(
    (row) => (row['sparse_values'] as readonly Uint8Array[] | undefined) ?? [],
  )
  const normal = [text('a'), text('a'), seven, seven]
  assert.deepEqual(
    values,
    normal.map((value) => Uint8Array.from(value)),
  )
  assert.equal(batch.attributes.sparse.values.entries.size, 2)
})

test('keys that were dropped, as too many came, are not guessed any more', () => {
  const batch = new BatchBuilder(Signal.logs)
  const keys = (...names: readonly string[]): Buffer =>
    Buffer.concat(names.map((name) => attribute(name, text(name))))
  const many = Array.from({ length: 5000 }, (_, index) => keys(`key ${index}`))
  decodeWhole(batch, logs(keys('a', 'b'), ...many, keys('a', 'b')), OPTIONS)
  batch.reset()
  decodeWhole(batch, logs(keys('a', 'b'), keys('b', 'a')), OPTIONS)
  const columns = batch.attributeColumns.map(({ name, count }) => [name, count])
  assert.deepEqual(columns, [
    ['attributes.a@string', 2],
    ['attributes.b@string', 2],
  ])
})
