import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32, zstdDecompressSync } from 'node:zlib'
import type { ColumnChunk } from '@dsnp/parquetjs/dist/gen-nodejs/parquet_types.js'
import type { LeafField } from '../../src/parquet/schema.ts'
import { type LeafValue, plainBytes, type RowValue, type SampleColumn } from './column-builder.ts'
import { readColumnIndex, readFooter, readOffsetIndex, readPages } from './raw-metadata.ts'
import { cycle, everyFlatColumn, everyListColumn, leafField } from './sample-columns.ts'
import { writeSample } from './sample-file.ts'

const ROWS = 5000
const GROUP = 1777
const PAGE = 501
const ZSTD = 6
const BOUND_BYTES_MAX = 64

const flat = everyFlatColumn(ROWS)
const columns = [...flat, ...everyListColumn(ROWS)]
const file = writeSample({
  columns,
  rowGroupRows: GROUP,
  options: {
    pageRowsMax: PAGE,
    sortingColumns: [
      { column: 'not a column of this file', descending: false, nullsFirst: true },
      { column: 'text_runs', descending: false, nullsFirst: true },
      { column: 'time_rising', descending: true, nullsFirst: false },
    ],
  },
  keyValues: [
    ['tributary.format', '1'],
    ['tributary.empty', ''],
  ],
})
const footer = readFooter(file)

/** Unsigned bytes for byte arrays, numbers for the rest. */
function compareValues(field: LeafField, a: LeafValue, b: LeafValue): number {
  if (field.physical === 'BYTE_ARRAY') {
    return Buffer.compare(plainBytes(field, a), plainBytes(field, b))
  }
  return a < b ? -1 : a > b ? 1 : 0
}

function decodeBound(field: LeafField, bytes: Buffer): LeafValue {
  switch (field.physical) {
    case 'INT32':
      return bytes.readInt32LE()
    case 'INT64':
      return bytes.readBigInt64LE()
    case 'DOUBLE':
      return bytes.readDoubleLE()
    case 'BOOLEAN':
      return bytes[0] === 1
    case 'BYTE_ARRAY':
      return new Uint8Array(bytes)
  }
}

/** Thrift's reader leaves null in fields that the file lacks. */
function isStated<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined
}

interface StatedBounds {
  readonly min: Buffer | null | undefined
  readonly max: Buffer | null | undefined
}

/** Stated bounds are the true ones, or hold them closely where they were cut. */
function checkBounds(
  field: LeafField,
  rows: readonly RowValue[],
  stated: StatedBounds,
  at: string,
) {
  const present = rows.filter((value) => value !== null) as LeafValue[]
  const { min, max } = stated
  assert(isStated(min) && isStated(max), `${at}: bounds are stated`)
  const order = (a: LeafValue, b: LeafValue) => compareValues(field, a, b)
  const least = present.reduce((a, b) => (order(b, a) < 0 ? b : a))
  const greatest = present.reduce((a, b) => (order(b, a) > 0 ? b : a))
  if (field.physical !== 'BYTE_ARRAY') {
    assert.equal(order(decodeBound(field, min), least), 0, `${at}: min`)
    assert.equal(order(decodeBound(field, max), greatest), 0, `${at}: max`)
    assert(
      !Object.is(decodeBound(field, min), 0) || field.physical !== 'DOUBLE',
      `${at}: min is -0`,
    )
    assert(!Object.is(decodeBound(field, max), -0), `${at}: max is +0`)
    return
  }
  const leastBytes = plainBytes(field, least)
  const greatestBytes = plainBytes(field, greatest)
  assert(min.length <= BOUND_BYTES_MAX && max.length <= BOUND_BYTES_MAX, `${at}: length`)
  if (leastBytes.length <= BOUND_BYTES_MAX)
    assert.deepEqual(new Uint8Array(min), new Uint8Array(leastBytes), at)
  else assert(Buffer.compare(min, leastBytes) < 0, `${at}: cut min`)
  if (greatestBytes.length <= BOUND_BYTES_MAX)
    assert.deepEqual(new Uint8Array(max), new Uint8Array(greatestBytes), at)
  else assert(Buffer.compare(max, greatestBytes) > 0, `${at}: cut max`)
}

function eachFlatChunk(
  visit: (column: SampleColumn, rows: readonly RowValue[], chunk: ColumnChunk, at: string) => void,
): void {
  for (const [group, { columns: chunks }] of footer.row_groups.entries()) {
    for (const [i, column] of flat.entries()) {
      const rows = column.rows.slice(group * GROUP, (group + 1) * GROUP)
      visit(column, rows, chunks[i]!, `${column.field.name}, row group ${group}`)
    }
  }
}

