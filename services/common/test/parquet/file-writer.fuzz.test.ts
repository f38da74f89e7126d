import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { test } from 'node:test'
import type { LeafField, LogicalType, PhysicalType } from '../../src/parquet/schema.ts'
import { SeededRandom } from '../../src/testing/seeded-random.ts'
import {
  canonicalRow,
  type LeafValue,
  type RowValue,
  type SampleColumn,
  type ValueShape,
} from './column-builder.ts'
import { readForeign } from './foreign-readers.ts'
import { type SampleFile, writeSampleFile } from './sample-file.ts'

const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 2)
const FILES_PER_BATCH = 12

const TYPES: readonly (readonly [PhysicalType, LogicalType])[] = [
  ['BOOLEAN', undefined],
  ['INT32', undefined],
  ['INT64', undefined],
  ['INT64', 'TIMESTAMP_MICROS_UTC'],
  ['DOUBLE', undefined],
  ['BYTE_ARRAY', 'STRING'],
  ['BYTE_ARRAY', 'JSON'],
  ['BYTE_ARRAY', undefined],
]
const CHARACTERS = ['a', 'b', '0', 'é', '\u07ff', '\ud7ff', '\ue000', '\uffff', '\u{10ffff}', '\0']

/** Of any magnitude. */
function randomLong(random: SeededRandom): bigint {
  return BigInt.asIntN(64, BigInt.asIntN(64, random.uint64()) >> BigInt(random.below(64)))
}

function randomValue(random: SeededRandom, field: LeafField): LeafValue {
  switch (field.physical) {
    case 'BOOLEAN':
      return random.below(3) === 0
    case 'INT32':
      return (random.uint32() | 0) >> random.below(32)
    case 'INT64':
      return randomLong(random)
    case 'DOUBLE':
      return random.pick([
        0,
        -0,
        NaN,
        Infinity,
        -Infinity,
        random.below(100),
        Number(randomLong(random)) / 3,
      ])
    case 'BYTE_ARRAY': {
      const length = random.pick([0, 1, 8, 16, 16, 63, 64, 65, random.below(300)])
      if (field.logical === 'JSON') return JSON.stringify({ k: 'x'.repeat(length) })
      if (field.logical === 'STRING') {
        return Array.from({ length }, () => random.pick(CHARACTERS)).join('')
      }
      return Uint8Array.from({ length }, () => random.pick([0, 0x7f, 0x80, 0xfe, 0xff]))
    }
  }
}

/** Rows drawn fresh, from a pool, as runs, or rising; nulls alone, in stretches, or everywhere. */
function randomLeaf(random: SeededRandom, field: LeafField, count: number): (LeafValue | null)[] {
  const pool = Array.from({ length: 1 + random.below(random.pick([1, 5, 300])) }, () =>
    randomValue(random, field),
  )
  const style = random.pick(['fresh', 'pool', 'runs', 'steps'] as const)
  const nulls = field.optional ? random.pick(['none', 'some', 'stretches', 'all'] as const) : 'none'
  let value = randomValue(random, field)
  let isNull = false
  return Array.from({ length: count }, (_, row) => {
    if (style === 'fresh') value = randomValue(random, field)
    else if (style === 'pool') value = random.pick(pool)
    else if (style === 'runs' && random.below(20) === 0) value = random.pick(pool)
    else if (style === 'steps' && typeof value === 'bigint') {
      value = BigInt.asIntN(64, value + BigInt(random.below(1000)))
    } else if (style === 'steps' && field.physical === 'INT32') value = (Number(value) + row) | 0
    if (nulls === 'stretches' && random.below(30) === 0) isNull = !isNull
    if (nulls === 'some') isNull = random.below(4) === 0
    return nulls === 'all' || isNull ? null : value
  })
}

function randomField(random: SeededRandom, name: string): LeafField {
  const [physical, logical] = random.pick(TYPES)
  const optional = random.below(4) > 0
  return { kind: 'leaf', name, physical, logical, optional, bloom: random.below(5) === 0 }
}

function randomColumn(random: SeededRandom, name: string, count: number): SampleColumn {
  const shape = random.pick<ValueShape>(['plain', 'plain', 'dictionary', 'runs'])
  if (random.below(3) > 0) {
    const field = randomField(random, name)
    return { field, rows: randomLeaf(random, field, count), shape }
  }
  const optional = random.below(2) === 0
  const lengths = Array.from({ length: count }, () =>
    optional && random.below(5) === 0 ? -1 : random.pick([0, 0, 1, 2, random.below(12)]),
  )
  const elements = lengths.reduce((sum, length) => sum + Math.max(0, length), 0)
  const leaves = Array.from({ length: 1 + random.below(4) }, (_, i) => randomField(random, `f${i}`))
  const values = leaves.map((leaf) => randomLeaf(random, leaf, elements))
  const isStruct = random.below(2) === 0
  let next = 0
  const rows = lengths.map((length) => {
    if (length < 0) return null
    const from = next
    next += length
    return Array.from({ length }, (_, i) =>
      isStruct ? values.map((leaf) => leaf[from + i]!) : values[0]![from + i]!,
    )
  }) as RowValue[]
  const element = isStruct
    ? ({
        kind: 'struct',
        name: 'element',
        optional: random.below(2) === 0,
        fields: leaves,
      } as const)
    : { ...leaves[0]!, name: 'element' }
  const listShape = shape === 'runs' ? 'dictionary' : shape
  return { field: { kind: 'list', name, optional, element }, rows, shape: listShape }
}

function randomSample(random: SeededRandom): SampleFile {
  const count = random.pick([1, 2, 7, 8, 9, 64, 129, random.below(400)])
  const columns = Array.from({ length: 1 + random.below(8) }, (_, i) =>
    randomColumn(random, `c${i}`, count),
  )
  return {
    columns,
    rowGroupRows: random.pick([count, 1 + random.below(count), 100]),
    options: {
      pageRowsMax: random.pick([20_000, 1 + random.below(50), 8]),
      pageBytesMax: random.pick([1_048_576, 1 + random.below(500)]),
      compression: random.pick(['zstd', 'zstd', 'none', 'gzip'] as const),
    },
  }
}

test(`random tables come back from PyArrow and DuckDB (FUZZ_SEED=${SEED})`, () => {
  const deadline = performance.now() + 1000 * SECONDS
  let seed = SEED
  let files = 0
  do {
    const batch = Array.from({ length: FILES_PER_BATCH }, () => {
      const sample = randomSample(new SeededRandom(seed))
      return { seed: seed++, sample, path: writeSampleFile(`fuzz-${seed}.parquet`, sample) }
    })
    const answers = readForeign(batch.map(({ path }) => path))
    for (const [i, { seed: own, sample, path }] of batch.entries()) {
      for (const reader of ['pyarrow', 'duckdb'] as const) {
        for (const { field, rows } of sample.columns) {
          const actual = answers[i]![reader][field.name]
          const expected = rows.map((row) => canonicalRow(field, row))
          assert.deepEqual(actual, expected, `FUZZ_SEED=${own}, ${reader}, column ${field.name}`)
        }
      }
      rmSync(path)
      files++
    }
  } while (performance.now() < deadline)
  assert(files >= FILES_PER_BATCH)
})
