import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

import type { DuckDBConnection } from '@duckdb/node-api'

import { processEnvironment } from '@tributary/common/config/config'
import { choice, text } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { readCommittedFiles } from '../query/committed-files.ts'
import { cacheSettings, localPaths } from '../query/local-files.ts'
import { writeCsv, writeJson, writeTable } from '../query/result-writer.ts'
import { openTelemetryDatabase, quoteText } from '../query/telemetry-database.ts'
import type { MovedColumns } from '../query/telemetry-database.ts'
import { openStore, storeLocationSettings } from '../store-options.ts'
import type { Terminal } from '../terminal.ts'

/** Enough to see what it is about. */
const MOVED_SHOWN_MAX = 5
const FORMATS = ['auto', 'table', 'json', 'csv', 'parquet'] as const

const querySettings = {
  format: choice(FORMATS, {
    default: 'auto',
    sentence: 'How rows are written; auto: a table on a terminal, JSON else.',
  }),
  tenant: text({ default: undefined, sentence: 'Only files of this tenant; default: all.' }),
  ...cacheSettings,
}
const settings = { ...querySettings, ...storeLocationSettings }

export const queryCommand: Command = {
  synopsis: '[flags] SQL',
  description:
    'Runs SQL (DuckDB) over the files that the commits name: views logs, spans and metrics, late\n' +
    'rows included; column tenant says whose. Where tenants differ in the type of an attribute, each\n' +
    'type has a column of its own (attributes.code@int), and a line on standard error says so. Rows\n' +
    'that are not flushed yet are not seen: run tributary flush first.',
  sections: [
    { title: 'Query', table: querySettings },
    { title: 'Store', table: storeLocationSettings },
  ],
  run: runQuery,
}

async function runQuery(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config, positionals } = parseSettings(settings, {
    args,
    environment: processEnvironment(),
    positionals: ['SQL'],
  })
  const format = config.format === 'auto' ? defaultFormat(terminal) : config.format
  if (format === 'parquet' && terminal.isInteractive) {
    throw new AppError('invalid_config', 'parquet on a terminal', {
      details: { problems: ['Parquet is no text: send it to a file with > rows.parquet'] },
    })
  }
  const store = await openStore(config)
  try {
    const committed = (await readCommittedFiles(store)).filter(
      (file) => config.tenant === undefined || file.tenant === config.tenant,
    )
    if (committed.length === 0) {
      terminal.err.write(`no files yet in ${store.url}: the views are empty\n`)
    }
    const paths = await localPaths(store, committed, config)
    const connection = await openTelemetryDatabase(
      committed.map(({ tenant, signal }, index) => ({ path: paths[index]!, tenant, signal })),
      (columns) => terminal.err.write(movedText(columns, positionals[0]!)),
    )
    try {
      await answer(connection, positionals[0]!, format, terminal)
    } finally {
      connection.closeSync()
    }
  } finally {
    await store.close()
  }
  return ExitStatus.ok
}

/** Tenants that decided differently about a name that the query has: where the others' values stand. */
function movedText({ signal, moved }: MovedColumns, sql: string): string {
  const query = sql.toLowerCase()
  const has = (name: string): boolean => query.includes(name.toLowerCase())
  const told = /(?:select|,|\.)\s*\*/.test(query)
    ? moved
    : moved.filter(({ from, to }) => has(from) || has(to))
  if (told.length === 0) return ''
  const shown = told.slice(0, MOVED_SHOWN_MAX).map(({ tenant, from, to }) => {
    return `  ${tenant}: "${from}" is "${to}"\n`
  })
  if (told.length > shown.length) shown.push(`  and ${told.length - shown.length} more\n`)
  const heading = `columns of ${signal} differ in type or case between tenants`
  return `${heading}; with --tenant they keep their names:\n${shown.join('')}`
}

function defaultFormat(terminal: Terminal): 'table' | 'json' {
  return terminal.isInteractive ? 'table' : 'json'
}

async function answer(
  connection: DuckDBConnection,
  sql: string,
  format: Exclude<(typeof FORMATS)[number], 'auto'>,
  terminal: Terminal,
): Promise<void> {
  try {
    if (format === 'parquet') {
      await writeParquet(connection, sql, terminal)
      return
    }
    const result = await connection.stream(sql)
    if (format === 'json') await writeJson(result, terminal)
    else if (format === 'csv') await writeCsv(result, terminal)
    else await writeTable(result, terminal)
  } catch (error) {
    // DuckDB's errors are plain ones: "Parser Error: ...", the query's fault rather than ours
    if (!(error instanceof Error) || !/\b[A-Z]\w+ Error: /.test(error.message)) throw error
    throw new AppError('invalid_query', error.message.replace(/^Failed to [\w ]+: /, ''))
  }
}

/** DuckDB writes to a file of its own, which then goes out. */
async function writeParquet(
  connection: DuckDBConnection,
  sql: string,
  terminal: Terminal,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-query-'))
  try {
    const path = join(folder, 'rows.parquet')
    const query = sql.trim().replace(/;$/, '')
    await connection.run(`COPY (${query}) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`)
    await pipeline(createReadStream(path), terminal.out, { end: false })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