function hasNan(rows: readonly RowValue[]): boolean {
  return rows.some((value) => typeof value === 'number' && Number.isNaN(value))
}

function countNulls(rows: readonly RowValue[]): number {
  return rows.filter((value) => value === null).length
}

/** Every cut bound of the sample's edge texts has a successor, so max is always stated. */
test('statistics of every chunk are what the rows say', () => {
  let checked = 0
  eachFlatChunk(({ field }, rows, chunk, at) => {
    const statistics = chunk.meta_data!.statistics!
    assert.equal(Number(statistics.null_count), countNulls(rows), at)
    if (countNulls(rows) === rows.length || hasNan(rows)) {
      assert(!isStated(statistics.min_value) && !isStated(statistics.max_value), at)
      return
    }
    if (!isStated(statistics.max_value)) {
      assert.match(at, /^text_(edges|dictionary),/, `${at}: only U+10FFFF has no successor`)
      return
    }
    const stated = { min: statistics.min_value, max: statistics.max_value }
    checkBounds(field as LeafField, rows, stated, at)
    const present = rows.filter((value) => value !== null) as LeafValue[]
    const isExact = (bytes: Buffer) =>
      present.some((value) => plainBytes(field as LeafField, value).length === bytes.length)
    if (statistics.is_max_value_exact === true) assert(isExact(statistics.max_value), at)
    checked++
  })
  assert(checked > 60, `${checked} chunks with bounds`)
})

test('a distinct count is stated only where it is exact', () => {
  let stated = 0
  eachFlatChunk(({ field }, rows, chunk, at) => {
    const count = chunk.meta_data!.statistics!.distinct_count
    if (!isStated(count)) return
    const present = rows.filter((value) => value !== null) as LeafValue[]
    const keys = present.map((value) =>
      Buffer.from(plainBytes(field as LeafField, value)).toString('latin1'),
    )
    assert.equal(Number(count), new Set(keys).size, at)
    stated++
  })
  assert(stated > 20, `${stated} chunks with a count`)
})

test('column and offset indexes say what each page holds', () => {
  eachFlatChunk(({ field }, rows, chunk, at) => {
    const locations = readOffsetIndex(file, chunk)
    const dataPages = readPages(file, chunk).filter((page) =>
      isStated(page.header.data_page_header),
    )
    assert.equal(locations.length, Math.ceil(rows.length / PAGE), at)
    assert.equal(dataPages.length, locations.length, at)
    const index = readColumnIndex(file, chunk)
    if (index === undefined) {
      assert(hasNan(rows) || at.startsWith('text_'), `${at}: no column index`)
    }
    for (const [p, location] of locations.entries()) {
      const where = `${at}, page ${p}`
      const end = locations[p + 1]?.firstRow ?? rows.length
      const pageRows = rows.slice(location.firstRow, end)
      const page = dataPages[p]!
      assert.equal(page.offset, location.offset, where)
      assert.equal(
        page.offset + location.bytes,
        page.body.byteOffset - file.byteOffset + page.body.length,
        where,
      )
      assert.equal(page.header.data_page_header!.num_values, pageRows.length, where)
      if (index === undefined) continue
      assert.equal(Number(index.null_counts![p]), countNulls(pageRows), where)
      assert.equal(index.null_pages[p], countNulls(pageRows) === pageRows.length, where)
      if (index.null_pages[p])
        assert.equal(index.min_values[p]!.length + index.max_values[p]!.length, 0)
      else {
        const stated = { min: index.min_values[p], max: index.max_values[p] }
        checkBounds(field as LeafField, pageRows, stated, where)
      }
    }
  })
})

test('the boundary order of every column index holds', () => {
  const orders = new Set<number>()
  eachFlatChunk(({ field }, _rows, chunk, at) => {
    const index = readColumnIndex(file, chunk)
    if (index === undefined) return
    orders.add(index.boundary_order)
    for (const bounds of [index.min_values, index.max_values]) {
      const values = bounds
        .filter((_, p) => !index.null_pages[p])
        .map((bytes) => decodeBound(field as LeafField, bytes))
      for (let p = 1; p < values.length; p++) {
        const order = compareValues(field as LeafField, values[p - 1]!, values[p]!)
        if (Number(index.boundary_order) === 1) assert(order <= 0, `${at} rises`)
        if (Number(index.boundary_order) === 2) assert(order >= 0, `${at} falls`)
      }
    }
  })
  assert(orders.has(0) && orders.has(1), 'both unordered and ascending chunks occur')
})

