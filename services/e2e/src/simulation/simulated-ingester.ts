/** A whole ingester, the real one, on the ports of a simulated world. */
import type { FaultFileSystem } from '@tributary/common/testing/fault-file-system'
import { MemoryFileIndex } from '@tributary/common/testing/memory-file-index'
import { MemoryObjectStore } from '@tributary/common/testing/memory-object-store'
import { MemoryPartitionLog } from '@tributary/common/testing/memory-partition-log'
import { Ingester, type IngesterSettings } from '@tributary/ingester/ingester'
import { MemoryEncoder } from '@tributary/ingester/testing/memory-encoder'
import { FLUSH_SETTINGS } from '@tributary/ingester/testing/memory-world'
import type { ClusterWorld } from './cluster-world.ts'
import type { SidedLine } from './lease-masters.ts'
import { ProcessIndex, ProcessLog, ProcessMetadata } from './process-ports.ts'
import { ingesterMetrics, silentLogger, silentRegistry } from './silent-parts.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { SteadyEncoder } from './steady-encoder.ts'

export const BEAT_MS = 250
export const TIME_TO_LIVE_MS = 800
const SPOOL = '/data/spool'

/** Small, so that every bound is met. */
const SETTINGS = {
  directory: '/data',
  memtableBytesMax: 6000,
  walBytesMax: 20_000,
  walSegmentBytesMax: 2000,
  beatIntervalMs: BEAT_MS,
  memberTimeToLiveMs: TIME_TO_LIVE_MS,
  handOverTimeoutMs: 3000,
  gapPolicy: 'halt',
  quarantinePerHourMax: 1000,
  freshnessIntervalMs: 1500,
  flush: FLUSH_SETTINGS,
  slabBytes: 8192,
} as const satisfies Partial<IngesterSettings>

export class SimulatedIngester {
  readonly process: SimulatedProcess
  readonly disk: FaultFileSystem
  readonly line: SidedLine
  readonly indexLine: { isCut: boolean }
  readonly #parts: ConstructorParameters<typeof MemoryObjectStore>
  #ingester: Ingester | undefined
  #isDraining = false

  /** @param disk of a process before it, or an empty one */
  constructor(world: ClusterWorld, name: string, disk: FaultFileSystem) {
    const { clock, broker, leases, bucket } = world
    this.process = new SimulatedProcess(name, clock)
    this.disk = disk
    this.#parts = [bucket, this.process.clock, disk]
    const { metadata, line } = leases.connect()
    this.line = line
    const index = new MemoryFileIndex(world.indexState, leases.calls)
    this.indexLine = index.line
    const log = new MemoryPartitionLog(broker)
    this.process.onEnd(() => {
      log.crash()
      line.isCut = true
      index.line.isCut = true
    })
    void this.process.run(() => this.#start(world, log, metadata, index))
  }

  get name(): string {
    return this.process.name
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** The partitions that it owns now. */
  get owned(): number[] {
    const slots = this.#ingester?.slots ?? []
    return slots.flatMap(({ state }, partition) => (state === 'owned' ? partition : []))
  }

  get states(): string {
    return (this.#ingester?.slots ?? []).map(({ state }) => state).join(' ')
  }

  /** SIGTERM. */
  stop(): void {
    if (this.#ingester === undefined) return
    this.#isDraining = true
    const ingester = this.#ingester
    void this.process.run(() => ingester.stop())
  }

  async #start(
    world: ClusterWorld,
    log: MemoryPartitionLog,
    metadata: ConstructorParameters<typeof ProcessMetadata>[0],
    index: MemoryFileIndex,
  ): Promise<void> {
    const { ports, random } = world
    const { process, disk } = this
    const { clock, name } = process
    const context = { process, random }
    const store = new MemoryObjectStore(...this.#parts)
    await disk.mkdir(SPOOL)
    const fs = ports.fs?.(disk, context) ?? disk
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
    const ownLog = new ProcessLog(log, process)
    const ownMetadata = new ProcessMetadata(metadata, process)
    const ownIndex = new ProcessIndex(index, process)
    // a log that does not answer at the start: the container is started again
    while (this.#ingester === undefined) {
      try {
        this.#ingester = await Ingester.start(
          {
            log: ports.log?.(ownLog, context) ?? ownLog,
            metadata: ports.metadata?.(ownMetadata, context) ?? ownMetadata,
            store: ports.store?.(store, context) ?? store,
            index: ports.index?.(ownIndex, context) ?? ownIndex,
            encoder: ports.encoder?.(encoder, context) ?? encoder,
            fs,
            clock,
            logger: silentLogger,
            registry: silentRegistry,
            metrics: ingesterMetrics,
            randomBytes: (count) => random.bytes(count),
            busy: () => ({ loopBusySeconds: 0, flushBusySeconds: 0 }),
          },
          {
            ...SETTINGS,
            name,
            address: `${name}:1`,
            partition: { ...world.settings, ...ports.settings },
          },
        )
      } catch {
        await clock.sleep(500)
      }
    }
    world.note(`${name} started as ${this.#ingester.member}`)
  }
}
