/**
 * The one reader of this process: hands records to whoever owns their partition, and tells owners once
 * a second how far the log goes. A partition that nobody here owns is paused and never delivered.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import { toAppError } from '@tributary/common/errors'
import type {
  LogReader,
  LogRecord,
  OffsetBounds,
  PartitionLog,
} from '@tributary/common/log/partition-log'
import type { Logger } from '@tributary/common/logger'

/** Who takes the records of a partition. */
export interface FeedTarget {
  take(records: readonly LogRecord[]): void
  outOfRange(wanted: bigint, bounds: OffsetBounds): void
  /** How far the log went when it was asked at this time. */
  observe(bounds: OffsetBounds, askedUnixMs: number): void
  /** Nothing is delivered any more. */
  halt(reason: string): void
}

/** The reader's side of one partition. */
export interface PartitionFeed {
  attach(target: FeedTarget): void
  resume(fromOffset: bigint): void
  pause(): void
  detach(): void
}

export interface LogFeedOptions {
  readonly log: PartitionLog
  readonly clock: Clock
  readonly logger: Logger
  /** The reader had to recover. */
  readonly onTrouble: () => void
  readonly boundsIntervalMs?: number
}

const BOUNDS_INTERVAL_MS = 1000
/** Trouble comes per fetch: one line of the log in so much time tells as much. */
const TROUBLE_LOG_MS = 10_000

export class LogFeed {
  readonly #options: LogFeedOptions
  readonly #targets = new Map<number, FeedTarget>()
  #reader: LogReader | undefined
  #timer: Timer | undefined
  #isAsking = false
  #toldMs = -Infinity
  /** Why nothing is delivered any more. */
  #unfit: string | undefined

  private constructor(options: LogFeedOptions) {
    this.#options = options
  }

  /** @throws AppError log_unavailable, log_unfit */
  static async open(options: LogFeedOptions): Promise<LogFeed> {
    const feed = new LogFeed(options)
    feed.#reader = await options.log.openReader({
      records: (partition, records) => feed.#targets.get(partition)?.take(records),
      outOfRange: (partition, wanted, bounds) => {
        feed.#targets.get(partition)?.outOfRange(wanted, bounds)
      },
      trouble: (error) => {
        feed.#onTrouble(error)
      },
    })
    const { clock, boundsIntervalMs = BOUNDS_INTERVAL_MS } = options
    feed.#timer = clock.every(boundsIntervalMs, () => void feed.#askBounds())
    return feed
  }

  /** Whether records can come; a topic that is gone or another one never delivers again. */
  get isFit(): boolean {
    return this.#unfit === undefined
  }

  of(partition: number): PartitionFeed {
    const reader = this.#reader!
    let attached: FeedTarget | undefined
    // of a partition that is opened again only the newest feed counts
    const isCurrent = (): boolean => this.#targets.get(partition) === attached
    return {
      attach: (target) => {
        attached = target
        this.#targets.set(partition, target)
        if (this.#unfit !== undefined) target.halt(this.#unfit)
      },
      resume: (fromOffset) => {
        if (isCurrent()) reader.resume(partition, fromOffset)
      },
      pause: () => {
        if (isCurrent()) reader.pause(partition)
      },
      detach: () => {
        if (!isCurrent()) return
        reader.pause(partition)
        this.#targets.delete(partition)
      },
    }
  }

  async close(): Promise<void> {
    this.#timer?.cancel()
    this.#targets.clear()
    await this.#reader?.close()
  }

  #onTrouble(error: unknown): void {
    const { clock, logger, onTrouble } = this.#options
    onTrouble()
    if (toAppError(error).code === 'log_unfit') {
      logger.error({ err: error }, 'the log can not be read any more')
      this.#unfit = toAppError(error).message
      for (const target of this.#targets.values()) target.halt(this.#unfit)
      return
    }
    if (clock.monotonicMs() - this.#toldMs < TROUBLE_LOG_MS) return
    this.#toldMs = clock.monotonicMs()
    logger.warn({ err: error }, 'fetching has trouble')
  }

  async #askBounds(): Promise<void> {
    if (this.#isAsking || this.#targets.size === 0) return
    const { log, clock } = this.#options
    this.#isAsking = true
    const askedUnixMs = clock.nowUnixMs()
    try {
      for (const [partition, bounds] of await log.bounds()) {
        this.#targets.get(partition)?.observe(bounds, askedUnixMs)
      }
    } catch (error) {
      this.#onTrouble(error)
    } finally {
      this.#isAsking = false
    }
  }
}
