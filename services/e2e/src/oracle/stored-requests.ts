/**
 * Counts what the files hold of each ledger request, with DuckDB: a reader that shares no code with us.
 * It computes the digest of every row anew from the row's own columns.
 */
import { DuckDBInstance } from '@duckdb/node-api'
import type { SignalName } from '@tributary/common/signal'

import { LEDGER_KEYS } from '../ledger/request-maker.ts'
import type { CopiedFile } from './store-copy.ts'

export interface StoredRequest {
  readonly client: number
  readonly number: number
  readonly rows: number
  /** Different indexes among them. */
  readonly items: number
  readonly indexMax: number
  /** Rows whose digest is not that of what they say. */
  readonly damaged: number
  /** Rows in the file of another tenant. */
  readonly strayed: number
}

/** What the digest covers behind the names: see the makers of items. */
const DIGESTED: Readonly<Record<SignalName, string>> = {
  logs: `severity_text || '|' || body`,
  spans: `trace_id || '|' || span_id || '|' || name`,
  metrics: `metric_name || '|' || value_int`,
}

/** Columns whose absence in all files would end the query; rows of a signal have them all. */
export async function readStoredRequests(files: readonly CopiedFile[]): Promise<StoredRequest[]> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const stored: StoredRequest[] = []
  try {
    for (const signal of ['logs', 'spans', 'metrics'] as const) {
      const paths = files.filter((file) => file.signal === signal).map(({ path }) => path)
      if (paths.length === 0) continue
      const result = await connection.runAndReadAll(queryOf(signal, paths))
      for (const row of result.getRows()) stored.push(toStored(row))
    }
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
  return stored
}

function queryOf(signal: SignalName, paths: readonly string[]): string {
  const list = paths.map((path) => `'${path.replaceAll("'", "''")}'`).join(', ')
  const column = (key: string): string => `"attributes.${key}"`
  const { client, request, index, tenant, digest } = LEDGER_KEYS
  const head = [client, request, index, tenant].map(column).join(` || '|' || `)
  const nanos = `(epoch_us(timestamp) * 1000 + timestamp_nanos)`
  const text = `${head} || '|' || ${nanos} || '|' || ${DIGESTED[signal]}`
  const folder = `regexp_extract(filename, '/(data|late)/([^/]+)/${signal}/', 2)`
  return `
    select ${column(client)}, ${column(request)}, count(*), count(distinct ${column(index)}),
      max(${column(index)}),
      count(*) filter (md5(${text}) is distinct from ${column(digest)}),
      count(*) filter (${folder} is distinct from ${column(tenant)})
    from read_parquet([${list}], union_by_name = true, hive_partitioning = false, filename = true)
    group by 1, 2`
}

function toStored(row: readonly unknown[]): StoredRequest {
  const [client, number, rows, items, indexMax, damaged, strayed] = row.map((value) =>
    value === null ? -1 : Number(value),
  ) as [number, number, number, number, number, number, number]
  return { client, number, rows, items, indexMax, damaged, strayed }
}
