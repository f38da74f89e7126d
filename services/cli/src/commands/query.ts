import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

import type { DuckDBConnection } from '@duckdb/node-api'

import { processEnvironment } from '@tributary/common/config/config'
import { REDIS_RELATIONS, redisSettings } from '@tributary/common/config/redis-settings'
import type { RedisConfig } from '@tributary/common/config/redis-settings'
import { boolean, choice, duration, text, url } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import type { ConfigOf, Relation } from '@tributary/common/config/setting-table'
import type { FileSelection } from '@tributary/common/catalogue/file-index'
import { AppError } from '@tributary/common/errors'
import type { ObjectStore } from '@tributary/common/object-store/object-store'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { adminAccessSettings } from '../cluster/cluster-options.ts'
import { ClusterAccess } from '../cluster/cluster-view.ts'
import { readFiles } from '../query/catalogue-source.ts'
import { cacheSettings, localPaths } from '../query/local-files.ts'
import { writeCsv, writeJson, writeTable } from '../query/result-writer.ts'
import { fetchUnflushed } from '../query/unflushed-rows.ts'
import type { UnflushedRows } from '../query/unflushed-rows.ts'
import { openTelemetryDatabase, quoteText } from '../query/telemetry-database.ts'
import type { LocalFile, MovedColumns } from '../query/telemetry-database.ts'
import { openStore, storeLocationSettings } from '../store-options.ts'
import type { Terminal } from '../terminal.ts'

/** Enough to see what it is about. */
const MOVED_SHOWN_MAX = 5
const FORMATS = ['auto', 'table', 'json', 'csv', 'parquet'] as const

const HOUR = {
  pattern: /^\d{4}-\d{2}-\d{2}T\d{2}$/,
  bounds: 'an hour such as 2026-11-21T03',
}

const querySettings = {
  format: choice(FORMATS, {
    default: 'auto',
    sentence: 'How rows are written; auto: a table on a terminal, JSON else.',
  }),
  tenant: text({ default: undefined, sentence: 'Only files of this tenant; default: all.' }),
  fromHour: text({ ...HOUR, default: undefined, sentence: 'Only files of this hour (UTC) on.' }),
  toHour: text({ ...HOUR, default: undefined, sentence: 'Only files up to and with this hour.' }),
  unflushed: boolean({
    default: false,
    sentence:
      'Also rows that ingesters of a cluster hold and that are in no file; needs --redis-url.',
  }),
  unflushedWaitMs: duration({
    default: 5000,
    min: 0,
    max: 600_000,
    sentence:
      'With --unflushed: how long ingesters may take to fetch what was acknowledged before; 0: what they have.',
  }),
  partial: boolean({
    default: false,
    sentence: 'With --unflushed: answer also where some partitions have no owner that answers.',
  }),
  ...adminAccessSettings,
  ...cacheSettings,
}
/** Without one of two settings there is no Redis to ask. */
const indexSettings = {
  ...redisSettings,
  redisUrl: url({
    default: undefined,
    schemes: ['redis', 'rediss'],
    sentence:
      'Redis of a cluster: its file index is read instead of all commits, and who owns what.',
  }),
}
const settings = { ...querySettings, ...storeLocationSettings, ...indexSettings }
type QueryConfig = ConfigOf<typeof settings>

export const queryCommand: Command = {
  synopsis: '[flags] SQL',
  description:
    'Runs SQL (DuckDB) over the files that the commits name: views logs, spans and metrics, late\n' +
    'rows included; column tenant says whose. Where tenants differ in the type of an attribute, each\n' +
    'type has a column of its own (attributes.code@int), and a line on standard error says so. Rows\n' +
    'that are not flushed yet are seen with --unflushed, each once whatever is flushed meanwhile, and all\n' +
    'that were acknowledged before (else a line on standard error says what is behind); of a\n' +
    'standalone process after tributary flush.',
  sections: [
    { title: 'Query', table: querySettings },
    { title: 'Store', table: storeLocationSettings },
    { title: 'Redis of a cluster', table: indexSettings },
  ],
  run: runQuery,
}

