import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import type { SampleColumn, RowValue, ValueShape } from './column-builder.ts'
import { readFooter, readPages } from './raw-metadata.ts'
import { cycle, leafField, scattered } from './sample-columns.ts'
import { writeSample } from './sample-file.ts'

const PLAIN = 0
const DELTA_BINARY_PACKED = 5
const DELTA_LENGTH_BYTE_ARRAY = 6
const RLE_DICTIONARY = 8

const ROWS = 4000
const random = new SeededRandom(7)
const hex = (i: number) => BigInt.asUintN(64, scattered(i)).toString(16).padStart(16, '0')
const rows = (make: (i: number) => RowValue) => Array.from({ length: ROWS }, (_, i) => make(i))

function dataEncodings(column: SampleColumn): number[] {
  const file = writeSample({ columns: [column] })
  const pages = readPages(file, readFooter(file).row_groups[0]!.columns[0]!)
  const encodings = pages.map(({ header }) => header.data_page_header?.encoding)
  return [...new Set(encodings.filter((encoding) => encoding !== undefined))].map(Number)
}

const text = leafField('c', 'BYTE_ARRAY', 'STRING')
const long = leafField('c', 'INT64')
const CHOICES: readonly (readonly [string, SampleColumn, number])[] = [
  ['few texts become a dictionary', { field: text, rows: cycle(['a', 'b'], ROWS) }, RLE_DICTIONARY],
  [
    'distinct texts of many lengths stay plain',
    { field: text, rows: rows((i) => `${i * i} ms`) },
    PLAIN,
  ],
  [
    'distinct ids of one length carry their lengths apart',
    { field: text, rows: rows(hex) },
    DELTA_LENGTH_BYTE_ARRAY,
  ],
  [
    'rising times are deltas',
    { field: long, rows: rows((i) => 10n ** 15n + BigInt(i * 13)) },
    DELTA_BINARY_PACKED,
  ],
  [
    'scattered longs stay plain',
    { field: long, rows: rows(() => BigInt.asIntN(64, random.uint64())) },
    PLAIN,
  ],
  [
    'few ints without order become a dictionary',
    {
      field: leafField('c', 'INT32'),
      rows: rows(() => 100 * random.below(30)),
    },
    RLE_DICTIONARY,
  ],
  [
    'a dictionary of nothing but distinct entries is given up',
    { field: text, rows: rows((i) => `${i} ms`), shape: 'dictionary' },
    PLAIN,
  ],
  [
    'runs of one row with distinct values are given up',
    { field: text, rows: rows(hex), shape: 'runs' },
    DELTA_LENGTH_BYTE_ARRAY,
  ],
  ['doubles stay plain', { field: leafField('c', 'DOUBLE'), rows: rows((i) => i / 7) }, PLAIN],
  [
    'few doubles become a dictionary',
    { field: leafField('c', 'DOUBLE'), rows: cycle([0.5, NaN], ROWS) },
    RLE_DICTIONARY,
  ],
]

for (const [name, column, encoding] of CHOICES) {
  test(name, () => {
    assert.deepEqual(dataEncodings(column), [encoding])
  })
}

/** Each trace in every one of ten services, one after the other: 500 distinct at first, then none. */
test('ids that repeat far apart become a dictionary, counted by their hashes', () => {
  const traces = Array.from({ length: 5000 }, (_, i) => hex(i % 500))
  for (const bloom of [true, false]) {
    assert.deepEqual(dataEncodings({ field: { ...text, bloom }, rows: traces }), [RLE_DICTIONARY])
  }
})

test('every shape of the same values gives files of one meaning and like size', () => {
  const sizes = (['plain', 'dictionary', 'runs'] as const).map(
    (shape: ValueShape) =>
      writeSample({ columns: [{ field: text, rows: rows((i) => `s${i >>> 9}`), shape }] }).length,
  )
  assert(Math.max(...sizes) - Math.min(...sizes) < 32, sizes.join(', '))
})
