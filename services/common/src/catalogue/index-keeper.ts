/**
 * Keeps the index up with the partitions that this process owns. Commits are told to it and never wait
 * for it: one at a time is applied behind their back. What can not be applied in order, or fails, makes
 * the partition dirty, and a dirty one is filled from its chain as soon as the index answers again. Once a
 * minute the index is asked whether it still has what it had: one that was emptied is filled again, also of
 * partitions that nothing is committed to.
 * Bound: PENDING_MAX commits per partition; past it they are forgotten, the chain has them.
 */
import type { Clock, Timer } from '../clock.ts'
import type { CommitRecord } from '../commit/commit-record.ts'
import type { Logger } from '../logger.ts'
import type { Registry } from '../metrics.ts'
import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import type { FileIndex, IndexSpan } from './file-index.ts'
import { AppError } from '../errors.ts'
import { Counter, Gauge } from '../metrics.ts'
import { partitionPath } from '../paths.ts'
import { fillPartition, spanOf } from './index-filling.ts'

export interface IndexKeeperOptions {
  readonly index: FileIndex
  readonly store: ObjectStore
  readonly clock: Clock
  /** A number in [0, 1), for pauses. */
  readonly random: () => number
  readonly logger: Logger
  readonly registry: Registry
}

/** A commit a second of a partition for as long as one takes to be applied, many times over. */
const PENDING_MAX = 16
/** The pause after a failure is random, up to this, doubled with each further one. */
const PAUSE_MS = 500
const PAUSE_MS_MAX = 30_000
/** One call of the index, for all partitions of the process. */
const CHECK_INTERVAL_MS = 60_000

interface Kept {
  readonly id: PartitionId
  /** The index had the chain up to here. */
  end: bigint
  /** Commits in order, each follows the one before. */
  pending: IndexSpan[]
  /** More is missing than what is pending. */
  isDirty: boolean
}

export class IndexKeeper {
  readonly #options: IndexKeeperOptions
  readonly #kept = new Map<string, Kept>()
  readonly #stop = new AbortController()
  readonly #drift: Counter
  readonly #filled: Counter
  readonly #timer: Timer
  #running: Promise<void> | undefined
  #failures = 0

  constructor(options: IndexKeeperOptions) {
    this.#options = options
    const registers = [options.registry]
    this.#drift = new Counter({
      name: 'tributary_index_drift_total',
      help: 'Times that the index claimed what the chains do not have: must stay 0',
      registers,
    })
    this.#filled = new Counter({
      name: 'tributary_index_filled_commits_total',
      help: 'Commits that came to the index from the chains, not as they were made',
      registers,
    })
    const kept = this.#kept
    new Gauge({
      name: 'tributary_index_partitions_behind',
      help: 'Own partitions of which the index lacks commits',
      registers,
      collect() {
        this.set([...kept.values()].filter(hasWork).length)
      },
    })
    this.#timer = options.clock.every(CHECK_INTERVAL_MS, () => void this.#check())
  }

  /** This process owns the partition now: the index is brought up to its chain. */
  opened(id: PartitionId): void {
    this.#kept.set(partitionPath(id), { id, end: 0n, pending: [], isDirty: true })
    this.#wake()
  }

  /** The owner made this commit, or adopted it. */
  committed(record: CommitRecord): void {
    const span = spanOf(record)
    const kept = this.#kept.get(partitionPath(span.id))
    if (kept === undefined || kept.isDirty) return
    const isNext = kept.pending.length === 0 || kept.pending.at(-1)!.end === span.start
    if (isNext && kept.pending.length < PENDING_MAX) kept.pending.push(span)
    else this.#taint(kept)
    this.#wake()
  }

  /** The partition belongs to somebody else now, who looks after it. */
  closed(id: PartitionId): void {
    this.#kept.delete(partitionPath(id))
  }

  /** Resolves when the index has all that was told, or the keeper is closed. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  /** Leaves what is not applied to the next owner. */
  async close(): Promise<void> {
    this.#timer.cancel()
    this.#stop.abort()
    await this.#running
  }

  #wake(): void {
    if (this.#running !== undefined || this.#stop.signal.aborted) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
    })
  }

  async #run(): Promise<void> {
    for (;;) {
      const kept = [...this.#kept.values()].find(hasWork)
      if (kept === undefined || this.#stop.signal.aborted) return
      // behind the others: a partition that fails does not keep them waiting
      const path = partitionPath(kept.id)
      this.#kept.delete(path)
      this.#kept.set(path, kept)
      try {
        await (kept.isDirty ? this.#fill(kept) : this.#apply(kept))
        this.#failures = 0
      } catch (error) {
        await this.#fail(kept, error)
      }
    }
  }

  async #apply(kept: Kept): Promise<void> {
    const spans = kept.pending
    const outcomes = await this.#options.index.applyAll(spans)
    // others may have come meanwhile
    kept.pending = kept.pending.slice(spans.length)
    const isInOrder = outcomes.every(({ kind }) => kind === 'applied' || kind === 'known')
    if (isInOrder) kept.end = spans.at(-1)!.end
    else this.#taint(kept)
  }

  /** Finds partitions of which the index has lost commits. */
  async #check(): Promise<void> {
    const ends = new Map([...this.#kept.values()].map((kept) => [kept, kept.end]))
    try {
      const { chains } = await this.#options.index.state()
      for (const [kept, end] of ends) {
        if ((chains.get(partitionPath(kept.id))?.end ?? 0n) < end) this.#taint(kept)
      }
    } catch {
      // whoever has something to say to the index tells of it; else it is asked again in a minute
      return
    }
    this.#wake()
  }

  async #fill(kept: Kept): Promise<void> {
    const { index, store, logger } = this.#options
    // what is committed from now on is read with the chain or told again
    kept.isDirty = false
    const { generation, chains } = await index.state()
    const outcome = await fillPartition(index, store, kept.id, chains.get(partitionPath(kept.id)))
    if (outcome.kind === 'filled') {
      kept.end = outcome.end
      this.#filled.inc(outcome.commits)
      return
    }
    this.#taint(kept)
    if (outcome.kind === 'replaced') return
    this.#drift.inc()
    const details = { partition: partitionPath(kept.id), end: String(outcome.end) }
    logger.error(details, 'the file index is not that of this store: it is made anew')
    await index.reset(generation)
  }

  async #fail(kept: Kept, error: unknown): Promise<void> {
    const { clock, random, logger } = this.#options
    const isPassing =
      error instanceof AppError &&
      ['metadata_unavailable', 'store_unavailable'].includes(error.code)
    if (!isPassing) {
      // a broken chain stops its owner too, who says so; `verify` tells what is wrong
      logger.error({ err: error, partition: partitionPath(kept.id) }, 'partition is not indexed')
      const path = partitionPath(kept.id)
      if (this.#kept.get(path) === kept) this.#kept.delete(path)
      return
    }
    this.#taint(kept)
    const highMs = Math.min(PAUSE_MS * 2 ** this.#failures, PAUSE_MS_MAX)
    if (this.#failures === 0) logger.warn({ err: error }, 'the file index waits')
    this.#failures = Math.min(this.#failures + 1, 10)
    await clock.sleep(random() * highMs, this.#stop.signal).catch(() => undefined)
  }

  #taint(kept: Kept): void {
    kept.isDirty = true
    kept.pending = []
  }
}

function hasWork({ pending, isDirty }: Kept): boolean {
  return isDirty || pending.length > 0
}
