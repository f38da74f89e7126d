import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LeafColumn } from '../../src/parquet/column-values.ts'
import { ParquetFileWriter } from '../../src/parquet/file-writer.ts'
import type { Field } from '../../src/parquet/schema.ts'
import { leafField } from './sample-columns.ts'

function writerOf(fields: readonly Field[], sink: (bytes: Uint8Array) => void = () => undefined) {
  return new ParquetFileWriter({ fields, sink, sortingColumns: [], createdBy: 'test' })
}

const int = leafField('a', 'INT32')
const twoInts: LeafColumn = { values: { kind: 'int32', values: Int32Array.of(1, 2) }, count: 2 }

test('columns out of order, missing or repeated are refused', () => {
  const writer = writerOf([int, { ...int, name: 'b' }])
  writer.startRowGroup(2)
  assert.throws(() => writer.writeColumn(1, twoInts), /in order/)
  writer.writeColumn(0, twoInts)
  assert.throws(() => writer.writeColumn(0, twoInts), /in order/)
  assert.throws(() => writer.finishRowGroup(), /every column/)
  assert.throws(() => writer.finish([]), /finished/)
})

test('two columns of one name are refused', () => {
  const writer = writerOf([int, int])
  assert.throws(() => writer.finish([]), /unique/)
})

test('nulls need an optional column, and presence that counts them', () => {
  const one: LeafColumn = { values: { kind: 'int32', values: Int32Array.of(1) }, count: 1 }
  const columns: readonly (readonly [Field, LeafColumn, RegExp])[] = [
    [{ ...int, optional: false }, { ...one, presence: Uint8Array.of(1) }, /no nulls/],
    [int, one, /which rows/],
    [int, { ...one, presence: Uint8Array.of(3) }, /per present value/],
  ]
  for (const [field, column, message] of columns) {
    const writer = writerOf([field])
    writer.startRowGroup(2)
    assert.throws(() => writer.writeColumn(0, column), message)
  }
})

test('values of another type than the field are refused', () => {
  const writer = writerOf([leafField('a', 'INT64')])
  writer.startRowGroup(2)
  assert.throws(() => writer.writeColumn(0, twoInts), /INT32/)
})

test('ids beyond the dictionary are refused', () => {
  const dictionary = { data: Buffer.from('x'), offsets: Int32Array.of(0, 1) }
  for (const id of [1, -1]) {
    const writer = writerOf([leafField('a', 'BYTE_ARRAY')])
    writer.startRowGroup(2)
    const values = { kind: 'dictionary', ids: Int32Array.of(0, id), dictionary } as const
    assert.throws(() => writer.writeColumn(0, { values, count: 2 }), /dictionary/)
  }
})

test('a zstd level that would mean another one is refused', () => {
  const options = { fields: [int], sink: () => undefined, sortingColumns: [], createdBy: 'test' }
  assert.throws(() => new ParquetFileWriter({ ...options, zstdLevel: -1 }), /level/)
})

test('runs that do not cover the rows are refused', () => {
  const dictionary = { data: Buffer.from('x'), offsets: Int32Array.of(0, 1) }
  const runs = {
    kind: 'runs',
    runLengths: Int32Array.of(1),
    runIds: Int32Array.of(0),
    dictionary,
  } as const
  const writer = writerOf([leafField('a', 'BYTE_ARRAY')])
  writer.startRowGroup(2)
  assert.throws(() => writer.writeColumn(0, { values: runs, count: 1 }), /runs/)
})

test('elements within a null list are refused', () => {
  const element = leafField('element', 'INT32')
  const writer = writerOf([{ kind: 'list', name: 'l', optional: true, element }])
  writer.startRowGroup(1)
  const list = { offsets: Int32Array.of(0, 2), listPresence: Uint8Array.of(0), leaves: [twoInts] }
  assert.throws(() => writer.writeColumn(0, list), /null list/)
})

test('a row group of no rows leaves no trace', () => {
  const sizes = [false, true].map((withEmptyGroup) => {
    const writer = writerOf([int])
    if (withEmptyGroup) {
      writer.startRowGroup(0)
      writer.writeColumn(0, { values: { kind: 'int32', values: new Int32Array(0) }, count: 0 })
      writer.finishRowGroup()
    }
    return writer.finish([])
  })
  assert.deepEqual(sizes[0], sizes[1])
  assert.equal(sizes[0]!.rows, 0)
})

test('the sink may keep every buffer that it gets', () => {
  const kept: Uint8Array[] = []
  const copies: Uint8Array[] = []
  const writer = writerOf([leafField('a', 'DOUBLE')], (bytes) => {
    kept.push(bytes)
    copies.push(bytes.slice())
  })
  let state = 1
  for (let group = 0; group < 6; group++) {
    writer.startRowGroup(50_000)
    const values = Float64Array.from(
      { length: 50_000 },
      () => (state = (state * 48_271) % 2_147_483_647),
    )
    writer.writeColumn(0, { values: { kind: 'double', values }, count: 50_000 })
    writer.finishRowGroup()
  }
  const { bytes } = writer.finish([])
  assert(kept.length > 3)
  assert.deepEqual(kept, copies)
  assert.equal(
    kept.reduce((sum, part) => sum + part.length, 0),
    bytes,
  )
})

test('a NaN keeps its payload, plain and in a dictionary', () => {
  const payload = new BigUint64Array(1).fill(0xfff8_0000_dead_beefn)
  for (const count of [3, 3000]) {
    const values = new Float64Array(count).fill(new Float64Array(payload.buffer)[0]!)
    // a copy of bits: numbers might lose them on the way
    new BigUint64Array(values.buffer).fill(payload[0]!)
    const parts: Uint8Array[] = []
    const writer = new ParquetFileWriter({
      fields: [leafField('a', 'DOUBLE')],
      sink: (bytes) => parts.push(bytes),
      sortingColumns: [],
      createdBy: 'test',
      compression: 'none',
    })
    writer.startRowGroup(count)
    writer.writeColumn(0, { values: { kind: 'double', values }, count })
    writer.finishRowGroup()
    writer.finish([])
    assert(Buffer.concat(parts).includes(Buffer.from(payload.buffer)))
  }
})
