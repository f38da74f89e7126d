/**
 * One partition of Kafka that this process owns: from the chain's end through the WAL's copies to the
 * newest record, and back into the chain.
 *
 *   chain.open ──> window of repeats ──> WAL copies ──> reader ──take──> intake ──> partition ──> commit
 *
 * Invariants: reading starts at the chain's end, behind what the WAL gave back, and goes on without a
 * gap: an offset is taken once, or is a hole with a reason. Reading is held while any reason stands.
 * After `close` nothing of this owner touches the chain but a put that was under way, which lands as
 * the commit of its epoch or not at all. Who may own is decided above; the chain alone makes it safe.
 */
import { decodeEnvelope, type EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { CommitChain } from '@tributary/common/commit/commit-chain'
import { AppError, toAppError } from '@tributary/common/errors'
import { failpoint, failpointSync } from '@tributary/common/failpoint'
import type { LogRecord, OffsetBounds, PartitionLog } from '@tributary/common/log/partition-log'
import type { PartitionId } from '@tributary/common/paths'
import type { GatedOwner } from './fetch/fetch-gate.ts'
import type { FeedTarget, PartitionFeed } from './fetch/log-feed.ts'
import type { QuarantineBudget } from './fetch/quarantine-budget.ts'
import { PartitionProgress } from './fetch/partition-progress.ts'
import { checkRecord } from './fetch/record-check.ts'
import { RecordIntake } from './fetch/record-intake.ts'
import { Partition, type FlushedRange, type UnflushedSnapshot } from './partition.ts'
import type { BatchTrace } from './partition-traces.ts'
import type { SharedParts } from './shared-parts.ts'
import { WalCache, type CachedRecord, type WalCacheOptions } from './wal/wal-cache.ts'

/** What becomes of offsets that the log deleted before they were fetched. */
export type GapPolicy = 'halt' | 'skip'

/** Why nothing is fetched: each is set and lifted by itself. */
export type HoldReason = 'memory' | 'disk' | 'wal' | 'check' | 'closing' | 'halted'

export interface PartitionOwnerOptions {
  readonly id: PartitionId
  /** The member's id: names this owner in commits. */
  readonly writer: string
  /** Of the lease; it rises when the lease is taken again. */
  readonly epoch: () => number
  readonly shared: SharedParts
  readonly log: PartitionLog
  readonly feed: PartitionFeed
  readonly wal: Omit<WalCacheOptions, 'segmentIdentity' | 'fs' | 'clock' | 'logger'>
  readonly gapPolicy: GapPolicy
  readonly budget: QuarantineBudget
  /** Whether the memory of the process takes more. */
  readonly hasRoom: () => boolean
  /** Bytes in memory or on disk changed. */
  readonly onBytes: () => void
  /** After each flush: index, freshness. */
  readonly onCommitted: (range: FlushedRange) => void
  /** Nothing more is committed by this owner: close it. `fenced` is another writer's commit. */
  readonly onFailed: (error: unknown) => void
  /** A commit of this owner was refused because of another writer's; it may be closed already. */
  readonly onFenced?: (() => void) | undefined
  readonly onClosed?: (owner: PartitionOwner) => void
}

/** Above the log's end: a leader that has just changed may not know better for a moment. */
const ABOVE_END_RETRIES_MAX = 5
const ABOVE_END_RETRY_MS = 2000

export class PartitionOwner implements FeedTarget, GatedOwner {
  readonly #options: PartitionOwnerOptions
  readonly #partition: Partition
  readonly #cache: WalCache
  readonly #intake: RecordIntake
  readonly #progress: PartitionProgress
  readonly #ending = new AbortController()
  readonly #holds = new Set<HoldReason>()
  /** The next offset wanted from the log. */
  #next: bigint
  #aboveEndRetries = 0
  #haltReason: string | undefined
  #closing: Promise<void> | undefined

  private constructor(options: PartitionOwnerOptions, partition: Partition, cache: WalCache) {
    this.#options = options
    this.#partition = partition
    this.#cache = cache
    this.#progress = new PartitionProgress(partition.start)
    this.#next = partition.end
    this.#progress.fetched(this.#next)
    const { clock, logger, metrics } = options.shared
    this.#intake = new RecordIntake({
      partition,
      cache,
      clock,
      logger,
      onStalled: (isStalled) => {
        if (isStalled) this.hold('wal')
        else this.letGo('wal')
      },
      observeWal: (seconds) => {
        metrics.walWritten(seconds)
      },
    })
  }

  /**
   * Opens the partition and begins to fetch. Its commits carry the epoch, which must be above those of
   * all other writers in the chain.
   * @throws AppError fenced where it is not; store_unavailable, chain_broken, commit_damaged
   */
  static async open(options: PartitionOwnerOptions): Promise<PartitionOwner> {
    const { id, shared, epoch } = options
    const { store, clock } = shared
    const chain = await CommitChain.open(store, id, { clock })
    const isOwn = chain.lastWriter === options.writer
    if (isOwn ? chain.lastEpoch > epoch() : chain.lastEpoch >= epoch()) {
      throw new AppError('fenced', 'a later owner has committed', {
        details: { epoch: epoch(), lastEpoch: chain.lastEpoch },
      })
    }
    let owner: PartitionOwner | undefined
    const partition = await Partition.open({
      id,
      writer: options.writer,
      epoch,
      chain,
      shared,
      removesBatches: true,
      admitPoison: () => {
        options.budget.take()
      },
      onCommitted: (range) => {
        options.onCommitted(range)
        return owner === undefined ? undefined : owner.#committed(range)
      },
      onFailed: options.onFailed,
      onFenced: options.onFenced,
    })
    try {
      const cache = await WalCache.open(walOptions(options), partition.end, (record) =>
        recoverRecord(options, partition, record),
      )
      await failpoint('ingester:recovered')
      owner = new PartitionOwner(options, partition, cache)
    } catch (error) {
      await partition.close()
      throw error
    }
    options.feed.attach(owner)
    owner.#resume()
    return owner
  }

  get id(): PartitionId {
    return this.#options.id
  }

  /** The first offset that is not known to be committed. */
  get start(): bigint {
    return this.#partition.start
  }

  /** The next offset wanted from the log. */
  get next(): bigint {
    return this.#next
  }

  /** The offset behind the last one in memory: fetched, and through the WAL. */
  get end(): bigint {
    return this.#partition.end
  }

  get unflushedRows(): number {
    return this.#partition.unflushedRows
  }

  /** All that lies in memory. */
  get bytes(): number {
    return this.#partition.unflushedBytes + this.#intake.waitingBytes
  }

  /** Of these, what the next flush would take. */
  get activeBytes(): number {
    return this.#partition.activeBytes
  }

  /** Monotonic time at which the oldest unflushed row or hole came in. */
  get oldestMs(): number | undefined {
    return this.#partition.oldestMs
  }

  get walBytes(): number {
    return this.#cache.bytesOnDisk
  }

  get progress(): PartitionProgress {
    return this.#progress
  }

  get holds(): ReadonlySet<HoldReason> {
    return this.#holds
  }

  /** Why nothing is fetched until a person acts; undefined while all is well. */
  get haltReason(): string | undefined {
    return this.#haltReason
  }

  /** What is not committed, held until it is released. */
  snapshot(): UnflushedSnapshot {
    return this.#partition.snapshot()
  }

  /** Records from the reader; copies what it keeps. */
  take(records: readonly LogRecord[]): void {
    failpointSync('fetch:received')
    for (const record of records) {
      if (this.#isDeaf || record.offset < this.#next) continue
      if (record.offset > this.#next) {
        this.#options.shared.logger.warn(
          { offset: String(record.offset), next: String(this.#next) },
          'records are missing, fetching again',
        )
        this.#options.feed.resume(this.#next)
        break
      }
      this.#aboveEndRetries = 0
      this.#takeOne(record)
    }
    this.#options.onBytes()
  }

  /** The reader can't give the wanted offset, and has paused. */
  outOfRange(wanted: bigint, bounds: OffsetBounds): void {
    if (wanted !== this.#next || this.#isDeaf) return
    const details = { wanted: String(wanted), start: String(bounds.start), end: String(bounds.end) }
    if (wanted < bounds.start) {
      this.#options.shared.metrics.gap()
      if (this.#options.gapPolicy === 'halt') {
        this.#halt('the log has deleted records that were not fetched yet', details)
        return
      }
      this.#options.shared.logger.error(details, 'a gap of the log is skipped')
      const reason = 'log_deleted: the log had deleted these records before they were fetched'
      this.#intake.add({ start: String(wanted), end: String(bounds.start), reason })
      this.#next = bounds.start
      this.#progress.fetched(this.#next)
      this.#resume()
    } else if (this.#aboveEndRetries < ABOVE_END_RETRIES_MAX) {
      this.#aboveEndRetries++
      const { clock } = this.#options.shared
      clock.after(ABOVE_END_RETRY_MS, () => {
        this.#resume()
      })
    } else {
      this.#halt('the log ends before what was read of it: it has lost records', details)
    }
  }

  observe(bounds: OffsetBounds, askedUnixMs: number): void {
    this.#progress.observed(bounds, askedUnixMs)
  }

  /** Nothing more is fetched until a person acts; what was fetched is committed. */
  halt(reason: string): void {
    this.#halt(reason)
  }

  /** Stops fetching for a reason. */
  hold(reason: HoldReason): void {
    if (this.#holds.has(reason)) return
    this.#holds.add(reason)
    this.#options.feed.pause()
  }

  /** Lifts a reason; with the last one fetching goes on. */
  letGo(reason: HoldReason): void {
    if (this.#holds.delete(reason)) this.#resume()
  }

  /** Begins a flush of what is there, unless one is under way. */
  flushSoon(): void {
    this.#partition.flushSoon()
  }

  /** Commits everything that was fetched before the call. @throws AppError not_ready */
  async flush(): Promise<void> {
    await this.#intake.drained()
    await this.#partition.flush()
  }

  /**
   * Commits all that was fetched, then closes. It is flushed once while fetching goes on, so that
   * little is left to be done once it is stopped; a store that takes longer than `timeoutMs` is not
   * waited for: the log has what is not committed.
   *
   * @returns how long nothing was fetched, milliseconds
   */
  async handOver(timeoutMs: number): Promise<number> {
    const { clock, logger } = this.#options.shared
    const endMs = clock.monotonicMs() + timeoutMs
    let pausedMs = clock.monotonicMs()
    try {
      await this.#within(endMs, this.flush())
      pausedMs = clock.monotonicMs()
      this.hold('closing')
      await failpoint('handover:paused')
      await this.#within(endMs, this.flush())
    } catch (error) {
      logger.warn({ err: error, ...this.#options.id }, 'handed over without its last rows')
    }
    await this.close()
    await this.#cache.drop()
    return clock.monotonicMs() - pausedMs
  }

  /** Drops what is not committed; the WAL's files stay for the next open. Again: waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.hold('closing')
    this.#options.feed.detach()
    this.#ending.abort()
    await this.#intake.close()
    await this.#partition.close()
    await this.#cache.close()
    this.#options.onClosed?.(this)
  }

  /** Unlinks the WAL's files of a closed owner: another process goes on with the partition. */
  async dropCache(): Promise<void> {
    await this.#cache.drop()
  }

  /** What is delivered now would be fetched again. */
  get #isDeaf(): boolean {
    return this.#holds.has('check') || this.#holds.has('closing') || this.#holds.has('halted')
  }

  #resume(): void {
    if (this.#holds.size === 0) this.#options.feed.resume(this.#next)
  }

  #takeOne(record: LogRecord): void {
    const space = this.#partition.reserve(record.value.length)
    space.bytes.set(record.value)
    let header: EnvelopeHeader
    try {
      // from the copy: hashes and batch id are views
      header = decodeEnvelope(space.bytes).header
    } catch (error) {
      this.#partition.giveUp(space)
      const { logger, metrics } = this.#options.shared
      logger.warn({ err: error, offset: String(record.offset) }, 'record can not be read')
      metrics.unreadable()
      this.hold('check')
      void this.#check(record.offset)
      return
    }
    const { offset, appendUnixMs, traceparent } = record
    const trace = traceparent === undefined ? undefined : this.#traceOf(traceparent)
    this.#intake.add({ offset, appendUnixMs, space, header, trace })
    this.#next = record.offset + 1n
    this.#progress.fetched(this.#next, record.appendUnixMs)
  }

  #traceOf(traceparent: string): BatchTrace {
    const sinceMs = this.#options.shared.clock.monotonicMs()
    return { name: 'fetch', parents: [traceparent], sinceMs }
  }

  /** Fetches a record that could not be read again: takes it, or puts it aside and goes on behind it. */
  async #check(offset: bigint): Promise<void> {
    const { log, id, shared } = this.#options
    const { clock, logger } = shared
    try {
      const { signal } = this.#ending
      const record = await checkRecord({ log, clock, logger, signal }, id.partition, offset)
      if (record.isNewer) {
        // nothing is wrong with it: an ingester of its version stores it
        if (!this.#ending.signal.aborted) this.#halt(`${record.reason}: upgrade the ingester`)
      } else if (record.header === undefined) {
        const hole = await this.#partition.keepAside(offset, record.value, record.reason)
        if (this.#ending.signal.aborted) return
        this.#intake.add(hole)
        this.#next = offset + 1n
        this.#progress.fetched(this.#next)
      } else if (!this.#ending.signal.aborted) {
        this.#takeOne(record)
      }
      this.letGo('check')
    } catch (error) {
      if (this.#ending.signal.aborted) return
      if (toAppError(error).code === 'quarantine_exhausted') this.#halt(toAppError(error).message)
      else this.#options.onFailed(error)
    }
  }

  #halt(reason: string, details: Readonly<Record<string, unknown>> = {}): void {
    const { logger } = this.#options.shared
    logger.error(
      { ...this.#options.id, ...details, reason },
      'partition halted: a person has to act',
    )
    this.#haltReason = reason
    this.hold('halted')
  }

  async #committed({ end, lastAppendUnixMs }: FlushedRange): Promise<void> {
    this.#progress.committed(end, lastAppendUnixMs)
    this.#options.onBytes()
    await failpoint('ingester:before-truncate')
    await this.#cache.truncate(end)
  }

  async #within(endMs: number, action: Promise<void>): Promise<void> {
    const { clock } = this.#options.shared
    const ending = new AbortController()
    const timeout = clock.sleep(endMs - clock.monotonicMs(), ending.signal).then(() => {
      throw new AppError('store_unavailable', 'the rows were not committed in time')
    })
    timeout.catch(() => undefined)
    try {
      await Promise.race([action, timeout])
    } finally {
      ending.abort()
    }
  }
}

function walOptions({ id, shared, wal }: PartitionOwnerOptions): WalCacheOptions {
  const { fs, clock, logger } = shared
  return { ...wal, fs, clock, logger, segmentIdentity: id }
}

/** Takes a record of the WAL; false where it can't be used. Memory is bounded as when fetching. */
async function recoverRecord(
  { shared, hasRoom }: PartitionOwnerOptions,
  partition: Partition,
  { offset, appendUnixMs, payload }: CachedRecord,
): Promise<boolean> {
  const space = partition.reserve(payload.length)
  space.bytes.set(payload)
  let header: EnvelopeHeader
  try {
    header = decodeEnvelope(space.bytes).header
  } catch {
    partition.giveUp(space)
    return false
  }
  partition.insert(offset, space, header, appendUnixMs)
  if (!hasRoom() || partition.activeBytes >= shared.settings.flushBytes) await partition.flush()
  return true
}
