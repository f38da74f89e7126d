import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { FIXED_COLUMNS } from '@tributary/cli/query/fixed-columns'
import type { Field, LeafField } from '@tributary/common/parquet/schema'
import { SIGNAL_NAMES } from '@tributary/common/signal'
import { TABLE_COLUMNS } from '@tributary/ingester/flush/table-columns'

const LOGICAL: Readonly<Record<string, string>> = {
  STRING: 'VARCHAR',
  JSON: 'JSON',
  TIMESTAMP_MICROS_UTC: 'TIMESTAMP WITH TIME ZONE',
}
const PHYSICAL: Readonly<Record<string, string>> = {
  INT64: 'BIGINT',
  INT32: 'INTEGER',
  DOUBLE: 'DOUBLE',
  BOOLEAN: 'BOOLEAN',
}

function leafType(leaf: LeafField): string | undefined {
  return leaf.logical === undefined ? PHYSICAL[leaf.physical] : LOGICAL[leaf.logical]
}

/** The type that DuckDB gives to a column of a file. */
function duckdbType(field: Field): string {
  if (field.kind === 'leaf') return leafType(field) ?? 'unknown'
  const { element } = field
  if (element.kind === 'leaf') return `${leafType(element)}[]`
  const members = element.fields.map((leaf) => `"${leaf.name}" ${leafType(leaf)}`)
  return `STRUCT(${members.join(', ')})[]`
}

describe('the fixed columns of the views', () => {
  for (const signal of SIGNAL_NAMES) {
    it(`are those that the flush writes for ${signal}, in its order`, () => {
      const written = TABLE_COLUMNS[signal].map(({ field }) => [field.name, duckdbType(field)])
      assert.deepEqual(Object.entries(FIXED_COLUMNS[signal]), written)
    })
  }
})
