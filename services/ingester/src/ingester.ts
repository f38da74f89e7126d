/**
 * An ingester of a cluster: owns partitions of the log by lease and turns their records into files and
 * commits. Everything that has time, chance or the outside world in it is a constructor argument, so
 * that several run in one process under a seed.
 */
import { join } from 'node:path'
import { IndexKeeper } from '@tributary/common/catalogue/index-keeper'
import type { FileIndex } from '@tributary/common/catalogue/file-index'
import type { Clock } from '@tributary/common/clock'
import type { Freshness } from '@tributary/common/commit/freshness'
import { AppError } from '@tributary/common/errors'
import type { FileSystem } from '@tributary/common/file-system'
import type { PartitionLog } from '@tributary/common/log/partition-log'
import type { Logger } from '@tributary/common/logger'
import type { ClusterMetadata } from '@tributary/common/metadata/cluster-metadata'
import { serializeIngesterStatus } from '@tributary/common/metadata/ingester-status'
import { memberIdOf } from '@tributary/common/metadata/member-identity'
import type { Registry } from '@tributary/common/metrics'
import type { Tracing } from '@tributary/common/tracing'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { logTag, type PartitionId } from '@tributary/common/paths'
import { ClusterMetrics, type PartitionFigures } from './cluster-metrics.ts'
import { FetchGate } from './fetch/fetch-gate.ts'
import { LogFeed } from './fetch/log-feed.ts'
import { QuarantineBudget } from './fetch/quarantine-budget.ts'
import type { TableEncoder } from './flush/table-encoder.ts'
import type { FlushSettings } from './flush/table-writer.ts'
import { FreshnessWriter } from './freshness-writer.ts'
import { SlabPool } from './memtable/slab-pool.ts'
import { exposeIngester, type IngesterMetrics } from './metrics.ts'
import { Ownership } from './ownership/ownership.ts'
import { PartitionSlot, type OwnerEvents } from './ownership/partition-slot.ts'
import type { UnflushedSnapshot } from './partition.ts'
import { PartitionOwner, type GapPolicy } from './partition-owner.ts'
import { catchUp } from './serve/catch-up.ts'
import type { UnflushedReaderOptions } from './serve/unflushed-reader.ts'
import type { PartitionSettings, SharedParts } from './shared-parts.ts'

/** The outside world of an ingester. */
export interface IngesterParts {
  readonly log: PartitionLog
  readonly metadata: ClusterMetadata
  readonly store: ObjectStore
  readonly encoder: TableEncoder
  readonly fs: FileSystem
  readonly clock: Clock
  readonly logger: Logger
  readonly registry: Registry
  readonly metrics: IngesterMetrics
  /** Ids of members, requests and files. */
  readonly randomBytes: (count: number) => Uint8Array
  readonly busy: () => IngesterBusy
  /** Undefined: nothing is traced. */
  readonly tracing?: Tracing | undefined
  /** Files by tenant, signal and hour; undefined: readers take the chains. */
  readonly index?: FileIndex
}

/** Seconds since the start; of the workers the mean. */
export interface IngesterBusy {
  readonly loopBusySeconds: number
  readonly flushBusySeconds: number
}

export interface IngesterSettings {
  /** The pod or host: stays over restarts. */
  readonly name: string
  /** Where others reach its gRPC services, host:port. */
  readonly address: string
  /** Holds `wal/`. */
  readonly directory: string
  readonly memtableBytesMax: number
  readonly walBytesMax: number
  readonly walSegmentBytesMax: number
  readonly beatIntervalMs: number
  readonly memberTimeToLiveMs: number
  readonly handOverTimeoutMs: number
  readonly gapPolicy: GapPolicy
  readonly quarantinePerHourMax: number
  readonly freshnessIntervalMs: number
  readonly partition: PartitionSettings
  readonly flush: FlushSettings
  /** Default 1 MiB: each partition has an open one, and four envelopes of the usual size fit. */
  readonly slabBytes?: number
}

const SLAB_BYTES = 1024 * 1024
/** A partition whose fetching is so far behind takes fewer streams. */
const SATURATED_BACKLOG_SECONDS = 30

