import { DuckDBInstance } from '@duckdb/node-api'
import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api'

import type { IndexedColumn } from '@tributary/common/verify/parquet-footer'

import { quoteText } from '../query/telemetry-database.ts'
import { plainText } from '../query/value-text.ts'
import { pagesText, readPages } from './page-report.ts'
import { factsText, sectionText, sizeText } from './report-text.ts'

/**
 * Footer, key-values, schema, and per row group its columns: as DuckDB, not we, reads them. With
 * `hasPages` each page of each column too, from the page indexes, which DuckDB does not show.
 */
export async function* parquetReport(path: string, hasPages = false): AsyncGenerator<string> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    const source = quoteText(path)
    const [file] = await readRows(connection, `SELECT * FROM parquet_file_metadata(${source})`)
    yield factsText(`Parquet file ${path}`, {
      rows: file?.['num_rows'],
      'row groups': file?.['num_row_groups'],
      bytes: sizeText(Number(file?.['file_size_bytes'])),
      'footer bytes': sizeText(Number(file?.['footer_size'])),
      'written by': file?.['created_by'],
      'format version': file?.['format_version'],
    })
    yield `\n${await keyValuesText(connection, source)}`
    yield `\n${await schemaText(connection, source)}`
    const pages = await readPages(path)
    const timeColumns = hasPages ? await timeColumnsOf(connection, source) : undefined
    for (let group = 0; group < Number(file?.['num_row_groups'] ?? 0); group++) {
      const columns = pages[group] ?? []
      yield await rowGroupText(connection, source, group, columns)
      if (timeColumns === undefined) continue
      yield `\n${pagesText(`Pages of row group ${group}`, columns, timeColumns)}`
    }
  } finally {
    connection.closeSync()
  }
}

async function keyValuesText(connection: DuckDBConnection, source: string): Promise<string> {
  const pairs = await readRows(
    connection,
    `SELECT decode(key) AS key, decode(value) AS value FROM parquet_kv_metadata(${source})`,
  )
  return factsText(
    'Key-values',
    Object.fromEntries(pairs.map(({ key, value }) => [key ?? '', value])),
  )
}

async function schemaText(connection: DuckDBConnection, source: string): Promise<string> {
  const columns = await readRows(
    connection,
    `SELECT name, coalesce(type, 'group of ' || num_children) AS physical,
       coalesce(logical_type, converted_type) AS logical, repetition_type AS repetition,
       duckdb_type AS duckdb FROM parquet_schema(${source}) OFFSET 1`,
  )
  return sectionText(
    'Schema',
    ['name', 'physical', 'logical', 'repetition', 'DuckDB'],
    columns.map((column) =>
      ['name', 'physical', 'logical', 'repetition', 'duckdb'].map((key) =>
        logicalText(column[key] ?? ''),
      ),
    ),
  )
}

/** DuckDB prints Thrift structures whole: `TimestampType(isAdjustedToUTC=1, unit=TimeUnit(MILLIS=<null>, ...`. */
function logicalText(text: string): string {
  const unit = /^Time(stamp)?Type\(isAdjustedToUTC=(\d).*?(MILLIS|MICROS|NANOS)=(?!<null>)/.exec(
    text,
  )
  if (unit === null) return text.replace(/Type\(\)$/, '')
  return `Time${unit[1] ?? ''}(${unit[3]}${unit[2] === '1' ? ', UTC' : ''})`
}

async function rowGroupText(
  connection: DuckDBConnection,
  source: string,
  group: number,
  pages: readonly IndexedColumn[],
): Promise<string> {
  const chunks = await readRows(
    connection,
    `SELECT * FROM parquet_metadata(${source}) WHERE row_group_id = ${group} ORDER BY column_id`,
  )
  const rows = chunks[0]?.['row_group_num_rows'] ?? '?'
  const bytes = sizeText(
    chunks.reduce((sum, chunk) => sum + Number(chunk['total_compressed_size']), 0),
  )
  return `\n${sectionText(
    `Row group ${group}: ${rows} rows, ${bytes}`,
    ['column', 'encodings', 'codec', 'stored', 'raw', 'pages', 'nulls', 'bloom', 'min', 'max'],
    chunks.map((chunk, column) => [
      chunk['path_in_schema'] ?? '',
      chunk['encodings'] ?? '',
      chunk['compression'] ?? '',
      sizeText(Number(chunk['total_compressed_size'])),
      sizeText(Number(chunk['total_uncompressed_size'])),
      pages[column]?.pages?.length.toString() ?? '?',
      chunk['stats_null_count'] ?? '?',
      chunk['bloom_filter_length'] === undefined
        ? ''
        : sizeText(Number(chunk['bloom_filter_length'])),
      statisticText(chunk['stats_min_value'], chunk['min_is_exact']),
      statisticText(chunk['stats_max_value'], chunk['max_is_exact']),
    ]),
  )}`
}

/** Flat columns that hold microseconds since 1970. */
async function timeColumnsOf(
  connection: DuckDBConnection,
  source: string,
): Promise<ReadonlySet<string>> {
  const columns = await readRows(
    connection,
    `SELECT name FROM parquet_schema(${source}) WHERE duckdb_type = 'TIMESTAMP WITH TIME ZONE'`,
  )
  return new Set(columns.map(({ name }) => name ?? ''))
}

function statisticText(value: string | undefined, isExact: string | undefined): string {
  return value === undefined ? '' : `${value}${isExact === 'false' ? ' (cut)' : ''}`
}

/** Rows with every value as text; nulls are left out. */
async function readRows(
  connection: DuckDBConnection,
  sql: string,
): Promise<Record<string, string | undefined>[]> {
  const reader = await connection.runAndReadAll(sql)
  const names = reader.columnNames()
  const types = reader.columnTypes()
  return reader.getRows().map((row) =>
    Object.fromEntries(
      row.flatMap((value: DuckDBValue, column) => {
        const name = names[column]
        const type = types[column]
        if (value === null || name === undefined || type === undefined) return []
        return [[name, plainText(value, type)]]
      }),
    ),
  )
}
