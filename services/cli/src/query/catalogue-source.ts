/**
 * Which files a query reads: through the file index in Redis where that is to be had, else through the
 * commits. Both say the same; the index saves reading years of commits for an hour.
 */
import { readCatalogue } from '@tributary/common/catalogue/file-catalogue'
import type { FileSelection } from '@tributary/common/catalogue/file-index'
import { RedisFileIndex } from '@tributary/common/catalogue/redis-file-index'
import type { CommitFile } from '@tributary/common/commit/commit-record'
import type { RedisConfig } from '@tributary/common/config/redis-settings'
import { AppError, toAppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'
import { RedisKeyKind, redisKey } from '@tributary/common/metadata/redis-keys'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { readStoreIdentity } from '@tributary/common/object-store/store-identity'
import { parseDataKey, partitionPath, logTag } from '@tributary/common/paths'
import type { PartitionId } from '@tributary/common/paths'

/** Up to which offset the commits of a partition are read: the rest comes from elsewhere. */
export interface PartitionCut {
  readonly id: PartitionId
  readonly start: bigint
}

export interface CatalogueSource {
  readonly store: ObjectStore
  /** Undefined: the commits alone. */
  readonly redis: RedisConfig | undefined
  readonly selection: FileSelection
  /** Other partitions are read to their ends. */
  readonly cuts: readonly PartitionCut[]
}

export interface CatalogueAnswer {
  readonly files: readonly CommitFile[]
  /** How the files were found, in a line for people; '' where there is nothing to say. */
  readonly told: string
}

/** Connecting takes a few of these at most; a sentinel is asked first. */
const READY_TIMEOUTS = 3

/**
 * The files of the selection that no cut leaves out.
 * @throws AppError store_unavailable, chain_broken, commit_damaged; invalid_config where Redis has the
 *   index of another store
 */
export async function readFiles(source: CatalogueSource): Promise<CatalogueAnswer> {
  const { store, redis, selection } = source
  if (redis === undefined) {
    const { files, ends } = await readCatalogue(store, undefined, selection)
    return { files: withinCuts(files, ends, source.cuts), told: '' }
  }
  const connection = new RedisConnection({
    address: redisAddress(redis),
    name: 'tributary-query',
    timeoutMs: redis.redisTimeoutMs,
    logger: createLogger({ name: 'tributary', level: 'silent' }),
  })
  try {
    const { index, trouble } = await openIndex(store, redis, connection)
    const { files, ends, indexedFiles } = await readCatalogue(store, index, selection)
    const cut = withinCuts(files, ends, source.cuts)
    const told =
      index === undefined
        ? `catalogue: ${files.length} files through the commits; ${trouble}`
        : `catalogue: ${indexedFiles} files through the index, ${files.length - indexedFiles} through the commits`
    return { files: cut, told }
  } finally {
    connection.close()
  }
}

async function openIndex(
  store: ObjectStore,
  { redisPrefix: prefix, redisTimeoutMs }: RedisConfig,
  connection: RedisConnection,
): Promise<{ readonly index: RedisFileIndex | undefined; readonly trouble: string }> {
  const storeId = await readStoreIdentity(store)
  if (storeId === undefined) return { index: undefined, trouble: 'the store has no id yet' }
  try {
    await connection.untilReady(READY_TIMEOUTS * redisTimeoutMs)
    const owner = await connection.command('HGET', redisKey(prefix, RedisKeyKind.index), 'store')
    // to open the index would throw away that of the other store
    if (typeof owner === 'string' && owner !== storeId) {
      throw new AppError('invalid_config', 'the file index in redis is that of another store', {
        details: { store: store.url, storeId, indexed: owner },
      })
    }
    return { index: new RedisFileIndex({ connection, prefix, storeId }), trouble: '' }
  } catch (error) {
    const { code, details } = toAppError(error)
    if (code !== 'metadata_unavailable') throw error
    return { index: undefined, trouble: `redis is out of reach (${String(details['reason'])})` }
  }
}

/** @throws AppError chain_broken where commits do not reach a cut: its rows would be missing */
function withinCuts(
  files: readonly CommitFile[],
  ends: ReadonlyMap<string, bigint>,
  cuts: readonly PartitionCut[],
): readonly CommitFile[] {
  if (cuts.length === 0) return files
  const byTag = new Map<string, bigint>()
  for (const { id, start } of cuts) {
    byTag.set(`${logTag(id)}-${id.partition}`, start)
    const end = ends.get(partitionPath(id)) ?? 0n
    if (end >= start) continue
    throw new AppError('chain_broken', 'the commits end before the rows of the ingester begin', {
      details: { partition: partitionPath(id), end: String(end), start: String(start) },
    })
  }
  return files.filter(({ key }) => {
    const parsed = parseDataKey(key)
    const start = parsed && byTag.get(`${parsed.logTag}-${parsed.partition}`)
    return start === undefined || parsed!.end <= start
  })
}
