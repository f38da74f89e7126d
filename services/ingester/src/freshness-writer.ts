/**
 * Tells the store now and then how far the partitions of this process are. One put per partition and
 * interval at most, and only where the time has advanced; what was written by an owner before is never
 * taken back. A store that is away is told the next time.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import { readFreshness, writeFreshness, type Freshness } from '@tributary/common/commit/freshness'
import type { Logger } from '@tributary/common/logger'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import type { PartitionId } from '@tributary/common/paths'

export interface FreshnessWriterOptions {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly logger: Logger
  readonly intervalMs: number
  /** Of the partitions that are owned now. */
  readonly read: () => Iterable<readonly [PartitionId, Freshness]>
}

export class FreshnessWriter {
  readonly #options: FreshnessWriterOptions
  /** By partition: the last time that is known to be written. Bounded by the partitions of the log. */
  readonly #writtenUnixMs = new Map<number, number>()
  readonly #timer: Timer
  #writing: Promise<void> | undefined

  constructor(options: FreshnessWriterOptions) {
    this.#options = options
    this.#timer = options.clock.every(options.intervalMs, () => {
      this.#writing ??= this.#writeAll().finally(() => {
        this.#writing = undefined
      })
    })
  }

  /** The partition has an owner elsewhere, who may be further. */
  forget(partition: number): void {
    this.#writtenUnixMs.delete(partition)
  }

  async close(): Promise<void> {
    this.#timer.cancel()
    await this.#writing
  }

  async #writeAll(): Promise<void> {
    const { read, logger } = this.#options
    try {
      for (const [id, freshness] of [...read()]) await this.#write(id, freshness)
    } catch (error) {
      logger.warn({ err: error }, 'freshness could not be written')
    }
  }

  async #write(id: PartitionId, freshness: Freshness): Promise<void> {
    const { store } = this.#options
    const { partition } = id
    const known = this.#writtenUnixMs.get(partition)
    const written = known ?? (await readFreshness(store, id))?.validThroughUnixMs ?? 0
    if (freshness.validThroughUnixMs > written) await writeFreshness(store, id, freshness)
    this.#writtenUnixMs.set(partition, Math.max(written, freshness.validThroughUnixMs))
  }
}
