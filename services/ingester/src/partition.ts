/**
 * The unflushed rows of one partition, from the moment the log has them to the commit that names
 * their files. Where offsets come from and what "the log has them" means is decided above: a WAL of
 * this process (append-path.ts) or Kafka (partition-owner.ts).
 *
 *   insert ──> memtable ──flush──> files ──> commit ──> onCommitted: the log may forget them
 *
 * Invariants: memtable and chain tile the log (memtable start = chain end); flushes run one at a time,
 * so that commits follow each other, while batches go on being taken. After a flush that failed for
 * good nothing more is committed; whoever opened the partition decides what then.
 */
import { setMaxListeners } from 'node:events'
import type { Timer } from '@tributary/common/clock'
import { decodeEnvelope, type EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { CheckpointWriter } from '@tributary/common/commit/checkpoint-writer'
import type { CommitChain } from '@tributary/common/commit/commit-chain'
import type { CommitHole, CommitRecord } from '@tributary/common/commit/commit-record'
import { AppError, toAppError } from '@tributary/common/errors'
import { failpoint } from '@tributary/common/failpoint'
import type { PartitionId } from '@tributary/common/paths'
import { Flusher } from './flush/flusher.ts'
import type { SharedParts } from './shared-parts.ts'
import { Memtable, type MemtableEntry } from './memtable/memtable.ts'
import type { SlabSpace } from './memtable/slab-pool.ts'
import { PartitionTraces, type BatchTrace } from './partition-traces.ts'
import { RepeatRemoval } from './repeat-removal.ts'

/** What a flush committed. */
export interface FlushedRange {
  readonly records: readonly CommitRecord[]
  /** The chain has everything below. */
  readonly end: bigint
  /** When the log took the last of it; undefined where there were only holes. */
  readonly lastAppendUnixMs: number | undefined
}

/** Rows that are not committed, as they were at one moment. */
export interface UnflushedSnapshot {
  /** Where a commit ends, or 0. */
  readonly start: bigint
  readonly end: bigint
  readonly entries: readonly MemtableEntry[]
  /** Once. */
  readonly release: () => void
}

export interface PartitionOptions {
  readonly id: PartitionId
  /** Names this owner in commits. */
  readonly writer: string
  /** Of the lease. */
  readonly epoch: () => number
  readonly chain: CommitChain
  readonly shared: SharedParts
  /** Whether the log can hold a batch twice. */
  readonly removesBatches: boolean
  /** Asked before each batch goes to quarantine. @throws AppError where too many have gone there */
  readonly admitPoison: () => void
  /** After each flush, in order. */
  readonly onCommitted: (range: FlushedRange) => void | Promise<void>
  /** Nothing more is committed; the rows are in the log. */
  readonly onFailed: (error: unknown) => void
  /** A commit was refused because of another writer's. */
  readonly onFenced?: (() => void) | undefined
}

export class Partition {
  readonly #options: PartitionOptions
  readonly #memtable: Memtable
  readonly #flusher: Flusher
  readonly #checkpoints: CheckpointWriter
  readonly #ending = new AbortController()
  #repeats: RepeatRemoval
  /** Offsets that gave no rows; they go into the commits that cover them. */
  #holes: CommitHole[] = []
  #flushing: Promise<void> | undefined
  #ageTimer: Timer | undefined
  #failure: AppError | undefined
  readonly #traces: PartitionTraces | undefined

  private constructor(options: PartitionOptions, repeats: RepeatRemoval) {
    this.#options = options
    this.#repeats = repeats
    const { id, writer, epoch, chain, shared, admitPoison, onFenced } = options
    const { store, encoder, fs, clock, logger, observe } = shared
    const { tracing } = shared
    if (tracing !== undefined) this.#traces = new PartitionTraces(tracing, clock, id)
    this.#memtable = new Memtable(shared.slabs, chain.end)
    this.#checkpoints = new CheckpointWriter({ store, id, chain, logger })
    // a flush waits with one listener per table
    setMaxListeners(0, this.#ending.signal)
    this.#flusher = new Flusher({
      partition: id,
      store,
      encoder,
      fs,
      clock,
      logger,
      observe: this.#traces?.alongside(observe) ?? observe,
      observeTable: this.#traces?.stage,
      writer,
      epoch,
      chain,
      settings: shared.flushSettings,
      signal: this.#ending.signal,
      admitPoison,
      onFenced,
      forget: (poison) => this.#forget(poison),
    })
  }

  /**
   * A partition without unflushed rows, at the end of its chain.
   * @throws AppError store_unavailable
   */
  static async open(options: PartitionOptions): Promise<Partition> {
    return new Partition(options, await loadRepeats(options))
  }

  /** The first offset that is not known to be committed. */
  get start(): bigint {
    return this.#memtable.start
  }

  /** The offset behind the last one taken. */
  get end(): bigint {
    return this.#memtable.end
  }

  get unflushedRows(): number {
    return this.#memtable.rows
  }

  get unflushedBytes(): number {
    return this.#memtable.bytes
  }

  /** Of these, what no flush works on. */
  get activeBytes(): number {
    return this.#memtable.activeBytes
  }

  /** Monotonic time at which the oldest unflushed row or hole came in. */
  get oldestMs(): number | undefined {
    return this.#memtable.oldestMs
  }

  /** Why nothing more is committed; undefined while all is well. */
  get failure(): AppError | undefined {
    return this.#failure
  }

  /** All batches that are not committed, held until they are released: for a reader. */
  snapshot(): UnflushedSnapshot {
    const { slabs } = this.#options.shared
    // repeats may be decided anew while the reader works on those of now
    const entries = [...this.#memtable.unflushed(this.start)].map((entry) => ({ ...entry }))
    for (const { space } of entries) slabs.hold(space)
    return {
      start: this.start,
      end: this.end,
      entries,
      release: () => {
        for (const { space } of entries) slabs.release(space)
      },
    }
  }

  /** Unflushed batches from an offset on, in order; valid until the next await of the caller. */
  unflushed(fromOffset: bigint): Iterable<MemtableEntry> {
    return this.#memtable.unflushed(fromOffset)
  }

  /** Space for an envelope, to be inserted or given up. */
  reserve(byteCount: number): SlabSpace {
    return this.#memtable.reserve(byteCount)
  }

  giveUp(space: SlabSpace): void {
    this.#memtable.giveUp(space)
  }

  /**
   * Takes a batch that the log has, and begins a flush where one is due. Offsets ascend.
   * @param trace of a batch with rows of traced requests
   */
  insert(
    offset: bigint,
    space: SlabSpace,
    header: EnvelopeHeader,
    appendUnixMs: number,
    trace?: BatchTrace,
  ): void {
    const { clock, metrics } = this.#options.shared
    const { evicted } = this.#repeats
    const repeats = this.#repeats.split(header, appendUnixMs)
    const forgotten = this.#repeats.evicted - evicted
    const nowMs = clock.monotonicMs()
    const traceparent = trace === undefined ? undefined : this.#traces?.taken(trace, offset, nowMs)
    this.#memtable.insert({ offset, space, header, appendUnixMs, repeats, nowMs, traceparent })
    metrics.appended(header.rowCount, space.bytes.length, repeats.suppressedRows, forgotten)
    this.flushWhenDue()
  }

  /**
   * Moves on over offsets that give no rows; they are committed with the reason. They wait for that as
   * long as rows would: a run of bad records, each flushed at once, would cut the rows between them into
   * as many files.
   */
  addHole(hole: CommitHole): void {
    this.#holes.push(hole)
    const end = BigInt(hole.end)
    if (end > this.end) this.#memtable.skipTo(end, this.#options.shared.clock.monotonicMs())
  }

  /**
   * Keeps an envelope that nobody can read aside.
   * @returns the hole to be added in its place
   */
  keepAside(offset: bigint, bytes: Uint8Array, reason: string): Promise<CommitHole> {
    return this.#flusher.quarantine(offset, bytes, reason)
  }

  /** Begins a flush if rows or holes are old or many enough, and one when they will be. */
  flushWhenDue(): void {
    if (this.#flushing !== undefined || this.#failure !== undefined) return
    if (this.#ending.signal.aborted) return
    const { clock, settings } = this.#options.shared
    const { oldestActiveMs, activeBytes } = this.#memtable
    if (oldestActiveMs === undefined) return
    const leftMs = oldestActiveMs + settings.flushIntervalMs - clock.monotonicMs()
    if (leftMs <= 0 || activeBytes >= settings.flushBytes) this.flushSoon()
    else this.#ageTimer ??= clock.after(leftMs, () => this.#onAge())
  }

  /** Begins a flush of what is there, unless one is under way. */
  flushSoon(): void {
    if (this.#memtable.isActiveEmpty || this.#failure !== undefined) return
    this.#flushOnce().catch((error: unknown) => {
      this.#options.shared.logger.error({ err: error, ...this.#options.id }, 'flush failed')
    })
  }

  /**
   * Commits everything that was inserted before the call.
   *
   * @throws AppError not_ready when flushing has stopped, with the reason as its cause
   */
  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    // One flush may be under way with older rows; the second one takes all that came before the call.
    if (this.#flushing !== undefined) await this.#flushing
    await this.#flushOnce()
  }

  /**
   * Resolves when the flush that is under way has committed; begins one where there is none.
   *
   * @throws AppError not_ready when flushing has stopped, with the reason as its cause
   */
  async flushUnderWay(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    await this.#flushOnce()
  }

  /** Drops what is not committed, ends what is under way, and gives all memory back. */
  async close(): Promise<void> {
    this.#ending.abort()
    this.#cancelAge()
    await this.#flushing?.catch(() => undefined)
    this.#memtable.close()
  }

  #onAge(): void {
    this.#ageTimer = undefined
    this.flushWhenDue()
  }

  #cancelAge(): void {
    this.#ageTimer?.cancel()
    this.#ageTimer = undefined
  }

  #flushOnce(): Promise<void> {
    this.#flushing ??= this.#runFlush().finally(() => {
      this.#flushing = undefined
      this.flushWhenDue()
    })
    return this.#flushing
  }

  async #runFlush(): Promise<void> {
    const { shared, onCommitted } = this.#options
    const { clock, metrics } = shared
    const memtable = this.#memtable
    this.#cancelAge()
    const frozen = memtable.freeze()
    if (frozen.start === frozen.end) {
      memtable.release()
      return
    }
    const startMs = clock.monotonicMs()
    this.#traces?.flushBegins(frozen, startMs)
    const holes = this.#holes.filter((hole) => BigInt(hole.end) <= frozen.end)
    let records: readonly CommitRecord[]
    try {
      await failpoint('flush:frozen')
      records = await this.#flusher.flush(frozen, holes)
    } catch (error) {
      this.#traces?.flushEnds(toAppError(error).code)
      this.#fail(error)
      throw error
    }
    this.#traces?.flushEnds()
    this.#holes = this.#holes.filter((hole) => !holes.includes(hole))
    memtable.release()
    const seconds = (clock.monotonicMs() - startMs) / 1000
    for (const record of records) metrics.flushed(record, seconds)
    const lastAppendUnixMs = frozen.entries.at(-1)?.appendUnixMs
    this.#checkpoints.committed()
    await onCommitted({ records, end: frozen.end, lastAppendUnixMs })
  }

  /** The range stays frozen and in the log: a new start finds and commits it. */
  #fail(error: unknown): void {
    if (this.#ending.signal.aborted) return
    this.#failure = new AppError('not_ready', 'flushing has stopped', { cause: error })
    this.#options.onFailed(error)
  }

  /** Finds again what was stored before, now that these batches are known never to be. */
  async #forget(poison: ReadonlySet<MemtableEntry>): Promise<void> {
    const repeats = await loadRepeats(this.#options)
    // from here on in one run: batches that come in meanwhile are decided by the new window
    for (const entry of this.#memtable.unflushed(this.#options.chain.end)) {
      if (poison.has(entry)) continue
      const { header } = decodeEnvelope(entry.space.bytes)
      entry.repeats = repeats.split(header, entry.appendUnixMs)
    }
    this.#repeats = repeats
  }
}

function loadRepeats({ shared, chain, removesBatches }: PartitionOptions): Promise<RepeatRemoval> {
  const { store, clock, logger, settings } = shared
  return RepeatRemoval.load({
    store,
    chain,
    clock,
    logger,
    windowMs: settings.retryWindowMs,
    windowEntriesMax: settings.retryWindowEntriesMax,
    removesChunks: settings.retryRemoval,
    removesBatches,
  })
}
