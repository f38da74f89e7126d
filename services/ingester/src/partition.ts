/**
 * Opens one partition with everything below it: chain, window of repeats, memtable, flush workers,
 * WAL. The order is that of trust: the chain says where the partition ends, its sidecars what was
 * stored lately, and only then the WAL what is still to be stored.
 */
import { mkdir, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '@tributary/common/clock'
import { readSidecar } from '@tributary/common/commit/chunk-sidecar'
import { CommitChain } from '@tributary/common/commit/commit-chain'
import { AppError, toAppError } from '@tributary/common/errors'
import { nodeFileSystem } from '@tributary/common/file-system'
import { LIMITS } from '@tributary/common/limits'
import type { Logger } from '@tributary/common/logger'
import type { Registry } from '@tributary/common/metrics'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { PartitionId } from '@tributary/common/paths'
import { Flusher } from './flush/flusher.ts'
import { FlushPool } from './flush/flush-pool.ts'
import type { FlushSettings } from './flush/table-writer.ts'
import { SchemaCache } from './flush/schema-cache.ts'
import { Ingester } from './ingester.ts'
import { Memtable } from './memtable/memtable.ts'
import { SlabPool } from './memtable/slab-pool.ts'
import { IngesterMetrics } from './metrics.ts'
import { RepeatWindow } from './repeat-window.ts'
import { listSegments } from './wal/segment-directory.ts'
import type { WalSync } from './wal/wal-options.ts'

export interface PartitionSettings {
  readonly walSync: WalSync
  readonly walSyncIntervalMs: number
  readonly walSyncBytesMax: number
  readonly walSegmentBytesMax: number
  readonly walBytesMax: number
  readonly flushIntervalMs: number
  readonly flushBytes: number
  readonly memtableBytesMax: number
  readonly flushWorkers: number
  readonly fileBytesMax: number
  readonly fileRowsMax: number
  readonly rowGroupRowsMax: number
  readonly zstdLevel: number
  readonly attributeColumnsMax: number
  readonly retryRemoval: boolean
  readonly retryWindowMs: number
  readonly retryWindowEntriesMax: number
}

export interface PartitionOptions {
  readonly id: PartitionId
  /** Names this owner in commits. */
  readonly writer: string
  readonly store: ObjectStore
  /** Holds `wal/` and `spool/`. */
  readonly directory: string
  readonly settings: PartitionSettings
  readonly clock: Clock
  readonly logger: Logger
  readonly registry: Registry
  readonly onFatal: (error: unknown) => void
}

/** 4 MiB: a batch fits many times, and a memtable of 64 MiB wastes at most a sixteenth. */
const SLAB_BYTES = 4 * 1024 * 1024
/** Row groups hold this much of the batches' bytes at most. */
const ROW_GROUP_BYTES_MAX = 64 * 1024 * 1024

export interface Partition {
  readonly ingester: Ingester
  readonly metrics: IngesterMetrics
  close(): Promise<void>
}

/** Opens a partition that this process owns; resolves when all of its unflushed rows are back. */
export async function openPartition(options: PartitionOptions): Promise<Partition> {
  const { id, store, directory, settings, clock, logger, registry } = options
  const spoolDirectory = await emptySpool(directory)
  const chain = await CommitChain.open(store, id, { clock })
  const window = await loadWindow(options, chain)
  const slabs = new SlabPool(SLAB_BYTES, Math.ceil(settings.flushBytes / SLAB_BYTES))
  const memtable = new Memtable(slabs, chain.end)
  const schemas = new SchemaCache(store, LIMITS.tenantsMax * 3)
  const pool = new FlushPool({
    workers: settings.flushWorkers,
    spoolDirectory,
    schemaOf: (tenant, signal, wanted) => schemas.resolveOrExtend(tenant, signal, wanted),
    logger,
  })
  const closing = new AbortController()
  const metrics: IngesterMetrics = new IngesterMetrics(registry, {
    unflushedRows: () => memtable.rows,
    unflushedBytes: () => memtable.bytes,
    logBytes: () => ingester.logBytes,
    forgottenChunks: () => window.evicted,
  })
  const flusher = new Flusher({
    partition: id,
    writer: options.writer,
    epoch: chain.lastEpoch + 1,
    store,
    chain,
    pool,
    settings: flushSettings(settings),
    clock,
    logger,
    signal: closing.signal,
  })
  const ingester: Ingester = new Ingester({
    wal: walOptions(options),
    memtable,
    window,
    flusher,
    clock,
    logger,
    metrics,
    flushBytes: settings.flushBytes,
    flushIntervalMs: settings.flushIntervalMs,
    memtableBytesMax: settings.memtableBytesMax,
    retryRemoval: settings.retryRemoval,
    onFatal: options.onFatal,
  })
  await checkOwnWriter(options, chain)
  await ingester.recover(chain.end)
  ingester.start()
  return {
    ingester,
    metrics,
    async close() {
      try {
        await ingester.stop()
      } finally {
        closing.abort()
        await pool.close()
      }
    },
  }
}

function flushSettings(settings: PartitionSettings): FlushSettings {
  return {
    rowGroupRowsMax: settings.rowGroupRowsMax,
    rowGroupBytesMax: ROW_GROUP_BYTES_MAX,
    fileRowsMax: settings.fileRowsMax,
    fileBytesMax: settings.fileBytesMax,
    hoursMax: LIMITS.hoursPerFlushMax,
    attributeColumnsMax: settings.attributeColumnsMax,
    zstdLevel: settings.zstdLevel,
  }
}

function walOptions({ id, directory, settings, clock, logger }: PartitionOptions) {
  return {
    directory: join(directory, 'wal'),
    fs: nodeFileSystem,
    clock,
    logger,
    sync: settings.walSync,
    groupDelayMs: settings.walSyncIntervalMs,
    groupBytesMax: settings.walSyncBytesMax,
    segmentBytesMax: settings.walSegmentBytesMax,
    diskBytesMax: settings.walBytesMax,
    segmentIdentity: id,
  }
}

/** Files of a flush that died: their rows are still in the WAL. */
async function emptySpool(directory: string): Promise<string> {
  const spool = join(directory, 'spool')
  await mkdir(spool, { recursive: true })
  for (const name of await readdir(spool)) await unlink(join(spool, name))
  return spool
}

/** Loads what was stored within the window, so that a retry across a restart is stored once. */
async function loadWindow(
  { store, settings, clock, logger }: PartitionOptions,
  chain: CommitChain,
): Promise<RepeatWindow> {
  const window = new RepeatWindow(settings.retryWindowMs, settings.retryWindowEntriesMax)
  if (!settings.retryRemoval) return window
  for (const record of await chain.recent(clock.nowUnixMs() - settings.retryWindowMs)) {
    try {
      for (const { hash, appendUnixMs } of await readSidecar(store, record)) {
        window.add(hash, appendUnixMs)
      }
    } catch (error) {
      if (toAppError(error).code === 'store_unavailable') throw error
      // damaged or gone: a late retry may be stored twice, worth an alarm, never a process that can't start
      logger.error({ err: error, commit: record.start }, 'sidecar of chunk hashes can not be read')
    }
  }
  logger.info({ chunks: window.size }, 'window of repeats loaded')
  return window
}

/**
 * Frames below the chain's end are dropped as stored. That holds only for commits of this WAL: where
 * another process has committed behind the point at which this WAL began, its offsets are not ours.
 */
async function checkOwnWriter(options: PartitionOptions, chain: CommitChain): Promise<void> {
  const { writer, store, directory, id, logger } = options
  const { lastWriter } = chain
  if (lastWriter === undefined || lastWriter === writer) return
  const wal = join(directory, 'wal')
  const { segments } = await listSegments(nodeFileSystem, wal, id, logger)
  if (segments.every(({ name }) => name.baseOffset >= chain.end)) return
  throw new AppError('chain_broken', 'another process has committed to this store since', {
    details: {
      store: store.url,
      topic: id.topic,
      writer: lastWriter,
      remedy: 'give this process a store prefix of its own; its rows stay in the log',
    },
  })
}