test('sizes, CRCs and encodings of every page agree with its chunk', () => {
  for (const group of footer.row_groups) {
    let compressed = 0
    let uncompressed = 0
    for (const chunk of group.columns) {
      const metaData = chunk.meta_data!
      const pages = readPages(file, chunk)
      let chunkUncompressed = 0
      const values = pages.map((page) => page.header.data_page_header?.num_values ?? 0)
      assert.equal(
        values.reduce((a, b) => a + b),
        Number(metaData.num_values),
      )
      for (const { header, offset, body } of pages) {
        assert.equal(header.crc, crc32(body) | 0)
        const raw = Number(metaData.codec) === ZSTD ? zstdDecompressSync(body) : body
        assert.equal(raw.length, header.uncompressed_page_size)
        const headerBytes = body.byteOffset - file.byteOffset - offset
        chunkUncompressed += headerBytes + raw.length
        const encoding = (header.data_page_header ?? header.dictionary_page_header)!.encoding
        assert(metaData.encodings.includes(encoding))
      }
      assert.equal(Number(metaData.total_uncompressed_size), chunkUncompressed)
      const counted = metaData.encoding_stats!.reduce((sum, stats) => sum + stats.count, 0)
      assert.equal(counted, pages.length)
      compressed += Number(metaData.total_compressed_size)
      uncompressed += chunkUncompressed
    }
    assert.equal(Number(group.total_compressed_size), compressed)
    assert.equal(Number(group.total_byte_size), uncompressed)
  }
})

test('pages of a list begin at rows and their first row index counts rows', () => {
  const lists = everyListColumn(ROWS)
  const first = flat.length
  for (const [group, { columns: chunks }] of footer.row_groups.entries()) {
    const rows = lists[0]!.rows.slice(group * GROUP, (group + 1) * GROUP)
    const locations = readOffsetIndex(file, chunks[first]!)
    const pages = readPages(file, chunks[first]!).filter((page) =>
      isStated(page.header.data_page_header),
    )
    for (const [p, { firstRow }] of locations.entries()) {
      const pageRows = rows.slice(firstRow, locations[p + 1]?.firstRow ?? rows.length)
      const slots = pageRows.map((row) =>
        Math.max(1, (row as readonly unknown[] | null)?.length ?? 0),
      )
      assert.equal(
        pages[p]!.header.data_page_header!.num_values,
        slots.reduce((a, b) => a + b),
      )
    }
  }
})

test('the footer carries order, sorting, key-values and writer', () => {
  assert.equal(Number(footer.num_rows), ROWS)
  assert.equal(footer.created_by, 'tributary test')
  assert.equal(footer.column_orders!.length, footer.row_groups[0]!.columns.length)
  assert(footer.column_orders!.every((order) => isStated(order.TYPE_ORDER)))
  assert.deepEqual(
    footer.key_value_metadata!.map(({ key, value }) => [key, value]),
    [
      ['tributary.format', '1'],
      ['tributary.empty', ''],
    ],
  )
  const names = flat.map(({ field }) => field.name)
  for (const [ordinal, group] of footer.row_groups.entries()) {
    assert.equal(group.ordinal, ordinal)
    assert.deepEqual(
      group.sorting_columns!.map((column) => [
        names[column.column_idx],
        column.descending,
        column.nulls_first,
      ]),
      [
        ['text_runs', false, true],
        ['time_rising', true, false],
      ],
    )
  }
})

test('dictionary pages hold used entries only', () => {
  const i = flat.findIndex(({ field }) => field.name === 'text_runs')
  const dictionary = readPages(file, footer.row_groups[0]!.columns[i]!)[0]!
  assert.equal(dictionary.header.dictionary_page_header!.num_values, 7)
})

test('a chunk of few bytes is not compressed, a larger one is', () => {
  const codecs = new Map(
    flat.map(({ field }, i) => [field.name, footer.row_groups[0]!.columns[i]!.meta_data!.codec]),
  )
  assert.equal(codecs.get('all_null_text'), 0)
  assert.equal(codecs.get('text_required'), 0)
  assert.equal(codecs.get('text_distinct'), ZSTD)
})

test('0xFF bytes and U+10FFFF have no bound above them: max is left out, min stays', () => {
  const endless = [new Uint8Array(100).fill(0xff), new Uint8Array(3)]
  const bytes = writeSample({
    columns: [
      { field: leafField('blob', 'BYTE_ARRAY'), rows: cycle(endless, 10) },
      {
        field: leafField('text', 'BYTE_ARRAY', 'STRING'),
        rows: cycle(['a', '\u{10ffff}'.repeat(30)], 10),
      },
    ],
  })
  for (const chunk of readFooter(bytes).row_groups[0]!.columns) {
    const statistics = chunk.meta_data!.statistics!
    assert(!isStated(statistics.max_value))
    assert(isStated(statistics.min_value))
    assert.equal(readColumnIndex(bytes, chunk), undefined)
  }
})
