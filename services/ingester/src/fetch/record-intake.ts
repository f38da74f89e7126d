/**
 * What was fetched of a partition on its way into the WAL and the memtable, in log order. The WAL is
 * a cache, but records pass through it first: a disk that takes nothing stops the fetching of this
 * partition, while what is in memory is flushed and frees its space; then it goes on by itself.
 *
 *   add ──> waiting ──> WAL, up to 1 MiB a write ──> memtable
 *
 * Bounded by whoever fetches: `waitingBytes` count against the memory of the process.
 */
import type { Clock } from '@tributary/common/clock'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import type { CommitHole } from '@tributary/common/commit/commit-record'
import { failpoint } from '@tributary/common/failpoint'
import type { Logger } from '@tributary/common/logger'
import type { SlabSpace } from '../memtable/slab-pool.ts'
import type { Partition } from '../partition.ts'
import type { BatchTrace } from '../partition-traces.ts'
import type { WalCache } from '../wal/wal-cache.ts'

export interface FetchedRecord {
  readonly offset: bigint
  readonly appendUnixMs: number
  readonly space: SlabSpace
  readonly header: EnvelopeHeader
  readonly trace: BatchTrace | undefined
}

export interface RecordIntakeOptions {
  readonly partition: Partition
  readonly cache: WalCache
  readonly clock: Clock
  readonly logger: Logger
  /** The disk takes nothing (true), and takes records again (false). */
  readonly onStalled: (isStalled: boolean) => void
  readonly observeWal: (seconds: number) => void
}

const GROUP_BYTES_MAX = 1024 * 1024
const RETRY_DELAY_MS_MIN = 200
const RETRY_DELAY_MS_MAX = 5000

export class RecordIntake {
  readonly #options: RecordIntakeOptions
  readonly #ending = new AbortController()
  #waiting: (FetchedRecord | CommitHole)[] = []
  #waitingBytes = 0
  #pumping: Promise<void> | undefined
  /** Of those who wait until nothing waits, or nothing moves. */
  #settled = Promise.withResolvers<void>()
  #isStalled = false
  #retryDelayMs = RETRY_DELAY_MS_MIN

  constructor(options: RecordIntakeOptions) {
    this.#options = options
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Takes the next record, or a hole in the place of records. */
  add(next: FetchedRecord | CommitHole): void {
    this.#waiting.push(next)
    if (isRecord(next)) this.#waitingBytes += next.space.bytes.length
    this.#pumping ??= this.#pump()
  }

  /** Resolves when all that was added is in the memtable, or when the disk takes nothing. */
  drained(): Promise<void> {
    return this.#pumping === undefined || this.#isStalled
      ? Promise.resolve()
      : this.#settled.promise
  }

  /** Drops what waits. */
  async close(): Promise<void> {
    this.#ending.abort()
    await this.#pumping
    for (const next of this.#waiting) {
      if (isRecord(next)) this.#options.partition.giveUp(next.space)
    }
    this.#waiting = []
    this.#waitingBytes = 0
  }

  async #pump(): Promise<void> {
    // all records of one delivery share the first write
    await Promise.resolve()
    while (this.#waiting.length > 0 && !this.#ending.signal.aborted) {
      const group = this.#nextGroup()
      if (group.length > 0 && !(await this.#write(group))) continue
      const pause = failpoint('ingester:before-insert')
      if (pause !== undefined) await pause
      if (!this.#ending.signal.aborted) this.#insert(Math.max(1, group.length))
    }
    this.#pumping = undefined
    this.#settle()
  }

  #settle(): void {
    this.#settled.resolve()
    this.#settled = Promise.withResolvers()
  }

  /** The records up to the next hole, or as many as one write takes. */
  #nextGroup(): FetchedRecord[] {
    const group: FetchedRecord[] = []
    let bytes = 0
    for (const next of this.#waiting) {
      if (!isRecord(next)) break
      if (bytes > 0 && bytes + next.space.bytes.length > GROUP_BYTES_MAX) break
      bytes += next.space.bytes.length
      group.push(next)
    }
    return group
  }

  /** False where the disk took nothing: after a pause the same is tried again. */
  async #write(group: readonly FetchedRecord[]): Promise<boolean> {
    const { cache, clock, logger, observeWal, partition } = this.#options
    const startMs = clock.monotonicMs()
    try {
      await cache.append(
        group.map(({ offset, appendUnixMs, space }) => ({
          offset,
          appendUnixMs,
          payload: space.bytes,
        })),
      )
    } catch (error) {
      if (!this.#isStalled) logger.error({ err: error }, 'wal takes no records, fetching stops')
      this.#setStalled(true)
      partition.flushSoon()
      await clock.sleep(this.#retryDelayMs, this.#ending.signal).catch(() => undefined)
      this.#retryDelayMs = Math.min(2 * this.#retryDelayMs, RETRY_DELAY_MS_MAX)
      return false
    }
    observeWal((clock.monotonicMs() - startMs) / 1000)
    this.#retryDelayMs = RETRY_DELAY_MS_MIN
    this.#setStalled(false)
    return true
  }

  #setStalled(isStalled: boolean): void {
    if (this.#isStalled === isStalled) return
    this.#isStalled = isStalled
    if (isStalled) this.#settle()
    this.#options.onStalled(isStalled)
  }

  #insert(count: number): void {
    const { partition } = this.#options
    for (const next of this.#waiting.splice(0, count)) {
      if (!isRecord(next)) {
        partition.addHole(next)
        continue
      }
      this.#waitingBytes -= next.space.bytes.length
      partition.insert(next.offset, next.space, next.header, next.appendUnixMs, next.trace)
    }
    partition.flushWhenDue()
  }
}

function isRecord(next: FetchedRecord | CommitHole): next is FetchedRecord {
  return 'space' in next
}
