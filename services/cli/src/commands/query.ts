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
import { openStore, storeLocationSettings } from '../store-options.ts'
import type { Terminal } from '../terminal.ts'

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
    'rows included; column tenant says whose. Where tenants differ in the type of a column, DuckDB\n' +
    'casts it: --tenant keeps it exact. Rows that are not flushed yet are not seen: run tributary\n' +
    'flush first.',
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
