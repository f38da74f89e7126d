import type { DuckDBResult, DuckDBType } from '@duckdb/node-api'

import { writeText } from '../terminal.ts'
import type { Terminal } from '../terminal.ts'
import { tableText } from './table-text.ts'
import { jsonText, plainText } from './value-text.ts'

/** Rows that a terminal shows: the rest is one --format away. */
const TABLE_ROWS_MAX = 1000

const NUMERIC = /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DOUBLE|FLOAT|DECIMAL.*)$/

/** Shows the first rows as a table, and says when there are more. */
export async function writeTable(result: DuckDBResult, terminal: Terminal): Promise<void> {
  const types = result.columnTypes()
  const rows: string[][] = []
  let hasMore = false
  reading: for await (const chunk of result) {
    for (const row of chunk.getRows()) {
      if (rows.length === TABLE_ROWS_MAX) {
        hasMore = true
        break reading
      }
      rows.push(row.map((value, column) => plainText(value, types[column]!)))
    }
  }
  const isNumeric = types.map((type) => NUMERIC.test(type.toString()))
  const text = tableText({ columns: result.columnNames(), rows, isNumeric }, terminal.columns)
  const count = hasMore
    ? `first ${TABLE_ROWS_MAX} rows; --format json, csv or parquet gives all`
    : `${rows.length} ${rows.length === 1 ? 'row' : 'rows'}`
  await writeText(terminal.out, `${text}(${count})\n`)
}

/** One JSON array, one row per line. */
export async function writeJson(result: DuckDBResult, terminal: Terminal): Promise<void> {
  const types = result.columnTypes()
  const names = result.deduplicatedColumnNames().map((name) => JSON.stringify(name))
  let separator = '['
  for await (const chunk of result) {
    const lines = chunk.getRows().map((row) => {
      const members = row.map(
        (value, column) => `${names[column]}:${jsonText(value, types[column]!)}`,
      )
      return `{${members.join(',')}}`
    })
    if (lines.length === 0) continue
    await writeText(terminal.out, separator + lines.join(',\n'))
    separator = ',\n'
  }
  await writeText(terminal.out, separator === '[' ? '[]\n' : ']\n')
}

/** RFC 4180 with a header line; null is an empty field, an empty text is `""`. */
export async function writeCsv(result: DuckDBResult, terminal: Terminal): Promise<void> {
  const types: readonly DuckDBType[] = result.columnTypes()
  await writeText(terminal.out, `${result.columnNames().map(csvField).join(',')}\r\n`)
  for await (const chunk of result) {
    const lines = chunk.getRows().map((row) => {
      const fields = row.map((value, column) =>
        value === null ? '' : csvField(plainText(value, types[column]!)),
      )
      return `${fields.join(',')}\r\n`
    })
    if (lines.length > 0) await writeText(terminal.out, lines.join(''))
  }
}

function csvField(text: string): string {
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
