/**
 * A cluster in one process, in virtual time and under one seed: one log, one bucket, and ingesters that
 * can be killed and started again on the same disk or an empty one.
 */
import { createLogger } from '@tributary/common/logger'
import { createRegistry } from '@tributary/common/metrics'
import type { PartitionId } from '@tributary/common/paths'
import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'
import { MemoryLogBroker } from '@tributary/common/testing/memory-log-broker'
import type { MemoryLogFaults } from '@tributary/common/testing/memory-log-faults'
import {
  MemoryBucket,
  MemoryObjectStore,
  type StoreFaults,
} from '@tributary/common/testing/memory-object-store'
import { MemoryPartitionLog } from '@tributary/common/testing/memory-partition-log'
import { ProcessClock } from '@tributary/common/testing/process-clock'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { VirtualClock } from '@tributary/common/testing/virtual-clock'
import { LogFeed } from '../fetch/log-feed.ts'
import { QuarantineBudget } from '../fetch/quarantine-budget.ts'
import { SlabPool } from '../memtable/slab-pool.ts'
import { IngesterMetrics } from '../metrics.ts'
import { PartitionOwner, type PartitionOwnerOptions } from '../partition-owner.ts'
import type { PartitionSettings, SharedParts } from '../shared-parts.ts'
import { MemoryEncoder, type MemoryEncoderOptions } from './memory-encoder.ts'

const SPOOL = '/data/spool'
export const MEMORY_SETTINGS: PartitionSettings = {
  flushIntervalMs: 2000,
  flushBytes: 20_000,
  retryRemoval: true,
  retryWindowMs: 600_000,
  retryWindowEntriesMax: 10_000,
}
export const FLUSH_SETTINGS = {
  rowGroupRowsMax: 1000,
  rowGroupBytesMax: 1_000_000,
  fileRowsMax: 1_000_000,
  fileBytesMax: 1_000_000_000,
  hoursMax: 48,
  attributeColumnsMax: 100,
  zstdLevel: 1,
}
const logger = createLogger({ name: 'memory', level: 'silent' })

export interface MemoryWorldOptions {
  readonly seed: number
  readonly partitions?: number
  readonly logFaults?: Partial<MemoryLogFaults>
  readonly storeFaults?: Partial<StoreFaults>
  readonly settings?: Partial<PartitionSettings>
  readonly encoder?: Partial<MemoryEncoderOptions>
}

export class MemoryWorld {
  readonly clock = new VirtualClock()
  readonly random: SeededRandom
  readonly broker: MemoryLogBroker
  readonly bucket: MemoryBucket
  readonly options: MemoryWorldOptions

  constructor(options: MemoryWorldOptions) {
    const { seed, partitions = 1, logFaults = {}, storeFaults = {} } = options
    this.options = options
    this.random = new SeededRandom(seed)
    this.broker = new MemoryLogBroker({ clock: this.clock, seed, partitions, faults: logFaults })
    this.bucket = new MemoryBucket(this.clock, this.random, storeFaults)
  }

  idOf(partition: number): PartitionId {
    return { logId: this.broker.logId, topic: this.broker.topic, partition }
  }

  /** @param disk of a process before it, or an empty one */
  async start(
    name: string,
    disk = new FaultFileSystem(this.random.uint32()),
  ): Promise<MemoryProcess> {
    await disk.mkdir(SPOOL)
    return new MemoryProcess(this, name, disk)
  }
}

/** What a test may set about one owner. */
export type OwnerOverrides = Partial<
  Pick<PartitionOwnerOptions, 'gapPolicy' | 'budget' | 'hasRoom' | 'onFailed'>
>

export class MemoryProcess {
  readonly world: MemoryWorld
  readonly name: string
  readonly disk: FaultFileSystem
  readonly clock: ProcessClock
  readonly log: MemoryPartitionLog
  readonly shared: SharedParts
  readonly owners = new Map<number, PartitionOwner>()
  readonly failures: unknown[] = []
  readonly registry = createRegistry({ hasProcessMetrics: false })
  #feed: Promise<LogFeed> | undefined

  constructor(world: MemoryWorld, name: string, disk: FaultFileSystem) {
    this.world = world
    this.name = name
    this.disk = disk
    this.clock = new ProcessClock(world.clock)
    this.log = new MemoryPartitionLog(world.broker)
    this.shared = this.#sharedParts()
  }

  /** Opens a partition, whoever else may own it. */
  async own(partition: number, epoch: number, more: OwnerOverrides = {}): Promise<PartitionOwner> {
    this.#feed ??= LogFeed.open({
      log: this.log,
      clock: this.clock,
      logger,
      onTrouble: () => undefined,
    })
    const feed = await this.#feed
    const { random } = this.world
    const owner = await PartitionOwner.open({
      id: this.world.idOf(partition),
      writer: this.name,
      epoch: () => epoch,
      shared: this.shared,
      log: this.log,
      feed: feed.of(partition),
      wal: {
        directory: `/data/wal/${partition}`,
        randomBytes: (count) => random.bytes(count),
        segmentBytesMax: 4000,
      },
      gapPolicy: 'halt',
      budget: new QuarantineBudget(this.clock, 10),
      hasRoom: () => true,
      onBytes: () => undefined,
      onCommitted: () => undefined,
      onFailed: (error) => this.failures.push(error),
      ...more,
    })
    this.owners.set(partition, owner)
    return owner
  }

  /**
   * kill -9.
   * @returns the disk as the next process finds it
   */
  crash(): FaultFileSystem {
    this.clock.crash()
    this.log.crash()
    this.owners.clear()
    return this.disk.killProcess()
  }

  #sharedParts(): SharedParts {
    const { bucket, random, options } = this.world
    const encoder = { fs: this.disk, directory: SPOOL, clock: this.clock, random }
    return {
      store: new MemoryObjectStore(bucket, this.clock, this.disk),
      encoder: new MemoryEncoder({ ...encoder, ...options.encoder }),
      slabs: new SlabPool(8192, 16),
      fs: this.disk,
      clock: this.clock,
      logger,
      metrics: new IngesterMetrics(this.registry),
      observe: () => undefined,
      settings: { ...MEMORY_SETTINGS, ...options.settings },
      flushSettings: FLUSH_SETTINGS,
    }
  }
}