export class Ingester {
  /** Unique to this start: its commits carry it. */
  readonly member: string
  readonly #parts: IngesterParts
  readonly #settings: IngesterSettings
  readonly #shared: SharedParts
  readonly #metrics: ClusterMetrics
  readonly #gate: FetchGate
  readonly #keeper: IndexKeeper | undefined
  readonly #ownership: Ownership
  readonly #freshness: FreshnessWriter
  /** Of partitions that were opened here: they outlive an owner that failed. */
  readonly #budgets = new Map<number, QuarantineBudget>()
  #feed: LogFeed | undefined

  private constructor(parts: IngesterParts, settings: IngesterSettings) {
    this.#parts = parts
    this.#settings = settings
    this.member = memberIdOf(settings.name, Buffer.from(parts.randomBytes(6)).toString('hex'))
    this.#metrics = this.#makeMetrics()
    this.#shared = this.#makeShared()
    const { memtableBytesMax: memoryBytesMax, walBytesMax } = settings
    this.#gate = new FetchGate({ memoryBytesMax, walBytesMax })
    const { index, store, clock, logger, registry } = parts
    if (index !== undefined) {
      const random = (): number => parts.randomBytes(1)[0]! / 256
      this.#keeper = new IndexKeeper({ index, store, clock, random, logger, registry })
    }
    this.#ownership = this.#makeOwnership()
    this.#freshness = new FreshnessWriter({
      store,
      clock,
      logger,
      intervalMs: settings.freshnessIntervalMs,
      read: () => this.#freshnessOf(),
    })
  }

  /**
   * Begins to read and to own.
   * @throws AppError log_unavailable, log_unfit where the log can not be read
   */
  static async start(parts: IngesterParts, settings: IngesterSettings): Promise<Ingester> {
    const ingester = new Ingester(parts, settings)
    const { log, clock, logger } = parts
    ingester.#feed = await LogFeed.open({
      log,
      clock,
      logger,
      onTrouble: () => {
        ingester.#metrics.fetchTrouble()
      },
    })
    ingester.#ownership.start()
    return ingester
  }

  /** What it reads. */
  get log(): Pick<PartitionLog, 'logId' | 'topic' | 'partitionCount'> {
    return this.#parts.log
  }

  get slots(): readonly PartitionSlot[] {
    return this.#ownership.slots
  }

  /** Since the start. */
  get committedFiles(): number {
    return this.#parts.metrics.files
  }

  get isDraining(): boolean {
    return this.#ownership.isDraining
  }

  /** Why it is not ready, for people; undefined where nothing is known to be wrong. */
  get notReadyReason(): string | undefined {
    if (this.isDraining) return 'draining'
    if (this.#ownership.answeredMs === undefined) return 'the store of leases has not answered yet'
    if (this.#feed?.isFit !== true) return 'the log can not be read'
    const halted = this.partitions().find(({ haltReason }) => haltReason !== undefined)
    if (halted !== undefined) {
      return `partition ${String(halted.partition)} is halted: ${halted.haltReason ?? ''}`
    }
    return this.#owners().some(({ holds }) => holds.has('wal'))
      ? 'the disk takes no records'
      : undefined
  }

  /** Whether it takes part and nothing stands still. */
  get isReady(): boolean {
    return this.notReadyReason === undefined
  }

  /** Commits everything that was fetched before the call. @throws AppError not_ready, store_unavailable */
  async flush(): Promise<void> {
    await Promise.all(this.#owners().map((owner) => owner.flush()))
  }

  /**
   * The rows of a partition that are not committed, held until the snapshot is released.
   * @throws AppError object_missing where the partition is owned elsewhere
   */
  snapshot(partition: number): { readonly id: PartitionId; readonly snapshot: UnflushedSnapshot } {
    const owner = this.#ownerOf(partition)
    return { id: owner.id, snapshot: owner.snapshot() }
  }

  /**
   * Waits until all that the log has of a partition is in memory, or the time is over.
   * @returns where the log ended when this was called; undefined where it did not say
   * @throws AppError object_missing where the partition is owned elsewhere; cancelled
   */
  catchUp(partition: number, waitMs: number, signal: AbortSignal): Promise<bigint | undefined> {
    const { log, clock } = this.#parts
    const end = (): bigint => this.#ownerOf(partition).end
    return catchUp({ log, clock, partition, end, waitMs }, signal)
  }

  /** What makes files of a snapshot. */
  get unflushedReading(): UnflushedReaderOptions {
    const { encoder, fs } = this.#parts
    return { encoder, fs, settings: this.#settings.flush }
  }

  /** Rows of all partitions. */
  get memoryBytes(): number {
    return this.#gate.memoryBytes
  }

  get memoryBytesMax(): number {
    return this.#settings.memtableBytesMax
  }

  /** How long event loop and flush workers were busy since the start. */
  get busy(): IngesterBusy {
    return this.#parts.busy()
  }

  /**
   * Gives every partition away and takes none from now on.
   * @param holdMs ends the drain after this long; default: never
   * @throws AppError cancelled where the drain ends before everything was given away
   */
  drain(holdMs?: number): Promise<void> {
    return this.#ownership.drain(holdMs)
  }

  /**
   * Ends a drain.
   * @param onlyHeld not one without a hold
   * @throws AppError draining while it stops
   */
  resume(onlyHeld = false): void {
    this.#ownership.resume(onlyHeld)
  }

  /**
   * Drains, leaves the cluster, closes what it opened; the parts stay the caller's. After `timeoutMs` what
   * is not committed is left to Kafka.
   */
  async stop(timeoutMs = Infinity): Promise<void> {
    await this.#ownership.stop(timeoutMs)
    await this.#feed?.close()
    await this.#keeper?.close()
    await this.#freshness.close()
  }

  /** How the partitions are whose leases this process holds. */
  partitions(): PartitionFigures[] {
    const nowMs = this.#parts.clock.nowUnixMs()
    return this.slots.flatMap(({ state, epoch, owner, haltReason }, partition) => {
      if (state === 'idle') return []
      const lag = owner?.progress.lag(nowMs) ?? { offsets: 0, seconds: 0 }
      const holds = owner?.holds ?? new Set<string>()
      const backlog = owner?.progress.backlog(nowMs) ?? { offsets: 0, seconds: 0 }
      return {
        partition,
        epoch,
        state: haltReason === undefined ? state : 'halted',
        haltReason,
        start: owner?.start ?? 0n,
        next: owner?.next ?? 0n,
        lagOffsets: lag.offsets,
        lagSeconds: lag.seconds,
        oldestSeconds: this.#sinceSeconds(owner?.oldestMs),
        unflushedRows: owner?.unflushedRows ?? 0,
        unflushedBytes: owner?.bytes ?? 0,
        validThroughUnixMs: owner?.progress.validThroughUnixMs ?? 0,
        holds,
        backlogOffsets: backlog.offsets,
        backlogSeconds: backlog.seconds,
        // not the lag: that grows up to the flush interval while all is well
        isSaturated: backlog.seconds > SATURATED_BACKLOG_SECONDS || holds.has('wal'),
        isHalted: haltReason !== undefined,
      }
    })
  }

  #sinceSeconds(sinceMs: number | undefined): number {
    return sinceMs === undefined ? 0 : (this.#parts.clock.monotonicMs() - sinceMs) / 1000
  }

  #makeMetrics(): ClusterMetrics {
    return new ClusterMetrics(this.#parts.registry, {
      partitions: () => this.partitions(),
      sinceBeatSeconds: () => this.#sinceSeconds(this.#ownership.answeredMs),
    })
  }

  #makeShared(): SharedParts {
    const { store, encoder, fs, clock, logger, registry, metrics, tracing } = this.#parts
    const {
      memtableBytesMax,
      slabBytes = SLAB_BYTES,
      walBytesMax,
      partition,
      flush,
    } = this.#settings
    const sum = (read: (owner: PartitionOwner) => number): number =>
      this.#owners().reduce((total, owner) => total + read(owner), 0)
    exposeIngester(registry, {
      unflushedRows: () => sum(({ unflushedRows }) => unflushedRows),
      unflushedBytes: () => this.#gate.memoryBytes,
      unflushedBytesMax: memtableBytesMax,
      logBytes: () => this.#gate.walBytes,
      logBytesMax: walBytesMax,
    })
    return {
      store,
      encoder,
      slabs: new SlabPool(slabBytes, Math.ceil(memtableBytesMax / slabBytes / 2)),
      fs,
      clock,
      logger,
      metrics,
      observe: metrics.stage.bind(metrics),
      tracing,
      settings: partition,
      flushSettings: flush,
    }
  }

  #makeOwnership(): Ownership {
    const { metadata, clock, logger, log } = this.#parts
    const { name, address, beatIntervalMs, memberTimeToLiveMs } = this.#settings
    return new Ownership({
      member: this.member,
      name,
      address,
      metadata,
      clock,
      logger,
      beatIntervalMs,
      timeToLiveMs: memberTimeToLiveMs,
      partitionCount: () => log.partitionCount,
      newSlot: (partition) => this.#newSlot(partition),
      status: () => serializeIngesterStatus(this.partitions()),
      onBeat: (isAnswered) => {
        this.#metrics.beat(isAnswered)
      },
      onForgotten: () => {
        this.#metrics.leasesForgotten()
      },
    })
  }

  #newSlot(partition: number): PartitionSlot {
    const { metadata, clock, logger, randomBytes } = this.#parts
    const metrics = this.#metrics
    return new PartitionSlot({
      partition,
      member: this.member,
      metadata,
      clock,
      logger,
      newRequestId: () => Buffer.from(randomBytes(12)).toString('hex'),
      openOwner: (events) => this.#openOwner(partition, events),
      handOverTimeoutMs: this.#settings.handOverTimeoutMs,
      events: {
        acquired: () => metrics.lease('acquired'),
        lost: () => metrics.lease('lost'),
        fenced: () => metrics.fenced(),
        reopened: (code) => {
          metrics.lease('reopened')
          metrics.failed(code)
        },
        halted: (code) => metrics.failed(code),
        handedOver: (pauseMs) => metrics.handedOver(pauseMs / 1000),
      },
    })
  }

  async #openOwner(partition: number, events: OwnerEvents): Promise<PartitionOwner> {
    const { log, clock, randomBytes } = this.#parts
    const { directory, walSegmentBytesMax, gapPolicy, quarantinePerHourMax } = this.#settings
    const id: PartitionId = { logId: log.logId, topic: log.topic, partition }
    const budget = this.#budgets.get(partition) ?? new QuarantineBudget(clock, quarantinePerHourMax)
    this.#budgets.set(partition, budget)
    const owner = await PartitionOwner.open({
      id,
      writer: this.member,
      epoch: events.epoch,
      shared: this.#shared,
      log,
      feed: this.#feed!.of(partition),
      wal: {
        directory: join(directory, 'wal', logTag(id), String(partition)),
        randomBytes,
        segmentBytesMax: walSegmentBytesMax,
      },
      gapPolicy,
      budget,
      hasRoom: () => this.#gate.hasRoom,
      onBytes: () => {
        this.#gate.changed()
      },
      onCommitted: ({ records }) => {
        for (const record of records) this.#keeper?.committed(record)
      },
      onFailed: events.onFailed,
      onFenced: events.onFenced,
      onClosed: (closed) => {
        this.#gate.remove(closed)
        this.#keeper?.closed(id)
        this.#freshness.forget(partition)
      },
    })
    this.#gate.add(owner)
    this.#keeper?.opened(id)
    return owner
  }

  #ownerOf(partition: number): PartitionOwner {
    const owner = this.slots[partition]?.owner
    if (owner !== undefined) return owner
    const details = { partition }
    throw new AppError('object_missing', 'the partition is not owned here', { details })
  }

  #owners(): PartitionOwner[] {
    return this.slots.flatMap(({ owner }) => owner ?? [])
  }

  *#freshnessOf(): Iterable<readonly [PartitionId, Freshness]> {
    for (const owner of this.#owners()) {
      const { validThroughUnixMs } = owner.progress
      if (validThroughUnixMs > 0) yield [owner.id, { validThroughUnixMs, end: owner.start }]
    }
  }
}
