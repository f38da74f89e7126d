import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { parquetReadObjects } from 'hyparquet'
import { readParquet } from 'parquet-wasm'
import { runPython } from '../../src/testing/python.ts'
import { canonicalRow } from './column-builder.ts'
import { everyFlatColumn, everyListColumn } from './sample-columns.ts'
import { samplePath, writeSample } from './sample-file.ts'

const ROWS = 600
const flat = everyFlatColumn(ROWS)
const columns = [...flat, ...everyListColumn(ROWS)]
const file = writeSample({ columns, rowGroupRows: 250, options: { pageRowsMax: 90 } })

/** arrow-rs decodes to an Arrow stream, which PyArrow compares with what it reads itself. */
const COMPARE = String.raw`
import sys, pyarrow as pa, pyarrow.parquet as pq
stream = pa.ipc.open_stream(sys.argv[1]).read_all()
table = pq.read_table(sys.argv[2])
assert stream.num_rows == table.num_rows
for name in table.column_names:
    theirs, ours = stream.column(name), table.column(name)
    theirs = theirs.cast(ours.type) if not isinstance(ours.type, pa.BaseExtensionType) else theirs
    left, right = str(theirs.to_pylist()), str(ours.to_pylist())
    assert left == right, (name, left[:200], right[:200])
print(len(table.column_names))
`

test('arrow-rs reads what PyArrow reads, in every column', () => {
  const parquetPath = samplePath('arrow-rs.parquet')
  const streamPath = samplePath('arrow-rs.arrow')
  writeFileSync(parquetPath, file)
  writeFileSync(streamPath, readParquet(file).intoIPCStream())
  assert.equal(Number(runPython(COMPARE, [streamPath, parquetPath])), columns.length)
})

test('hyparquet reads every flat value back', async () => {
  const rows = await parquetReadObjects({
    file: file.slice().buffer,
    columns: flat.map(({ field }) => field.name),
    compressors: { ZSTD: (bytes: Uint8Array) => new Uint8Array(zstdDecompressSync(bytes)) },
    utf8: false,
    parsers: {
      timestampFromMicroseconds: (micros: bigint) => micros,
      jsonFromBytes: (bytes: Uint8Array) => bytes,
      stringFromBytes: (bytes: Uint8Array) => bytes,
    },
  })
  assert.equal(rows.length, ROWS)
  for (const { field, rows: expected } of flat) {
    const read = rows.map((row) => canonicalRow(field, (row[field.name] ?? null) as never))
    assert.deepEqual(
      read,
      expected.map((row) => canonicalRow(field, row)),
      field.name,
    )
  }
})
