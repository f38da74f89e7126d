/**
 * The rows of one Parquet file with what replay needs to know of them, read by DuckDB chunk by chunk:
 * memory holds a chunk of rows, whatever the size of the file.
 */
import { DuckDBInstance } from '@duckdb/node-api'
import type { DuckDBConnection } from '@duckdb/node-api'

import { AppError } from '@tributary/common/errors'
import { parseColumnMap } from '@tributary/common/replay/row-attributes'
import type { ColumnMap } from '@tributary/common/replay/row-attributes'
import type { ReplayRow } from '@tributary/common/replay/row-value'

import { quoteText } from '../query/telemetry-database.ts'

/** Event times in microseconds since 1970: from the first on, before the second. */
export interface TimeRange {
  readonly fromMicros: bigint | undefined
  readonly untilMicros: bigint | undefined
}

/** DuckDB decodes row groups of 128k rows on some threads; nothing else needs memory. */
const MEMORY_LIMIT = '1GB'

export class StoredRows {
  readonly #connection: DuckDBConnection

  private constructor(connection: DuckDBConnection) {
    this.#connection = connection
  }

  static async open(): Promise<StoredRows> {
    const instance = await DuckDBInstance.create(':memory:', {
      autoinstall_known_extensions: 'false',
      memory_limit: MEMORY_LIMIT,
      threads: '2',
    })
    return new StoredRows(await instance.connect())
  }

  close(): void {
    this.#connection.closeSync()
  }

  /** @throws AppError invalid_file for a file that Tributary did not write */
  async columnMap(path: string): Promise<ColumnMap> {
    const reader = await this.#connection.runAndReadAll(
      `SELECT decode(value) FROM parquet_kv_metadata(${quoteText(path)})
       WHERE decode(key) = 'tributary.columns'`,
    )
    const text = reader.getRows()[0]?.[0]
    if (typeof text !== 'string') {
      throw new AppError('invalid_file', 'file has no column map', { details: { path } })
    }
    return parseColumnMap(text)
  }

  /** The rows in the order of the file. */
  async *rows(path: string, range: TimeRange): AsyncGenerator<ReplayRow> {
    const { fromMicros, untilMicros } = range
    const conditions = [
      ...(fromMicros === undefined ? [] : [`timestamp >= make_timestamptz(${fromMicros})`]),
      ...(untilMicros === undefined ? [] : [`timestamp < make_timestamptz(${untilMicros})`]),
    ]
    const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
    const result = await this.#connection.stream(
      `SELECT * FROM read_parquet(${quoteText(path)}, hive_partitioning = false)${where}`,
    )
    for await (const rows of result.yieldRowObjects()) yield* rows
  }
}
