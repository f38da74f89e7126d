/**
 * Envelopes on their way into one partition of the log.
 *
 *   append -> ready -> produce (all that are ready, up to the bound of a record batch) -> stored
 *                        ^------- refused, unknown: again, within the envelope's time ---'
 *
 * Invariants: an append resolves only when the log said that its envelope is stored; whatever else
 * became of it, it rejects with a code that clients retry. A produce whose outcome is unknown is sent
 * again as it is: its batch ids let the ingester drop the second copy. At most PRODUCES_MAX run at a
 * time; what waits is bounded by the bytes that requests may hold (lanes.ts), and by `bytesMax` here.
 */
import type { Clock } from '@tributary/common/clock'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { AppError, toAppError } from '@tributary/common/errors'
import { failpoint } from '@tributary/common/failpoint'
import type { TraceSpan, Tracing } from '@tributary/common/tracing'
import type { BatchSink, BatchSpace } from '../batcher.ts'
import type { BodyPool } from '../receive/body-pool.ts'
import type { Broker } from './brokers.ts'
import type { ProduceMetrics } from './produce-metrics.ts'

export interface LogSinkOptions {
  readonly partition: number
  /** Who leads the partition now; a simulation gives a broker without real timers. */
  readonly broker: () => Pick<Broker, 'produce'>
  readonly clock: Clock
  /** Memory for envelopes, shared by the partitions of a process. */
  readonly pool: BodyPool
  readonly metrics: ProduceMetrics
  /** The largest value of a record, and the largest sum of one produce. */
  readonly recordBytesMax: number
  /** An envelope must be stored within this time, tries and retries together. */
  readonly produceTimeoutMs: number
  /** Bytes that may wait or be under way. */
  readonly bytesMax: number
  /** Goes on with traces of requests; undefined: there are none. */
  readonly tracing?: Tracing | undefined
  /** Uniform in [0, 1); spreads retries. */
  readonly random?: () => number
}

/** Memory of the pool that an envelope lies in. */
export interface LogSpace extends BatchSpace {
  readonly buffer: Uint8Array
}

interface ReadyEnvelope {
  readonly space: LogSpace
  readonly readyMs: number
  readonly stored: PromiseWithResolvers<void>
  /** Of a batch with rows of traced requests. */
  readonly span: TraceSpan | undefined
}

/** The next gather while one is under way; a second keeps a full partition busy meanwhile. */
const PRODUCES_MAX = 2
/** kafkajs is cheapest at 64 to 256 KiB and slow above (performance figures of the log). */
const PRODUCE_BYTES_TARGET = 512 * 1024
/** A record beside its value in a record batch: lengths, deltas, attributes; 21 bytes at most. */
const RECORD_FRAMING_BYTES = 32
const RETRY_DELAY_MS_MIN = 50
const RETRY_DELAY_MS_MAX = 1000

export class LogSink implements BatchSink<LogSpace> {
  readonly #options: LogSinkOptions
  readonly #ready: ReadyEnvelope[] = []
  #pendingBytes = 0
  #produceCount = 0
  #isScheduled = false

  constructor(options: LogSinkOptions) {
    this.#options = options
  }

