/**
 * Writes the file of every column type that Spark reads back, and what it must find in it.
 *
 *     node services/common/test/parquet/spark-fixture.ts FOLDER
 *
 * leaves FOLDER/every-column.parquet and FOLDER/expected.json: {column: [canonical value, ...]},
 * as column-builder.ts defines canonical values (text and bytes as hex, doubles as the hex of
 * their bits, ints and microseconds as decimal text, structs as arrays in field order).
 * spark-check.py reads the file and compares.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { canonicalRow } from './column-builder.ts'
import { everyFlatColumn, everyListColumn } from './sample-columns.ts'
import { writeSample } from './sample-file.ts'

const ROWS = 1500

export function writeSparkFixture(folder: string): void {
  const columns = [...everyFlatColumn(ROWS), ...everyListColumn(ROWS)]
  mkdirSync(folder, { recursive: true })
  const file = writeSample({ columns, rowGroupRows: 600, options: { pageRowsMax: 200 } })
  writeFileSync(join(folder, 'every-column.parquet'), file)
  const expected = columns.map(({ field, rows }) => [
    field.name,
    rows.map((row) => canonicalRow(field, row)),
  ])
  writeFileSync(join(folder, 'expected.json'), JSON.stringify(Object.fromEntries(expected)))
}

if (import.meta.main) writeSparkFixture(process.argv[2] ?? '.')
