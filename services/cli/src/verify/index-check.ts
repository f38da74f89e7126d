import type { IndexDrift } from '@tributary/common/catalogue/index-drift'
import { checkIndexDrift } from '@tributary/common/catalogue/index-drift'
import type { RebuildReport } from '@tributary/common/catalogue/index-filling'
import { rebuildIndex } from '@tributary/common/catalogue/index-filling'
import { RedisFileIndex } from '@tributary/common/catalogue/redis-file-index'
import type { RedisConfig } from '@tributary/common/config/redis-settings'
import { AppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { readStoreIdentity } from '@tributary/common/object-store/store-identity'

/** Plain JSON. */
export interface IndexReport {
  readonly before: IndexDrift
  /** Only where it was repaired. */
  readonly rebuilt?: RebuildReport & { readonly durationMs: number }
  readonly after?: IndexDrift
}

export interface IndexCheckOptions {
  readonly isRepaired: boolean
  readonly onProgress: (files: number) => void
  readonly onEnd: () => void
}

/** Connecting takes a few of these at most; a sentinel is asked first. */
const READY_TIMEOUTS = 5

/**
 * Compares the index with the commits and, if wanted, makes it anew.
 * @throws AppError object_missing where the store is nobody's yet; metadata_unavailable;
 *   chain_broken, commit_damaged, where the commits themselves are wrong
 */
export async function checkIndex(
  store: ObjectStore,
  config: RedisConfig,
  options: IndexCheckOptions,
): Promise<IndexReport> {
  const storeId = await readStoreIdentity(store)
  if (storeId === undefined) {
    throw new AppError('object_missing', 'the store has no store.json: nothing has written to it', {
      details: { url: store.url },
    })
  }
  const connection = new RedisConnection({
    address: redisAddress(config),
    name: 'tributary-verify',
    timeoutMs: config.redisTimeoutMs,
    logger: createLogger({ name: 'tributary', level: 'silent' }),
  })
  try {
    await connection.untilReady(READY_TIMEOUTS * config.redisTimeoutMs)
    const index = new RedisFileIndex({ connection, prefix: config.redisPrefix, storeId })
    const before = await checkIndexDrift(index, store)
    if (!options.isRepaired) return { before }
    const startedAtMs = performance.now()
    const rebuilt = await rebuildIndex(index, store, ({ files }) => {
      options.onProgress(files)
    })
    options.onEnd()
    const durationMs = Math.round(performance.now() - startedAtMs)
    const after = await checkIndexDrift(index, store)
    return { before, rebuilt: { ...rebuilt, durationMs }, after }
  } finally {
    connection.close()
  }
}
