/**
 * An in-memory DuckDB with the views `logs`, `spans` and `metrics` over given Parquet files, late
 * ones included. Files of one tenant and signal unite by column name, as their names agree; those of
 * several by names that are made to agree, so that nothing is cast. The tenant is a column.
 */
import { DuckDBInstance } from '@duckdb/node-api'
import type { DuckDBConnection } from '@duckdb/node-api'

import { SIGNAL_NAMES } from '@tributary/common/signal'
import type { SignalName } from '@tributary/common/signal'

import { FIXED_COLUMNS } from './fixed-columns.ts'
import { unifyColumns } from './tenant-columns.ts'
import type { TenantColumns, Unification } from './tenant-columns.ts'

export interface LocalFile {
  readonly path: string
  readonly tenant: string
  readonly signal: SignalName
}

export interface MovedColumns extends Pick<Unification, 'moved'> {
  readonly signal: SignalName
}

/**
 * Opens the database; close the connection when done.
 * @param onMoved hears of columns that a tenant has under another name than its files have
 */
export async function openTelemetryDatabase(
  files: readonly LocalFile[],
  onMoved?: (moved: MovedColumns) => void,
): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', {
    // nothing is fetched from the network to answer a query
    autoinstall_known_extensions: 'false',
  })
  const connection = await instance.connect()
  await connection.run(`SET TimeZone = 'UTC'`)
  for (const signal of SIGNAL_NAMES) {
    const ofSignal = files.filter((file) => file.signal === signal)
    const tables = [...Map.groupBy(ofSignal, (file) => file.tenant)].map(([tenant, group]) => ({
      tenant,
      source: sourceSql(group),
    }))
    const { renames, moved } = await unification(connection, tables)
    if (moved.length > 0) onMoved?.({ signal, moved })
    const selects = tables.map(({ tenant, source }) => {
      const names = [...(renames.get(tenant) ?? [])]
      const pairs = names.map(([from, to]) => `${quoteName(from)} AS ${quoteName(to)}`)
      const rename = pairs.length === 0 ? '' : ` RENAME (${pairs.join(', ')})`
      return `SELECT ${quoteText(tenant)} AS tenant, *${rename} FROM ${source}`
    })
    const sql = selects.length === 0 ? emptyTableSql(signal) : selects.join(' UNION ALL BY NAME ')
    await connection.run(`CREATE VIEW ${signal} AS ${sql}`)
  }
  return connection
}

function sourceSql(files: readonly LocalFile[]): string {
  const paths = files.map((file) => quoteText(file.path)).join(', ')
  return `read_parquet([${paths}], union_by_name = true, hive_partitioning = false)`
}

async function unification(
  connection: DuckDBConnection,
  tables: readonly { readonly tenant: string; readonly source: string }[],
): Promise<Unification> {
  if (tables.length < 2) return { renames: new Map(), moved: [] }
  const described: TenantColumns[] = []
  for (const { tenant, source } of tables) {
    const columns = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${source}`)
    described.push({
      tenant,
      columns: columns
        .getRows()
        .map(([name, type]) => ({ name: String(name), type: String(type) })),
    })
  }
  return unifyColumns(described)
}

function emptyTableSql(signal: SignalName): string {
  const columns = Object.entries(FIXED_COLUMNS[signal]).map(
    ([name, type]) => `CAST(NULL AS ${type}) AS "${name}"`,
  )
  return `SELECT CAST(NULL AS VARCHAR) AS tenant, ${columns.join(', ')} WHERE false`
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A text as an SQL literal. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
