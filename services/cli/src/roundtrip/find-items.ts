/** Looks for marked items in the files that were committed since, as any reader would: with SQL. */
import type { CommitFile } from '@tributary/common/commit/commit-record'
import type { ConfigOf } from '@tributary/common/config/setting-table'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { SignalName } from '@tributary/common/signal'

import type { ProbeSignal } from '../conformance/payload.ts'
import { localPaths } from '../query/local-files.ts'
import type { cacheSettings } from '../query/local-files.ts'
import { openTelemetryDatabase, quoteText } from '../query/telemetry-database.ts'
import { NUMBER_KEY, RUN_KEY } from './marked-items.ts'

export const VIEWS: Readonly<Record<ProbeSignal, SignalName>> = {
  logs: 'logs',
  traces: 'spans',
  metrics: 'metrics',
}

/** How often each item of the run was found, by `<signal>/<number>`. */
export async function findItems(
  store: ObjectStore,
  files: readonly CommitFile[],
  run: string,
  config: ConfigOf<typeof cacheSettings>,
): Promise<ReadonlyMap<string, number>> {
  const paths = await localPaths(store, files, config)
  const connection = await openTelemetryDatabase(
    files.map(({ tenant, signal }, index) => ({ path: paths[index]!, tenant, signal })),
  )
  const found = new Map<string, number>()
  try {
    for (const [signal, view] of Object.entries(VIEWS)) {
      const columns = await connection.runAndReadAll(`SELECT * FROM ${view} LIMIT 0`)
      if (!columns.columnNames().includes(`attributes.${RUN_KEY}`)) continue
      const rows = await connection.runAndReadAll(
        `SELECT "attributes.${NUMBER_KEY}", count(*)::INTEGER FROM ${view}
         WHERE "attributes.${RUN_KEY}" = ${quoteText(run)} GROUP BY 1`,
      )
      for (const [number, count] of rows.getRows()) {
        found.set(`${signal}/${String(number)}`, Number(count))
      }
    }
  } finally {
    connection.closeSync()
  }
  return found
}
