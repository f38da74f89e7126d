/**
 * Opens the one partition of a standalone process with everything below it: chain, window of repeats,
 * memtable, flush workers, WAL. The order is that of trust: the chain says where the partition ends,
 * its sidecars what was stored lately, and only then the WAL what is still to be stored.
 */
import { join } from 'node:path'
import type { Clock } from '@tributary/common/clock'
import { CommitChain } from '@tributary/common/commit/commit-chain'
import { AppError } from '@tributary/common/errors'
import { nodeFileSystem, type FileSystem } from '@tributary/common/file-system'
import { LIMITS } from '@tributary/common/limits'
import type { Logger } from '@tributary/common/logger'
import { Gauge, type Registry } from '@tributary/common/metrics'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { PartitionId } from '@tributary/common/paths'
import type { Tracing } from '@tributary/common/tracing'
import { AppendPath } from './append-path.ts'
import { FlushPool } from './flush/flush-pool.ts'
import { SchemaCache } from './flush/schema-cache.ts'
import { emptySpool } from './flush/spool-folder.ts'
import type { TableEncoder } from './flush/table-encoder.ts'
import type { FlushSettings } from './flush/table-writer.ts'
import { SlabPool } from './memtable/slab-pool.ts'
import { IngesterMetrics, exposeIngester } from './metrics.ts'
import { Partition } from './partition.ts'
import { flushSettingsOf, type PartitionSettings, type SharedParts } from './shared-parts.ts'
import { TableWidths } from './table-widths.ts'
import { listSegments } from './wal/segment-directory.ts'
import type { WalSync } from './wal/wal-options.ts'

export interface StandalonePartitionSettings
  extends PartitionSettings, Omit<FlushSettings, 'rowGroupBytesMax' | 'hoursMax'> {
  readonly walSync: WalSync
  readonly walSyncIntervalMs: number
  readonly walSyncBytesMax: number
  readonly walSegmentBytesMax: number
  readonly walBytesMax: number
  readonly memtableBytesMax: number
  readonly flushWorkers: number
}

export interface StandalonePartitionOptions {
  readonly id: PartitionId
  /** Names this owner in commits. */
  readonly writer: string
  readonly store: ObjectStore
  /** Holds `wal/` and `spool/`. */
  readonly directory: string
  readonly settings: StandalonePartitionSettings
  readonly clock: Clock
  readonly logger: Logger
  readonly registry: Registry
  /** Undefined: nothing is traced. */
  readonly tracing?: Tracing | undefined
  readonly onFatal: (error: unknown) => void
  /** What a simulation replaces: the disk, flush workers, chance, the size of slabs. Default: those of the machine. */
  readonly fs?: FileSystem
  readonly encoder?: TableEncoder
  readonly randomBytes?: (count: number) => Uint8Array
  readonly slabBytes?: number
}

/** 4 MiB: a batch fits many times, and a memtable of 64 MiB wastes at most a sixteenth. */
const SLAB_BYTES = 4 * 1024 * 1024
/** At most ten more syncs a second, none under load; what an unclean stop leaves unproven is this old. */
const MARK_IDLE_MS = 100

export interface StandalonePartition {
  readonly appends: AppendPath
  readonly metrics: IngesterMetrics
  close(): Promise<void>
}

/** What the metrics look at, as far as it is open. */
interface OpenParts {
  partition?: Partition
  appends?: AppendPath
}

/** Opens the partition; resolves when all of its unflushed rows are back. */
export async function openStandalonePartition(
  options: StandalonePartitionOptions,
): Promise<StandalonePartition> {
  const { id, store, settings, clock, logger } = options
  const chain = await CommitChain.open(store, id, { clock })
  const open: OpenParts = {}
  const shared = await openSharedParts(options, open)
  const epoch = chain.lastEpoch + 1
  const partition = await Partition.open({
    id,
    writer: options.writer,
    epoch: () => epoch,
    chain,
    shared,
    removesBatches: false,
    admitPoison: () => undefined,
    onCommitted: ({ end }) => open.appends?.truncate(end),
    onFailed: options.onFatal,
  })
  open.partition = partition
  await checkOwnWriter(options, chain)
  const appends = await AppendPath.recover({
    wal: walOptions(options),
    partition,
    logger,
    metrics: shared.metrics,
    memtableBytesMax: settings.memtableBytesMax,
  })
  open.appends = appends
  return {
    appends,
    metrics: shared.metrics,
    async close() {
      try {
        await appends.stop()
      } finally {
        await shared.encoder.close()
      }
    },
  }
}

