/**
 * An in-memory DuckDB with the views `logs`, `spans` and `metrics` over given Parquet files, late
 * ones included. Files of one tenant and signal unite by column name; the tenant is a column.
 */
import { DuckDBInstance } from '@duckdb/node-api'
import type { DuckDBConnection } from '@duckdb/node-api'

import { SIGNAL_NAMES } from '@tributary/common/signal'
import type { SignalName } from '@tributary/common/signal'

import { FIXED_COLUMNS } from './fixed-columns.ts'

export interface LocalFile {
  readonly path: string
  readonly tenant: string
  readonly signal: SignalName
}

/** Opens the database; close the connection when done. */
export async function openTelemetryDatabase(
  files: readonly LocalFile[],
): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', {
    // nothing is fetched from the network to answer a query
    autoinstall_known_extensions: 'false',
  })
  const connection = await instance.connect()
  await connection.run(`SET TimeZone = 'UTC'`)
  for (const signal of SIGNAL_NAMES) {
    const ofSignal = files.filter((file) => file.signal === signal)
    await connection.run(`CREATE VIEW ${signal} AS ${viewSql(signal, ofSignal)}`)
  }
  return connection
}

function viewSql(signal: SignalName, files: readonly LocalFile[]): string {
  const byTenant = Map.groupBy(files, (file) => file.tenant)
  if (byTenant.size === 0) return emptyTableSql(signal)
  return [...byTenant]
    .map(([tenant, group]) => {
      const paths = group.map((file) => quoteText(file.path)).join(', ')
      return (
        `SELECT ${quoteText(tenant)} AS tenant, * FROM read_parquet([${paths}], ` +
        'union_by_name = true, hive_partitioning = false)'
      )
    })
    .join(' UNION ALL BY NAME ')
}

function emptyTableSql(signal: SignalName): string {
  const columns = Object.entries(FIXED_COLUMNS[signal]).map(
    ([name, type]) => `CAST(NULL AS ${type}) AS "${name}"`,
  )
  return `SELECT CAST(NULL AS VARCHAR) AS tenant, ${columns.join(', ')} WHERE false`
}

/** A text as an SQL literal. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
