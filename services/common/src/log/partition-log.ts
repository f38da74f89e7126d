/**
 * The port to the log between routers and ingesters: one topic of numbered partitions, each an
 * append-only sequence of records with ascending offsets. Kafka stands behind it in production.
 *
 * What it promises is little, so that any client can stand behind it: `produce` resolves only when
 * all replicas in sync have the records; whatever else happens to it, the records may be stored, once
 * or more often. A reader delivers every stored record of a partition from the wanted offset on, in
 * order and without a gap, or says that it can't. Who owns a partition and where reading starts is
 * decided elsewhere (leases and commit chain): no position is ever kept in the log.
 */

import type { LogTime } from './log-time.ts'

/** One stored record as a reader hands it over. */
export interface LogRecord {
  readonly offset: bigint
  /** The broker's append time, Unix milliseconds: not the client's clock. */
  readonly appendUnixMs: number
  /** A view that is valid only during the call that hands it over: copy what is kept. */
  readonly value: Uint8Array
  /** Of a traced record, as whoever produced it wrote it. */
  readonly traceparent?: string
}

/** One for each of some values; undefined, and what is missing at the end: not traced. */
export type Traceparents = readonly (string | undefined)[]

/** Offsets of a partition: the first that is still stored, and the next that readers would see. */
export interface OffsetBounds {
  readonly start: bigint
  /** The high watermark: everything below is on all replicas in sync. */
  readonly end: bigint
}

/** What a reader calls; every call is synchronous and must be short. */
export interface LogReaderHandler {
  /** Records of one partition: offsets ascend by one, the first is the one expected next. */
  readonly records: (partition: number, records: readonly LogRecord[]) => void
  /**
   * The wanted offset is not stored: deleted (below `start`, which may also be the next one behind a
   * gap), cut off or never there (above `end`). The partition is paused; resuming it elsewhere is a
   * decision that loses or repeats offsets.
   */
  readonly outOfRange: (partition: number, wanted: bigint, bounds: OffsetBounds) => void
  /**
   * The reader recovers by itself; for logs and metrics. Except AppError log_unfit: the topic is
   * another one by the same name, and nothing is delivered any more.
   */
  readonly trouble: (error: unknown) => void
}

/** Reads any partitions of the topic, each from an offset of its own; starts with none. */
export interface LogReader {
  /** Delivers records from `fromOffset` on, until paused. Takes effect soon, without others waiting. */
  resume(partition: number, fromOffset: bigint): void
  /** Nothing of the partition is delivered after this returns, until it is resumed. */
  pause(partition: number): void
  close(): Promise<void>
}

export interface PartitionLog {
  /** Names the log in commits: Kafka's cluster id and topic id. A recreated topic is another log. */
  readonly logId: string
  readonly topic: string
  /** The largest value that one record may have, in bytes: the topic's bound less its framing. */
  readonly recordBytesMax: number
  /** Partitions 0 to count - 1; follows a topic that grows. */
  readonly partitionCount: number
  /** What time it is by those who append. */
  readonly time: LogTime
  /** The broker that leads a partition, as far as known: what a circuit breaker stands for. */
  leaderOf(partition: number): string | undefined
  /**
   * Appends values, each one record, in order: as one batch, or as several one after the other where
   * together they are larger than `recordBytesMax`. They must not change until this settles; no view of
   * them is kept longer. Tries again by itself until the time is over, also where records may have been
   * stored.
   * @param traceparents stored beside the values, for whoever reads them
   * @returns the offset of the first one
   * @throws AppError log_unavailable: refused, timed out or unknown, the records may be stored, now or
   *   later;
   *   record_too_large: the log can never take them, nothing was stored;
   *   log_unfit: topic or rights are missing, or the topic is another one now: a person has to act
   */
  produce(
    partition: number,
    values: readonly Uint8Array[],
    timeoutMs: number,
    traceparents?: Traceparents,
  ): Promise<bigint>
  /**
   * Bounds of all partitions that answered, in one round trip per broker.
   * @throws AppError log_unavailable where none did; log_unfit
   */
  bounds(): Promise<ReadonlyMap<number, OffsetBounds>>
  openReader(handler: LogReaderHandler): Promise<LogReader>
  /** Waits for nothing that is under way. */
  close(): Promise<void>
}
