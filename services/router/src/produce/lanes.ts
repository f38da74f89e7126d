/**
 * One lane per partition: its open batches and its way into the log. Lanes are made when the first row
 * comes. What requests hold while they wait is bounded per partition and per broker, each below what
 * admission lets in: those who wait for one that stands still leave room for the others.
 */
import type { Clock } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'
import type { PartitionLog } from '@tributary/common/log/partition-log'
import type { Tracing } from '@tributary/common/tracing'
import { Batcher } from '../batcher.ts'
import { BuilderPool } from '../builder-pool.ts'
import { BodyPool } from '../receive/body-pool.ts'
import type { Broker, Brokers } from './brokers.ts'
import { LogSink, type LogSpace } from './log-sink.ts'
import type { ProduceMetrics } from './produce-metrics.ts'

export interface LanesOptions {
  readonly log: Pick<PartitionLog, 'partitionCount' | 'recordBytesMax'>
  readonly brokers: Brokers
  readonly clock: Clock
  readonly metrics: ProduceMetrics
  readonly batchBytesMax: number
  readonly batchRowsMax: number
  readonly tenantsMax: number
  /** Of all requests that wait for one partition. */
  readonly heldBytesMax: number
  readonly produceTimeoutMs: number
  /** The longest pause for more rows. */
  readonly lingerMsMax: number
  /** Undefined: no request is traced. */
  readonly tracing?: Tracing | undefined
}

/** Produces a second up to which none waits for more rows: at about 0.3 ms each a tenth of a core. */
const PRODUCES_UNHURRIED = 300
/** From here on each waits as long as it may. */
const PRODUCES_HURRIED = 1500
const PACE_WINDOW_MS = 500
/** Batches are estimated within some percent: what is below this share fits for certain. */
const BYTES_LIMIT_SHARE = 0.85
/** Envelopes may take this many times what requests hold: rows of tiny items are wider than their bytes. */
const PENDING_PER_HELD_BYTE = 2

export class Lane {
  readonly partition: number
  readonly batcher: Batcher<LogSpace>
  readonly sink: LogSink
  readonly #brokers: Brokers
  readonly #heldBytesMax: number
  #heldBytes = 0

  constructor(partition: number, sink: LogSink, batcher: Batcher<LogSpace>, options: LanesOptions) {
    this.partition = partition
    this.sink = sink
    this.batcher = batcher
    this.#brokers = options.brokers
    this.#heldBytesMax = options.heldBytesMax
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /**
   * Before rows of a request come in.
   * @throws AppError log_unavailable, overloaded: the lane would not take them
   */
  check(): void {
    this.#brokers.of(this.partition).check()
    if (this.#heldBytes >= this.#heldBytesMax) {
      throw new AppError('overloaded', 'too many bytes wait for one partition', {
        details: { partition: this.partition, bytes: this.#heldBytes },
      })
    }
  }

  /** Counts what a request holds until `release`; returns whom it waits for. */
  hold(bytes: number): Broker {
    const broker = this.#brokers.of(this.partition)
    this.#heldBytes += bytes
    broker.heldBytes += bytes
    return broker
  }

  release(bytes: number, broker: Broker): void {
    this.#heldBytes -= bytes
    broker.heldBytes -= bytes
  }
}

export class Lanes {
  readonly #options: LanesOptions
  readonly #lanes = new Map<number, Lane>()
  readonly #builders = new BuilderPool()
  readonly #envelopes = new BodyPool()
  #paceSinceMs: number
  #paceProduces = 0
  #lingerMs = 0

  constructor(options: LanesOptions) {
    this.#options = options
    this.#paceSinceMs = options.clock.monotonicMs()
  }

  get pendingBytes(): number {
    let bytes = 0
    for (const { sink } of this.#lanes.values()) bytes += sink.pendingBytes
    return bytes
  }

  get openBatches(): number {
    let count = 0
    for (const { batcher } of this.#lanes.values()) count += batcher.openCount
    return count
  }

  /** Builders for rows that do not share a batch, of any partition. */
  get builders(): BuilderPool {
    return this.#builders
  }

  /** The estimate above which a batch may not fit a record. */
  get bytesLimit(): number {
    return this.#options.log.recordBytesMax * BYTES_LIMIT_SHARE
  }

  /** @throws AppError log_unavailable where this router has not heard of the partition yet */
  of(partition: number): Lane {
    const known = this.#lanes.get(partition)
    if (known !== undefined) return known
    if (partition >= this.#options.log.partitionCount) {
      throw new AppError('log_unavailable', 'the partition is not known yet', {
        details: { partition },
      })
    }
    const lane = this.#open(partition)
    this.#lanes.set(partition, lane)
    return lane
  }

  #open(partition: number): Lane {
    const options = this.#options
    const { clock, metrics, brokers, produceTimeoutMs, batchBytesMax, batchRowsMax } = options
    const sink = new LogSink({
      partition,
      broker: () => brokers.of(partition),
      clock,
      pool: this.#envelopes,
      metrics,
      recordBytesMax: options.log.recordBytesMax,
      produceTimeoutMs,
      tracing: options.tracing,
      bytesMax: options.heldBytesMax * PENDING_PER_HELD_BYTE,
    })
    const batcher = new Batcher({
      sink,
      clock,
      batchBytesMax: Math.min(batchBytesMax, this.bytesLimit / 2),
      batchRowsMax,
      tenantsMax: options.tenantsMax,
      builders: this.#builders,
      bytesLimit: this.bytesLimit,
      lingerMs: () => this.#linger(),
    })
    return new Lane(partition, sink, batcher, options)
  }

  /** Many small produces cost more than a pause: the more there are a second, the longer it is. */
  #linger(): number {
    const { clock, metrics, lingerMsMax } = this.#options
    const elapsedMs = clock.monotonicMs() - this.#paceSinceMs
    if (elapsedMs >= PACE_WINDOW_MS) {
      const perSecond = ((metrics.produces - this.#paceProduces) / elapsedMs) * 1000
      const share = (perSecond - PRODUCES_UNHURRIED) / (PRODUCES_HURRIED - PRODUCES_UNHURRIED)
      this.#lingerMs = Math.round(lingerMsMax * Math.min(1, Math.max(0, share)))
      this.#paceProduces = metrics.produces
      this.#paceSinceMs += elapsedMs
    }
    return this.#lingerMs
  }
}
