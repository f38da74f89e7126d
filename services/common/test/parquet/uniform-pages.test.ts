import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFooter, readOffsetIndex } from './raw-metadata.ts'
import { leafField } from './sample-columns.ts'
import { writeSample } from './sample-file.ts'

test('a column of nulls or of one value is one page, others have one per 20,000 rows', () => {
  const rows = Array.from({ length: 50_000 }, (_, row) => row)
  const file = writeSample({
    columns: [
      { field: leafField('nulls', 'BYTE_ARRAY', 'STRING'), rows: rows.map(() => null) },
      {
        field: leafField('same', 'BYTE_ARRAY', 'STRING'),
        rows: rows.map(() => 'x'),
        shape: 'runs',
      },
      {
        field: leafField('two', 'BYTE_ARRAY', 'STRING'),
        rows: rows.map((row) => (row < 30_000 ? 'a' : 'b')),
        shape: 'runs',
      },
    ],
  })
  const pages = readFooter(file).row_groups[0]!.columns.map(
    (chunk) => readOffsetIndex(file, chunk).length,
  )
  assert.deepEqual(pages, [1, 1, 3])
})
