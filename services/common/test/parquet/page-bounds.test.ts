import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PageIndex } from '../../src/parquet/page-index.ts'
import { PlainByteArrayValues } from '../../src/parquet/plain-values.ts'

test('bounds of long binary values hold although the chunk is bounded first', () => {
  // each of two pages one value, above the 64 bytes of a bound; a Buffer, as gathered values are
  const values = [Buffer.alloc(100, 1), Buffer.alloc(100, 7)]
  const data = Buffer.concat(values)
  const offsets = Int32Array.of(0, 100, 200)
  const plain = new PlainByteArrayValues(data, offsets, 2)
  const field = { kind: 'leaf', name: 'b', physical: 'BYTE_ARRAY', optional: true } as const
  const index = new PageIndex({ ...field, logical: undefined }, plain)
  for (const row of [0, 1]) {
    const bounds = plain.bounds(row, row + 1)
    index.add({ firstRow: row, offset: 4, bytes: 100, nullCount: 0, bounds })
  }
  index.statistics(0)
  const { min_values: mins, max_values: maxs } = index.columnIndex()!
  values.forEach((value, page) => {
    const min = Uint8Array.from(mins[page]!)
    const max = Uint8Array.from(maxs[page]!)
    assert(Buffer.compare(min, value) <= 0, 'the least is not above the value')
    assert(Buffer.compare(max, value) >= 0, 'the greatest is not below the value')
    assert.equal(max.length, 64)
  })
  assert.deepEqual(data, Buffer.concat(values), 'nothing was written to the values')
})
