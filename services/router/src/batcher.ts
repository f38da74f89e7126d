/**
 * Open batches of one partition, one per tenant and signal, and who waits for them.
 *
 *   open (rows come in) --close--> envelope --sink.append--> durable: all its waiters hear OK
 *
 * A batch closes when it is full, or as soon as the log has nothing under way: requests gather just
 * as long as the log is busy with those before them, and a lone request never waits (unless
 * `lingerMs` or `gatherMsMax` has a reason for it). Invariants: a waiter hears of every batch that
 * holds rows of its request; what is under way is bounded by the receivers' admission, which holds a
 * request's bytes until its answer.
 */
import { randomBytes } from 'node:crypto'
import type { Clock, Timer } from '@tributary/common/clock'
import type { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { writeEnvelopeInto } from '@tributary/common/columnar/envelope-writer'
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { SlowRequest } from '@tributary/common/otlp/decoder'
import { SIGNAL_NAMES, type Signal } from '@tributary/common/signal'
import type { TraceSpan } from '@tributary/common/tracing'
import assert from 'node:assert/strict'
import { BuilderPool } from './builder-pool.ts'
import { GatherTarget } from './gather-target.ts'

/** Memory of the sink that a batch is written into. */
export interface BatchSpace {
  readonly bytes: Uint8Array
}

/** Where closed batches go: the log of this process, or a partition of Kafka. */
export interface BatchSink<Space extends BatchSpace = BatchSpace> {
  /** Memory for one envelope; `append` must follow. @throws AppError overloaded */
  reserve(byteCount: number): Space
  /**
   * Resolves when the batch is durable.
   * @param traces of traced requests that have rows in it
   * @throws AppError
   */
  append(space: Space, header: EnvelopeHeader, traces?: readonly string[]): Promise<void>
}

export interface BatcherOptions<Space extends BatchSpace> {
  readonly sink: BatchSink<Space>
  readonly clock: Clock
  readonly batchBytesMax: number
  readonly batchRowsMax: number
  /** Bounds the batches that are open side by side: one per tenant and signal. */
  readonly tenantsMax: number
  /** Shared by the batchers of a process; default: of its own. */
  readonly builders?: BuilderPool
  /** A batch can't be stored above this estimate, as a log's records have a bound; default: it can. */
  readonly bytesLimit?: number
  /** How long an idle log waits for more rows, asked each time; default 0. */
  readonly lingerMs?: () => number
  /** While more requests may be expected (GatherTarget), batches close this far apart; default 0. */
  readonly gatherMsMax?: number
}

/** An open batch; what it is filled with in one synchronous run counts once `filled` is called. */
export interface OpenBatch {
  readonly tenant: string
  readonly name: string
  readonly builder: BatchBuilder
  readonly durable: PromiseWithResolvers<void>
  /** Of traced requests that have rows in it; undefined: none. */
  traces: string[] | undefined
}

/** Traces that go on with a batch: what it costs stays small, however many requests are traced. */
const TRACES_MAX = 16

/** Timers have a resolution of a millisecond. */
const GATHER_MS_MIN = 0.5

/**
 * What a large request appends at a time. Writing its envelopes holds the event loop (2 MiB: 2 ms),
 * and what all requests append together has to find room in the log's queue: 64 MiB, 32 such groups.
 */
const OWN_GROUP_BYTES_MAX = 2 * 1024 * 1024

export class Batcher<Space extends BatchSpace = BatchSpace> {
  readonly #options: BatcherOptions<Space>
  readonly #builders: BuilderPool
  readonly #open = new Map<string, OpenBatch>()
  readonly #idBase = randomBytes(8)
  #sequence = 0n
  readonly #target = new GatherTarget()
  #inFlight = 0
  #isScheduled = false
  /** Set while open batches wait for more requests. */
  #gathering: Timer | undefined
  #closedMs = -Infinity
  /** Requests in open batches. */
  #gathered = 0

  constructor(options: BatcherOptions<Space>) {
    this.#options = options
    this.#builders = options.builders ?? new BuilderPool()
  }

  /** Batches appended whose outcome is not known yet. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** Batches that take rows. */
  get openCount(): number {
    return this.#open.size
  }

  /**
   * Lets `fill` add rows to the open batch of a tenant and signal, in one synchronous run.
   *
   * @returns what `fill` returned and a promise that settles with the batch
   * @throws what `fill` throws, and SlowRequest where the batch grew above its limit: it is as before
   */
  add<T extends { readonly rows: number }>(
    tenant: string,
    signal: Signal,
    fill: (builder: BatchBuilder) => T,
    trace?: TraceSpan,
  ): { readonly filled: T; readonly durable: Promise<void> } {
    const batch = this.open(tenant, signal)
    const { builder } = batch
    const hasLimit = this.#options.bytesLimit !== undefined
    const savepoint = hasLimit ? builder.savepoint() : undefined
    let filled: T
    try {
      filled = fill(builder)
      if (savepoint !== undefined && !this.fits(batch)) {
        builder.rollback(savepoint)
        throw new SlowRequest()
      }
    } finally {
      // also after a refusal: an empty batch would take an offset of the log
      if (builder.rowCount === 0) this.leave(batch)
    }
    return { filled, durable: filled.rows === 0 ? Promise.resolve() : this.filled(batch, trace) }
  }

  /** The batch that takes rows of a tenant and signal; `filled` or `leave` must follow at once. */
  open(tenant: string, signal: Signal): OpenBatch {
    const name = `${tenant}/${String(signal)}`
    const known = this.#open.get(name)
    if (known !== undefined) return known
    const openMax = this.#options.tenantsMax * SIGNAL_NAMES.length
    assert(this.#open.size < openMax, 'the tenant limit bounds the open batches')
    const builder = this.#builders.take(signal)
    const durable = Promise.withResolvers<void>()
    const batch = { tenant, name, builder, durable, traces: undefined }
    this.#open.set(name, batch)
    return batch
  }

  /** Whether the batch can be stored with what was added to it. */
  fits({ builder }: OpenBatch): boolean {
    const { bytesLimit } = this.#options
    return bytesLimit === undefined || builder.estimatedBytes() <= bytesLimit
  }

  /** Takes the rows that were added; settles with the batch. */
  filled(batch: OpenBatch, trace?: TraceSpan): Promise<void> {
    const { builder, durable } = batch
    if (trace !== undefined) {
      batch.traces ??= []
      if (batch.traces.length < TRACES_MAX) batch.traces.push(trace.traceparent)
    }
    this.#gathered++
    const { batchBytesMax, batchRowsMax } = this.#options
    if (builder.rowCount >= batchRowsMax || builder.estimatedBytes() >= batchBytesMax) {
      this.#close(batch)
    } else {
      this.#schedule()
    }
    return durable.promise
  }

  /** Forgets a batch that is still empty; one with rows of others stays. */
  leave(batch: OpenBatch): void {
    if (batch.builder.rowCount > 0 || this.#open.get(batch.name) !== batch) return
    this.#open.delete(batch.name)
    this.#builders.give(batch.builder)
  }

  /**
   * Appends batches that a request filled for itself, group after group; settles when all of them
   * have, or with the first group that failed.
   */
  async appendOwn(
    tenant: string,
    builders: readonly BatchBuilder[],
    trace?: TraceSpan,
  ): Promise<void> {
    const traces = trace === undefined ? undefined : [trace.traceparent]
    for (let from = 0; from < builders.length;) {
      const end = groupEnd(builders, from)
      const group = builders
        .slice(from, end)
        .map((builder) => this.#append(tenant, builder, traces))
      const outcomes = await Promise.allSettled(group)
      const failed = outcomes.find((outcome) => outcome.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      from = end
    }
  }

  /** A builder for rows that do not share a batch; `release` takes it back. */
  takeBuilder(signal: Signal): BatchBuilder {
    return this.#builders.take(signal)
  }

  release(builder: BatchBuilder): void {
    this.#builders.give(builder)
  }

  /** Closes all open batches after this turn of the event loop or a pause, unless the log is busy. */
  #schedule(): void {
    const isEnough = this.#gathered >= this.#target.requests
    if (this.#gathering !== undefined && isEnough) {
      this.#gathering.cancel()
      this.#gathering = undefined
      setImmediate(this.#closeAll)
    }
    if (this.#isScheduled || this.#inFlight > 0) return
    this.#isScheduled = true
    const { clock, lingerMs, gatherMsMax = 0 } = this.#options
    const pauseMs = lingerMs?.() ?? 0
    if (pauseMs > 0) {
      clock.after(pauseMs, this.#closeAll)
      return
    }
    const gatherMs = isEnough ? 0 : this.#closedMs + gatherMsMax - clock.monotonicMs()
    if (gatherMs > GATHER_MS_MIN) this.#gathering = clock.after(gatherMs, this.#closeAll)
    else setImmediate(this.#closeAll)
  }

  readonly #closeAll = (): void => {
    this.#isScheduled = false
    this.#gathering = undefined
    this.#closedMs = this.#options.clock.monotonicMs()
    this.#target.closed(this.#gathered)
    this.#gathered = 0
    for (const batch of this.#open.values()) this.#close(batch)
  }

  #close(batch: OpenBatch): void {
    const { tenant, name, builder, durable, traces } = batch
    this.#open.delete(name)
    const appended = this.#append(tenant, builder, traces)
    this.#builders.give(builder)
    appended.then(durable.resolve, durable.reject)
  }

  /** Serializes at once, so that the builder may be emptied; resolves when durable. */
  async #append(
    tenant: string,
    builder: BatchBuilder,
    traces: readonly string[] | undefined,
  ): Promise<void> {
    const header = this.#headerOf(tenant, builder)
    const { sink } = this.#options
    const space = writeEnvelopeInto(header, builder, (byteCount) => sink.reserve(byteCount))
    this.#inFlight++
    try {
      await sink.append(space, header, traces)
    } finally {
      this.#inFlight--
      if (this.#open.size > 0) this.#schedule()
    }
  }

  #headerOf(tenant: string, builder: BatchBuilder): EnvelopeHeader {
    return {
      signal: builder.signal,
      tenant,
      batchId: this.#nextBatchId(),
      rowCount: builder.rowCount,
      otlpBytes: builder.otlpBytes,
      arrivalUnixNano: this.#options.clock.nowUnixNano(),
      minTimeUnixNano: builder.minTimeUnixNano,
      maxTimeUnixNano: builder.maxTimeUnixNano,
      chunks: builder.chunks.copy(),
    }
  }

  /** Random bits of this process, then a sequence: unique without asking anybody. */
  #nextBatchId(): Uint8Array {
    const id = Buffer.alloc(16)
    this.#idBase.copy(id)
    id.writeBigUInt64LE(this.#sequence++, 8)
    return id
  }
}

/** Where the group that begins at `from` ends: at least one batch, then as many as the bound holds. */
function groupEnd(builders: readonly BatchBuilder[], from: number): number {
  let bytes = builders[from]!.estimatedBytes()
  let end = from + 1
  while (end < builders.length) {
    bytes += builders[end]!.estimatedBytes()
    if (bytes > OWN_GROUP_BYTES_MAX) break
    end++
  }
  return end
}
