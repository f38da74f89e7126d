import assert from 'node:assert/strict'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { runPython } from '../../src/testing/python.ts'
import { leafField, scattered } from './sample-columns.ts'
import { readFooter } from './raw-metadata.ts'
import { samplePath, writeSample } from './sample-file.ts'
import { writeFileSync } from 'node:fs'

const ROWS = 20_000
const GROUP = 5000
const hex = (i: number) => BigInt.asUintN(64, scattered(i)).toString(16).padStart(16, '0')
const traces = Array.from({ length: ROWS }, (_, i) => hex(i >>> 1))
const series = Array.from({ length: ROWS }, (_, i) => scattered(i % 3000))
const services = Array.from({ length: ROWS }, (_, i) => `service-${Math.floor(i / 1000)}`)
const times = Array.from({ length: ROWS }, (_, i) => 1_700_000_000_000_000n + BigInt(i * 1000))

const file = writeSample({
  columns: [
    { field: { ...leafField('trace_id', 'BYTE_ARRAY', 'STRING'), bloom: true }, rows: traces },
    { field: { ...leafField('series_id', 'INT64'), bloom: true }, rows: series },
    {
      field: { ...leafField('service', 'BYTE_ARRAY', 'STRING'), bloom: true },
      rows: services,
      shape: 'runs',
    },
    { field: leafField('timestamp', 'INT64'), rows: times },
  ],
  rowGroupRows: GROUP,
  options: { pageRowsMax: 500 },
})
const path = samplePath('pruning.parquet')
writeFileSync(path, file)

const metadata = parquetMetadata(file.slice().buffer)

/** Rows that hyparquet finds, and the bytes beyond the footer that it asked for. */
async function find(filter: object, options: object) {
  let bytesRead = 0
  const slice = (start: number, end = file.byteLength) => {
    bytesRead += end - start
    return file.slice(start, end).buffer
  }
  const rows = await parquetReadObjects({
    file: { byteLength: file.byteLength, slice },
    metadata,
    compressors: { ZSTD: (bytes: Uint8Array) => new Uint8Array(zstdDecompressSync(bytes)) },
    filter: filter as never,
    ...options,
  })
  return { rows, bytesRead }
}

test('DuckDB excludes by bloom filter nothing that is there, and nearly all that is not', () => {
  const script = String.raw`
import sys, json, duckdb
path, present, absent = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
con = duckdb.connect()
def excluded(column, value):
    return [r[0] for r in con.execute(f"select bloom_filter_excludes from parquet_bloom_probe('{path}', '{column}', {value})").fetchall()]
answer = {'present': [], 'absent': []}
for kind, values in (('present', present), ('absent', absent)):
    for column, value, _ in values:
        answer[kind].append(excluded(column, value))
for column, value, expected in present:
    found = con.execute(f"select count(*) from read_parquet('{path}') where {column} = {value}").fetchone()[0]
    assert found == expected, (column, value, found)
json.dump(answer, sys.stdout)
`
  const rowsWith = (column: readonly unknown[], value: unknown) =>
    column.filter((other) => other === value).length
  const present = [
    ...[0, 7, 9999, 10_001, 19_999].map((i) => ['trace_id', `'${traces[i]!}'`, 2]),
    ...[0, 1, 2999].map((i) => ['series_id', `${series[i]!}`, rowsWith(series, series[i])]),
    ['service', `'service-3'`, 1000],
  ]
  const absent = Array.from({ length: 40 }, (_, i) => ['trace_id', `'${hex(ROWS + i)}'`, 0])
  const answer = JSON.parse(
    runPython(script, [path, JSON.stringify(present), JSON.stringify(absent)]),
  ) as { present: boolean[][]; absent: boolean[][] }
  for (const [i, [column, value]] of present.entries()) {
    const groups = answer.present[i]!
    assert.equal(groups.length, ROWS / GROUP)
    assert(groups.includes(false), `${column} = ${value} is in some row group`)
    if (column !== 'series_id') assert(groups.includes(true), `${column} = ${value} prunes others`)
  }
  const excluded = answer.absent.flat().filter(Boolean).length
  assert(excluded >= 0.95 * answer.absent.flat().length, `${excluded} of 160 excluded`)
})

test('hyparquet finds a trace through bloom filters and reads few bytes', async () => {
  const id = traces[12_345]!
  const { rows, bytesRead } = await find(
    { trace_id: { $eq: id } },
    { useBloomFilters: true, usePageIndex: true },
  )
  assert.equal(rows.length, 2)
  assert.equal(rows[0]!.trace_id, id)
  const all = await find({ trace_id: { $eq: id } }, {})
  assert.equal(all.rows.length, 2)
  assert(bytesRead < 0.6 * all.bytesRead, `${bytesRead} of ${all.bytesRead} bytes`)
})

test('hyparquet finds nothing for an absent trace without reading a row group', async () => {
  const { rows, bytesRead } = await find(
    { trace_id: { $eq: 'f'.repeat(16) } },
    { useBloomFilters: true },
  )
  assert.equal(rows.length, 0)
  assert(bytesRead < file.length / 3, `${bytesRead} of ${file.length} bytes`)
})

test('hyparquet finds a minute through the page index and skips the other pages', async () => {
  const filter = { timestamp: { $gte: times[7300]!, $lt: times[7360]! } }
  const indexed = await find(filter, { usePageIndex: true })
  assert.equal(indexed.rows.length, 60)
  assert.equal(indexed.rows[0]!.trace_id, traces[7300])
  const plain = await find(filter, {})
  assert.equal(plain.rows.length, 60)
  assert(indexed.bytesRead < 0.9 * plain.bytesRead, `${indexed.bytesRead} of ${plain.bytesRead}`)
})

test('bloom filters stand within the file, before the indexes', () => {
  const footer = readFooter(file)
  for (const group of footer.row_groups) {
    const [trace, seriesChunk, , time] = group.columns
    assert(Number(trace!.meta_data!.bloom_filter_offset) > 0)
    assert(seriesChunk!.meta_data!.bloom_filter_length! > 0)
    assert.equal(time!.meta_data!.bloom_filter_offset, null)
    assert(
      Number(trace!.meta_data!.bloom_filter_offset) <
        Number(footer.row_groups[0]!.columns[0]!.column_index_offset),
    )
  }
})

test('PyArrow refuses a page whose bytes were flipped', () => {
  const script = String.raw`
import sys, pyarrow.parquet as pq
try:
    pq.ParquetFile(sys.argv[1], page_checksum_verification=True).read()
    print('read')
except OSError as error:
    print('refused' if 'CRC' in str(error) else error)
`
  const damaged = file.slice()
  const chunk = readFooter(file).row_groups[1]!.columns[0]!.meta_data!
  damaged[Number(chunk.data_page_offset) + 200]! ^= 0x10
  const damagedPath = samplePath('damaged.parquet')
  writeFileSync(damagedPath, damaged)
  assert.equal(runPython(script, [damagedPath]).trim(), 'refused')
  assert.equal(runPython(script, [path]).trim(), 'read')
})
