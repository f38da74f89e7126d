/** Counts the ledger ids in Parquet files with DuckDB: a reader that shares no code with us. */
import { DuckDBInstance } from '@duckdb/node-api'
import { LEDGER_KEY } from './ledger.ts'

/** Occurrences of each id over all files. */
export async function countStoredIds(paths: readonly string[]): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  if (paths.length === 0) return counts
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const list = paths.map((path) => `'${path.replaceAll("'", "''")}'`).join(', ')
  const result = await connection.runAndReadAll(
    `select "attributes.${LEDGER_KEY}" as id, count(*)::integer as n
     from read_parquet([${list}], union_by_name = true, hive_partitioning = false) group by 1`,
  )
  for (const [id, count] of result.getRows()) counts.set(String(id), Number(count))
  connection.closeSync()
  instance.closeSync()
  return counts
}