async function openSharedParts(
  options: StandalonePartitionOptions,
  open: OpenParts,
): Promise<SharedParts> {
  const { store, directory, settings, clock, logger, registry, fs = nodeFileSystem } = options
  const { slabBytes = SLAB_BYTES } = options
  const metrics = new IngesterMetrics(registry)
  exposeIngester(registry, {
    unflushedRows: () => open.partition?.unflushedRows ?? 0,
    unflushedBytes: () => open.appends?.unflushedBytes ?? open.partition?.unflushedBytes ?? 0,
    unflushedBytesMax: settings.memtableBytesMax,
    logBytes: () => open.appends?.logBytes ?? 0,
    logBytesMax: settings.walBytesMax,
  })
  registerOldest(registry, clock, open)
  const widths = new TableWidths(registry, clock)
  const schemas = new SchemaCache(store, LIMITS.tenantsMax * 3, widths.keysKnown.bind(widths))
  const observe = metrics.stage.bind(metrics)
  const spoolDirectory = await emptySpool(fs, directory)
  return {
    store,
    encoder:
      options.encoder ??
      new FlushPool({
        workers: settings.flushWorkers,
        spoolDirectory,
        schemaOf: (tenant, signal, wanted) => schemas.resolveOrExtend(tenant, signal, wanted),
        clock,
        logger,
        observe,
        onWritten: ({ tenant, signal, partition }, { streams }) => {
          widths.streamsWritten(tenant, signal, partition, streams)
        },
      }),
    slabs: new SlabPool(slabBytes, Math.ceil(settings.flushBytes / slabBytes)),
    fs,
    clock,
    logger,
    metrics,
    observe,
    tracing: options.tracing,
    settings,
    flushSettings: flushSettingsOf(settings),
  }
}

/** The same gauge as in a cluster: files that can not be stored are seen by it before memory is full. */
function registerOldest(registry: Registry, clock: Clock, open: OpenParts): void {
  new Gauge({
    name: 'tributary_ingester_oldest_unflushed_seconds',
    help: 'Age of the oldest row that is not committed',
    registers: [registry],
    collect() {
      const oldestMs = open.partition?.oldestMs
      this.set(oldestMs === undefined ? 0 : (clock.monotonicMs() - oldestMs) / 1000)
    },
  })
}

function walOptions(options: StandalonePartitionOptions) {
  const { id, directory, settings, clock, logger, fs = nodeFileSystem, randomBytes } = options
  return {
    directory: join(directory, 'wal'),
    fs,
    clock,
    logger,
    sync: settings.walSync,
    groupBytesMax: settings.walSyncBytesMax,
    segmentBytesMax: settings.walSegmentBytesMax,
    diskBytesMax: settings.walBytesMax,
    markIdleMs: MARK_IDLE_MS,
    segmentIdentity: id,
    ...(randomBytes === undefined ? {} : { randomBytes }),
  }
}

/**
 * Frames below the chain's end are dropped as stored. That holds only for commits of this WAL: where
 * another process has committed behind the point at which this WAL began, its offsets are not ours.
 */
async function checkOwnWriter(
  { writer, store, directory, id, logger, fs = nodeFileSystem }: StandalonePartitionOptions,
  chain: CommitChain,
): Promise<void> {
  const { lastWriter } = chain
  if (lastWriter === undefined || lastWriter === writer) return
  const wal = join(directory, 'wal')
  const { segments } = await listSegments(fs, wal, id, logger)
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
