import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalRow } from './column-builder.ts'
import { readForeign } from './foreign-readers.ts'
import { everyFlatColumn, everyListColumn } from './sample-columns.ts'
import { type SampleFile, writeSample, writeSampleFile } from './sample-file.ts'

function everyColumn(count: number) {
  return [...everyFlatColumn(count), ...everyListColumn(count)]
}

const SAMPLES: readonly (readonly [string, SampleFile])[] = [
  ['no rows at all', { columns: everyColumn(0) }],
  ['one row', { columns: everyColumn(1) }],
  ['eight rows', { columns: everyColumn(8) }],
  ['1,003 rows', { columns: everyColumn(1003) }],
  [
    '2,500 rows in row groups of 977 and pages of 301',
    { columns: everyColumn(2500), rowGroupRows: 977, options: { pageRowsMax: 301 } },
  ],
  ['pages of few bytes', { columns: everyColumn(260), options: { pageBytesMax: 200 } }],
  ['no compression', { columns: everyColumn(260), options: { compression: 'none' } }],
  ['gzip', { columns: everyColumn(260), options: { compression: 'gzip' } }],
  ['brotli', { columns: everyColumn(260), options: { compression: 'brotli' } }],
  ['zstd level 9', { columns: everyColumn(260), options: { zstdLevel: 9 } }],
]

const paths = SAMPLES.map(([, sample], i) => writeSampleFile(`sample-${i}.parquet`, sample))
const answers = readForeign(paths)

for (const [i, [name, sample]] of SAMPLES.entries()) {
  for (const reader of ['pyarrow', 'duckdb'] as const) {
    test(`${reader} reads every value back: ${name}`, () => {
      const read = answers[i]![reader]
      for (const { field, rows } of sample.columns) {
        const expected = rows.map((row) => canonicalRow(field, row))
        assert.deepEqual(read[field.name], expected, `column ${field.name}`)
      }
      assert.equal(Object.keys(read).length, sample.columns.length)
    })
  }
}

test('the same rows give the same bytes', () => {
  const sample = { columns: everyColumn(2000), rowGroupRows: 900 }
  assert.deepEqual(writeSample(sample), writeSample(sample))
})
