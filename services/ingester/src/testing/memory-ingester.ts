/**
 * Whole ingesters on memory parts: leases, log, bucket and index are shared, each process has a clock,
 * a disk and connections of its own, and can be killed, stopped and cut off.
 */
import { createLogger } from '@tributary/common/logger'
import { createRegistry } from '@tributary/common/metrics'
import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'
import {
  MemoryClusterStore,
  type MemoryClusterMetadata,
} from '@tributary/common/testing/memory-cluster-metadata'
import { MemoryObjectStore } from '@tributary/common/testing/memory-object-store'
import { MemoryPartitionLog } from '@tributary/common/testing/memory-partition-log'
import { ProcessClock } from '@tributary/common/testing/process-clock'
import { Ingester, type IngesterSettings } from '../ingester.ts'
import { IngesterMetrics } from '../metrics.ts'
import { MemoryEncoder } from './memory-encoder.ts'
import type { MemoryWorld } from './memory-world.ts'
import { FLUSH_SETTINGS, MEMORY_SETTINGS } from './memory-world.ts'

const SPOOL = '/data/spool'
const logger = createLogger({ name: 'memory', level: 'silent' })

const SETTINGS = {
  directory: '/data',
  memtableBytesMax: 1_000_000,
  walBytesMax: 10_000_000,
  walSegmentBytesMax: 4000,
  beatIntervalMs: 1000,
  memberTimeToLiveMs: 5000,
  handOverTimeoutMs: 10_000,
  gapPolicy: 'halt',
  quarantinePerHourMax: 100,
  freshnessIntervalMs: 30_000,
  flush: FLUSH_SETTINGS,
} as const satisfies Partial<IngesterSettings>

/** Leases for the ingesters of a world. */
export function memoryLeases(world: MemoryWorld): MemoryClusterStore {
  const { clock, random } = world
  // one turn of the event loop each way, so that others come between
  return new MemoryClusterStore({ clock, random, travel: () => clock.sleep(1) })
}

export class MemoryIngester {
  readonly name: string
  readonly disk: FaultFileSystem
  readonly clock: ProcessClock
  readonly log: MemoryPartitionLog
  readonly metadata: MemoryClusterMetadata
  /** Rejects where it can't start. */
  readonly started: Promise<Ingester>
  ingester: Ingester | undefined

  private constructor(
    world: MemoryWorld,
    leases: MemoryClusterStore,
    name: string,
    disk: FaultFileSystem,
    more: Partial<IngesterSettings>,
  ) {
    this.name = name
    this.disk = disk
    const clock = new ProcessClock(world.clock)
    this.clock = clock
    this.log = new MemoryPartitionLog(world.broker)
    this.metadata = leases.connect()
    const { bucket, random, options } = world
    const registry = createRegistry({ hasProcessMetrics: false })
    const encoder = { fs: disk, directory: SPOOL, clock, random }
    this.started = Ingester.start(
      {
        log: this.log,
        metadata: this.metadata,
        store: new MemoryObjectStore(bucket, clock, disk),
        encoder: new MemoryEncoder({ ...encoder, ...options.encoder }),
        fs: disk,
        clock,
        logger,
        registry,
        metrics: new IngesterMetrics(registry),
        randomBytes: (count) => random.bytes(count),
        busy: () => ({ loopBusySeconds: 0, flushBusySeconds: 0 }),
      },
      {
        ...SETTINGS,
        name,
        address: `${name}:1`,
        partition: { ...MEMORY_SETTINGS, ...options.settings },
        ...more,
      },
    )
    this.started.then(
      (ingester) => (this.ingester = ingester),
      () => undefined,
    )
  }

  /** @param disk of a process before it, or an empty one */
  static async start(
    world: MemoryWorld,
    leases: MemoryClusterStore,
    name: string,
    disk = new FaultFileSystem(world.random.uint32()),
    more: Partial<IngesterSettings> = {},
  ): Promise<MemoryIngester> {
    await disk.mkdir(SPOOL)
    return new MemoryIngester(world, leases, name, disk, more)
  }

  /** The partitions that it owns now. */
  get owned(): number[] {
    const slots = this.ingester?.slots ?? []
    return slots.flatMap(({ state }, partition) => (state === 'owned' ? partition : []))
  }

  /**
   * kill -9.
   * @returns the disk as the next process finds it
   */
  crash(): FaultFileSystem {
    this.clock.crash()
    this.log.crash()
    this.metadata.line.isCut = true
    return this.disk.killProcess()
  }
}
