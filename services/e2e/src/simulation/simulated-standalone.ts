/** A standalone process from closed batches on: its partition, WAL, flush and commits are the real ones. */
import { DelegatingFileSystem } from './delegates.ts'
import type { FaultFileSystem } from '@tributary/common/testing/fault-file-system'
import { MemoryObjectStore } from '@tributary/common/testing/memory-object-store'
import { partitionPath, type PartitionId } from '@tributary/common/paths'
import {
  openStandalonePartition,
  type StandalonePartition,
  type StandalonePartitionOptions,
} from '@tributary/ingester/standalone-partition'
import { MemoryEncoder } from '@tributary/ingester/testing/memory-encoder'
import { FLUSH_SETTINGS } from '@tributary/ingester/testing/memory-world'
import type { TestChunk } from '@tributary/ingester/testing/test-batches'
import { parseSegmentFileName } from '@tributary/ingester/wal/segment-header'
import { BatchGatherer } from './batch-gatherer.ts'
import type { PortContext } from './ports.ts'
import { silentLogger, silentRegistry } from './silent-parts.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { SteadyEncoder } from './steady-encoder.ts'
import type { World } from './world.ts'

export const STANDALONE_ID: PartitionId = { logId: 'folder', topic: 'otlp', partition: 0 }
const DIRECTORY = '/data'
const SPOOL = '/data/spool'
const WAL = '/data/wal'

/** Small, so that every bound is met. */
const SETTINGS = {
  ...FLUSH_SETTINGS,
  walSync: 'group',
  walSyncIntervalMs: 0,
  walSyncBytesMax: 100_000,
  walSegmentBytesMax: 1500,
  walBytesMax: 20_000,
  memtableBytesMax: 6000,
  flushWorkers: 1,
} as const

export class SimulatedStandalone {
  readonly process: SimulatedProcess
  readonly disk: FaultFileSystem
  readonly #gatherer: BatchGatherer
  #partition: StandalonePartition | undefined
  #isStopping = false

  /**
   * @param disk of a process before it, or an empty one
   * @param onFatal the process has to end: its partition can not go on
   */
  constructor(world: World, disk: FaultFileSystem, onFatal: (error: unknown) => void) {
    this.process = new SimulatedProcess('standalone', world.clock)
    this.disk = disk
    this.#gatherer = new BatchGatherer(world, this.process, async (_partition, bytes, header) => {
      const space = this.#partition!.appends.reserve(bytes.length)
      space.bytes.set(bytes)
      await this.#partition!.appends.append(space, header)
    })
    const options = this.#options(world, (error) => {
      if (this.process.isAlive) onFatal(error)
    })
    void this.process.run(() => this.#open(options))
  }

  /** Whether it takes requests. */
  get isServing(): boolean {
    return this.#partition !== undefined && !this.#isStopping && this.process.isAlive
  }

  get unflushedRows(): number {
    return this.#partition?.appends.unflushedRows ?? 0
  }

  send(chunks: ReadonlyMap<number, readonly TestChunk[]>, isPoison: boolean): Promise<void> {
    return this.process.run(() => this.#gatherer.send(chunks, isPoison))
  }

  /** SIGTERM: resolves when all is committed and closed, or that failed. */
  async stop(): Promise<void> {
    const partition = this.#partition
    if (partition === undefined || this.#isStopping) return
    this.#isStopping = true
    await this.process.run(() => partition.close()).catch(() => undefined)
  }

  async #open(options: StandalonePartitionOptions): Promise<void> {
    try {
      this.#partition = await openStandalonePartition(options)
    } catch (error) {
      options.onFatal(error)
    }
  }

  #options(world: World, onFatal: (error: unknown) => void): StandalonePartitionOptions {
    const { ports, random, bucket } = world
    const { process, disk } = this
    const { clock } = process
    const context: PortContext = {
      process,
      random,
      truncateLog: (end) => this.#partition?.appends.truncate(end),
    }
    const store = new MemoryObjectStore(bucket, clock, disk)
    const encoder = new SteadyEncoder(
      new MemoryEncoder({
        fs: disk,
        directory: SPOOL,
        clock,
        random,
        delayMs: [0, 30],
        isPoison: (batchId) => world.poison.has(Buffer.from(batchId).toString('hex')),
      }),
      random,
      world.encodeFailureChance,
    )
    const fs = new WatchedWal(disk, world)
    return {
      id: STANDALONE_ID,
      writer: 'writer',
      store: ports.store?.(store, context) ?? store,
      directory: DIRECTORY,
      settings: { ...SETTINGS, ...world.settings, ...ports.settings },
      clock,
      logger: silentLogger,
      registry: silentRegistry,
      onFatal,
      fs: ports.fs?.(fs, context) ?? fs,
      encoder: ports.encoder?.(encoder, context) ?? encoder,
      randomBytes: (count) => random.bytes(count),
      slabBytes: 8192,
    }
  }
}

/** O3: what is unlinked of the WAL leaves no hole between the chain and what is left. */
class WatchedWal extends DelegatingFileSystem {
  readonly #disk: FaultFileSystem
  readonly #world: World

  constructor(disk: FaultFileSystem, world: World) {
    super(disk)
    this.#disk = disk
    this.#world = world
  }

  override async unlink(path: string): Promise<void> {
    await this.inner.unlink(path)
    if (!path.startsWith(`${WAL}/`)) return
    let first: bigint | undefined
    for (const name of await this.#disk.readdir(WAL)) {
      const segment = parseSegmentFileName(name)
      if (segment !== undefined && (first === undefined || segment.baseOffset < first)) {
        first = segment.baseOffset
      }
    }
    const end = this.#world.bucket.endOf(partitionPath(STANDALONE_ID))
    if (first !== undefined && first > end) {
      const what = `the wal begins at ${String(first)}, the chain ends at ${String(end)}`
      this.#world.violations.add('O3', what)
    }
  }
}
