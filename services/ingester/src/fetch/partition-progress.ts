/**
 * How far a partition is: what the log has, what was fetched, what is committed, and through which
 * time all that arrived is visible. Times are the log's (append times) where records say them, and
 * this process's where all is committed; valid-through never goes back.
 */
import type { OffsetBounds } from '@tributary/common/log/partition-log'

export interface PartitionLag {
  /** Records in the log that are not committed. */
  readonly offsets: number
  /** Since when the oldest of them waits; 0 where there is none. */
  readonly seconds: number
}

export class PartitionProgress {
  #bounds: OffsetBounds | undefined
  #committedEnd: bigint
  #validThroughUnixMs = 0
  /** When the bounds were asked for. */
  #askedUnixMs = 0
  /** The next offset wanted from the log. */
  #next: bigint
  /** Everything that arrived before has been fetched; 0 while nothing is known. */
  #fetchedThroughUnixMs = 0

  constructor(committedEnd: bigint) {
    this.#committedEnd = committedEnd
    this.#next = committedEnd
  }

  /** As last asked for; undefined before the first answer. */
  get bounds(): OffsetBounds | undefined {
    return this.#bounds
  }

  /** Everything that arrived before this time is visible; 0 while nothing is known. */
  get validThroughUnixMs(): number {
    return this.#validThroughUnixMs
  }

  /** @param next the offset behind what was fetched last, or behind a hole */
  fetched(next: bigint, appendUnixMs = 0): void {
    this.#next = next
    this.#fetchedThrough(appendUnixMs)
    this.#noteCaughtUp()
  }

  /** @param lastAppendUnixMs of the last record committed; undefined where there were only holes */
  committed(end: bigint, lastAppendUnixMs: number | undefined): void {
    this.#committedEnd = end
    if (lastAppendUnixMs !== undefined) this.#advance(lastAppendUnixMs)
  }

  /** @param askedUnixMs before the log was asked: what comes later may not be in the answer */
  observed(bounds: OffsetBounds, askedUnixMs: number): void {
    this.#bounds = bounds
    this.#askedUnixMs = askedUnixMs
    this.#noteCaughtUp()
    if (this.#committedEnd >= bounds.end) this.#advance(askedUnixMs)
  }

  lag(nowUnixMs: number): PartitionLag {
    const end = this.#bounds?.end ?? this.#committedEnd
    if (end <= this.#committedEnd) return { offsets: 0, seconds: 0 }
    const sinceMs = this.#validThroughUnixMs === 0 ? nowUnixMs : this.#validThroughUnixMs
    return {
      offsets: Number(end - this.#committedEnd),
      seconds: Math.max(0, nowUnixMs - sinceMs) / 1000,
    }
  }

  /**
   * What waits in the log alone, as of the last look at it: unlike the lag it does not grow while rows
   * wait for their flush, only where fetching can't keep up.
   */
  backlog(nowUnixMs: number): PartitionLag {
    const end = this.#bounds?.end ?? this.#next
    if (end <= this.#next) return { offsets: 0, seconds: 0 }
    const sinceMs = Math.max(this.#fetchedThroughUnixMs, this.#validThroughUnixMs)
    const seconds = sinceMs === 0 ? 0 : Math.max(0, nowUnixMs - sinceMs) / 1000
    return { offsets: Number(end - this.#next), seconds }
  }

  /** One that waits since a moment ago, after nothing came for an hour, is not an hour late. */
  #noteCaughtUp(): void {
    const isCaughtUp = this.#bounds !== undefined && this.#next >= this.#bounds.end
    if (isCaughtUp) this.#fetchedThrough(this.#askedUnixMs)
  }

  #fetchedThrough(unixMs: number): void {
    this.#fetchedThroughUnixMs = Math.max(this.#fetchedThroughUnixMs, unixMs)
  }

  #advance(unixMs: number): void {
    this.#validThroughUnixMs = Math.max(this.#validThroughUnixMs, unixMs)
  }
}
