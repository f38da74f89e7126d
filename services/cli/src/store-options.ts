import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { objectStoreUrl, dataSettings, storeSettings } from '@tributary/common/config/settings'
import type { ConfigOf } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { openObjectStore } from '@tributary/common/object-store/object-store'
import type { ObjectStore } from '@tributary/common/object-store/object-store'

/** The settings by which every tool finds the store that a process wrote to. */
export const storeLocationSettings = { dataDir: dataSettings.dataDir, ...storeSettings }

export type StoreLocation = ConfigOf<typeof storeLocationSettings>

/**
 * Opens the store for reading; only warnings and errors are logged, to standard error.
 * @throws AppError object_missing where a folder that would hold it does not exist: a tool that reads
 * must not make one
 */
export async function openStore(location: StoreLocation): Promise<ObjectStore> {
  const url = objectStoreUrl(location)
  if (url.startsWith('file:') && !existsSync(fileURLToPath(url))) {
    throw new AppError(
      'object_missing',
      'there is no data yet: start "tributary standalone" first, or name another --data-dir',
      { details: { folder: fileURLToPath(url) } },
    )
  }
  return openObjectStore(url, {
    region: location.objectStoreRegion,
    ...(location.objectStoreEndpoint === undefined
      ? {}
      : { endpoint: location.objectStoreEndpoint }),
    logger: createLogger({ name: 'tributary', level: 'warn', destination: process.stderr }),
  })
}