  /** Bytes of envelopes that wait or are under way. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** @throws AppError record_too_large, overloaded */
  reserve(byteCount: number): LogSpace {
    const { pool, recordBytesMax, bytesMax, partition } = this.#options
    if (byteCount > recordBytesMax) {
      throw new AppError('record_too_large', 'a batch is larger than a record may be', {
        details: { partition, bytes: byteCount, bytesMax: recordBytesMax },
      })
    }
    if (this.#pendingBytes + byteCount > bytesMax) {
      throw new AppError('overloaded', 'too many bytes wait for a partition', {
        details: { partition, bytes: this.#pendingBytes, bytesMax },
      })
    }
    this.#pendingBytes += byteCount
    const buffer = pool.take(byteCount)
    return { buffer, bytes: buffer.subarray(0, byteCount) }
  }

  /** Resolves when the envelope is stored. @throws AppError log_unavailable, log_unfit, record_too_large */
  async append(space: LogSpace, header: EnvelopeHeader, traces?: readonly string[]): Promise<void> {
    const stored = Promise.withResolvers<void>()
    const readyMs = this.#options.clock.monotonicMs()
    const span = traces === undefined ? undefined : this.#beginSpan(traces, header, readyMs)
    this.#ready.push({ space, readyMs, stored, span })
    if (!this.#isScheduled) {
      // all batches that are closed in this run of the event loop go together
      this.#isScheduled = true
      queueMicrotask(() => {
        this.#isScheduled = false
        this.#produceReady()
      })
    }
    try {
      await stored.promise
    } finally {
      this.#pendingBytes -= space.bytes.length
      this.#options.pool.give(space.buffer)
    }
  }

  #produceReady(): void {
    while (this.#ready.length > 0 && this.#produceCount < PRODUCES_MAX) {
      this.#produceCount++
      void this.#produce(this.#takeReady()).finally(() => {
        this.#produceCount--
        this.#produceReady()
      })
    }
  }

  /** The oldest envelopes that fit one produce: at least one. */
  #takeReady(): ReadyEnvelope[] {
    const bytesMax = Math.min(this.#options.recordBytesMax, PRODUCE_BYTES_TARGET)
    let bytes = 0
    let count = 0
    for (const { space } of this.#ready) {
      bytes += space.bytes.length + RECORD_FRAMING_BYTES
      if (count > 0 && bytes > bytesMax) break
      count++
    }
    return this.#ready.splice(0, count)
  }

  /** Settles every envelope of the group; never rejects. */
  async #produce(group: readonly ReadyEnvelope[]): Promise<void> {
    const { clock, metrics, produceTimeoutMs } = this.#options
    const endsAtMs = group[0]!.readyMs + produceTimeoutMs
    metrics.started(clock.monotonicMs() - group[0]!.readyMs)
    for (let attempt = 0; ; attempt++) {
      const error = await this.#tryOnce(group, endsAtMs - clock.monotonicMs())
      if (error === undefined) {
        for (const { stored, span } of group) {
          span?.end(clock.monotonicMs())
          stored.resolve()
        }
        return
      }
      metrics.failed(error)
      if (error.code === 'record_too_large' && group.length > 1) {
        // one of them is, or their sum: each for itself tells
        for (const envelope of group) await this.#produce([envelope])
        return
      }
      const delayMs = this.#retryDelayMs(attempt)
      if (!mayRetry(error) || clock.monotonicMs() + delayMs >= endsAtMs) {
        for (const { stored, span } of group) {
          span?.end(clock.monotonicMs(), error.code)
          stored.reject(error)
        }
        return
      }
      await clock.sleep(delayMs)
    }
  }

  async #tryOnce(group: readonly ReadyEnvelope[], leftMs: number): Promise<AppError | undefined> {
    const { broker, partition, clock, metrics } = this.#options
    if (leftMs <= 0) {
      return new AppError('log_unavailable', 'the log took too long', { details: { partition } })
    }
    const values = group.map(({ space }) => space.bytes)
    const traceparents = group.some(({ span }) => span !== undefined)
      ? group.map(({ span }) => span?.traceparent)
      : undefined
    const startMs = clock.monotonicMs()
    try {
      await failpoint('produce:before')
      await broker().produce(partition, values, leftMs, traceparents)
      await failpoint('produce:stored')
    } catch (error) {
      return toAppError(error)
    }
    metrics.stored(values, clock.monotonicMs() - startMs)
    return undefined
  }

  /** From when the batch is ready until the log has it; its context goes with the record. */
  #beginSpan(
    traces: readonly string[],
    { tenant, rowCount }: EnvelopeHeader,
    readyMs: number,
  ): TraceSpan | undefined {
    const { tracing, partition } = this.#options
    return tracing?.follow('produce', traces, readyMs, {
      kind: 'producer',
      attributes: {
        'messaging.system': 'kafka',
        'messaging.destination.partition.id': String(partition),
        'tributary.tenant': tenant,
        'tributary.rows': rowCount,
      },
    })
  }

  #retryDelayMs(attempt: number): number {
    const random = this.#options.random ?? Math.random
    const delayMs = Math.min(RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN * 2 ** attempt)
    return delayMs * (0.5 + random())
  }
}

/** Behind an open circuit nothing is tried: the client comes back later. */
function mayRetry({ code, details }: AppError): boolean {
  return code === 'log_unavailable' && details['isCircuitOpen'] !== true
}