const RELATIONS: readonly Relation<typeof settings>[] = [
  ...REDIS_RELATIONS.map((relation): Relation<typeof settings> => {
    return (config) =>
      relation(redisOf(config) ?? { ...config, redisUrl: redisSettings.redisUrl.default })
  }),
  (config) =>
    config.unflushed && redisOf(config) === undefined
      ? '--unflushed needs --redis-url: it tells which ingesters there are'
      : undefined,
]

function redisOf(config: QueryConfig): RedisConfig | undefined {
  const { redisUrl, redisSentinels } = config
  if (redisUrl === undefined && redisSentinels === undefined) return undefined
  return { ...config, redisUrl: redisUrl ?? redisSettings.redisUrl.default }
}

async function runQuery(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config, positionals } = parseSettings(settings, {
    args,
    environment: processEnvironment(),
    positionals: ['SQL'],
    relations: RELATIONS,
  })
  const format = config.format === 'auto' ? defaultFormat(terminal) : config.format
  if (format === 'parquet' && terminal.isInteractive) {
    throw new AppError('invalid_config', 'parquet on a terminal', {
      details: { problems: ['Parquet is no text: send it to a file with > rows.parquet'] },
    })
  }
  const store = await openStore(config)
  let unflushed: UnflushedRows | undefined
  try {
    // before the commits are read: what is flushed in between is in both, and left out of one
    unflushed = await unflushedOf(config, terminal)
    const files = await filesOf(store, config, unflushed, terminal)
    const connection = await openTelemetryDatabase(files, (columns) =>
      terminal.err.write(movedText(columns, positionals[0]!)),
    )
    try {
      await answer(connection, positionals[0]!, format, terminal)
    } finally {
      connection.closeSync()
    }
  } finally {
    await unflushed?.remove()
    await store.close()
  }
  return ExitStatus.ok
}

/** @throws AppError not_ready where a partition can not be asked, unless a part is enough */
async function unflushedOf(
  config: QueryConfig,
  terminal: Terminal,
): Promise<UnflushedRows | undefined> {
  const redis = redisOf(config)
  if (!config.unflushed || redis === undefined) return undefined
  const access = await ClusterAccess.open(redis, config.adminTls)
  try {
    const unflushed = await fetchUnflushed(access, selectionOf(config), config.unflushedWaitMs)
    const { missing, behind } = unflushed
    if (behind.size > 0) {
      const partitions = [...behind].map(([partition, count]) => `${partition}: ${count}`)
      terminal.err.write(`behind: rows may be missing of partition ${partitions.join(', of ')}\n`)
    }
    if (missing.size === 0) return unflushed
    const partitions = [...missing].map(([partition, reason]) => `${partition}: ${reason}`)
    if (!config.partial) {
      await unflushed.remove()
      throw new AppError('not_ready', 'unflushed rows of some partitions can not be had', {
        details: { partitions, remedy: 'try again, or say --partial' },
      })
    }
    const told = `partial: unflushed rows are missing of partition ${partitions.join(', of ')}`
    terminal.err.write(`${told}\n`)
    return unflushed
  } finally {
    access.close()
  }
}

function selectionOf({ tenant, fromHour, toHour }: QueryConfig): FileSelection {
  return {
    ...(tenant === undefined ? {} : { tenant }),
    ...(fromHour === undefined ? {} : { fromHour }),
    ...(toHour === undefined ? {} : { toHour }),
  }
}

async function filesOf(
  store: ObjectStore,
  config: QueryConfig,
  unflushed: UnflushedRows | undefined,
  terminal: Terminal,
): Promise<readonly LocalFile[]> {
  const { files: committed, told } = await readFiles({
    store,
    redis: redisOf(config),
    selection: selectionOf(config),
    cuts: unflushed?.cuts ?? [],
  })
  if (told !== '') terminal.err.write(`${told}\n`)
  if (unflushed !== undefined) {
    const { rows, cuts } = unflushed
    terminal.err.write(`unflushed: ${rows} rows of ${cuts.length} partitions\n`)
  } else if (committed.length === 0) {
    terminal.err.write(`no files yet in ${store.url}: the views are empty\n`)
  }
  const paths = await localPaths(store, committed, config)
  const local = committed.map(({ tenant, signal }, at) => ({ path: paths[at]!, tenant, signal }))
  return [...local, ...(unflushed?.files ?? [])]
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
