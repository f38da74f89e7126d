import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Statistics, KeyValue } from '@dsnp/parquetjs/dist/gen-nodejs/parquet_types.js'
import { serializeThrift as foreignBytes } from '@dsnp/parquetjs/dist/lib/util.js'
import { binary, filled, int64, serializeThrift } from '../../src/parquet/thrift.ts'
import { decode, readFooter } from './raw-metadata.ts'
import { everyFlatColumn, everyListColumn } from './sample-columns.ts'
import { writeSample } from './sample-file.ts'

test('a whole footer has the bytes that the Thrift library writes', () => {
  const columns = [...everyFlatColumn(500), ...everyListColumn(500)]
  const file = writeSample({ columns, rowGroupRows: 100, keyValues: [['é', '\u{1f600}']] })
  const length = Buffer.from(file).readUInt32LE(file.length - 8)
  const ours = file.subarray(file.length - 8 - length, file.length - 8)
  assert.deepEqual(Buffer.from(ours), foreignBytes(readFooter(file)))
})

test('integers up to 2^52 and their negatives come back', () => {
  for (const value of [0, 1, 63, 64, 2 ** 31, 2 ** 32, 2 ** 40 + 1, 2 ** 52]) {
    for (const signed of [value, -value]) {
      const bytes = serializeThrift(filled(new Statistics(), { null_count: int64(signed) }))
      const read = new Statistics()
      decode(read, bytes)
      assert.equal(Number(read.null_count), signed + 0)
    }
  }
})

test('an integer that a number cannot hold is refused', () => {
  assert.throws(() => serializeThrift(filled(new Statistics(), { null_count: int64(2 ** 53 + 2) })))
})

test('values longer than the buffer come back', () => {
  const key = 'k'.repeat(100_000)
  const min_value = binary(new Uint8Array(50_000).fill(7))
  const read = new KeyValue({ key: '' })
  decode(read, serializeThrift(filled(new KeyValue({ key }), { value: 'v' })))
  assert.equal(read.key, key)
  const statistics = new Statistics()
  decode(statistics, serializeThrift(filled(new Statistics(), { min_value })))
  assert.deepEqual(new Uint8Array(statistics.min_value!), new Uint8Array(min_value))
})
