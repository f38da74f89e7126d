/**
 * Open batches, one per tenant and signal, and who waits for them.
 *
 *   open (rows come in) --close--> envelope --sink.append--> durable: all its waiters hear OK
 *
 * A batch closes when it is full, or as soon as the log has nothing under way: requests gather just
 * as long as the log is busy with those before them, and a lone request never waits. Invariants: a
 * waiter hears of every batch that holds rows of its request; what is under way is bounded by the
 * receivers' admission, which holds a request's bytes until its answer.
 */
import { randomBytes } from 'node:crypto'
import type { Clock } from '@tributary/common/clock'
import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { CHUNK_HASH_BYTES } from '@tributary/common/columnar/chunk-list'
import { writeEnvelopeInto } from '@tributary/common/columnar/envelope-writer'
import type { EnvelopeChunk, EnvelopeHeader } from '@tributary/common/columnar/envelope'
import { SIGNAL_NAMES, type Signal } from '@tributary/common/signal'
import assert from 'node:assert/strict'

/** Memory of the sink that a batch is written into. */
export interface BatchSpace {
  readonly bytes: Uint8Array
}

/** Where closed batches go: the log of this process, or a partition of Kafka. */
export interface BatchSink<Space extends BatchSpace = BatchSpace> {
  /** Memory for one envelope; `append` must follow. @throws AppError overloaded */
  reserve(byteCount: number): Space
  /** Resolves when the batch is durable. @throws AppError */
  append(space: Space, header: EnvelopeHeader): Promise<void>
}

export interface BatcherOptions<Space extends BatchSpace> {
  readonly sink: BatchSink<Space>
  readonly clock: Clock
  readonly batchBytesMax: number
  readonly batchRowsMax: number
  /** Bounds the batches that are open side by side: one per tenant and signal. */
  readonly tenantsMax: number
}

interface OpenBatch {
  readonly builder: BatchBuilder
  durable: PromiseWithResolvers<void>
}

/** Builders kept for reuse per signal: their columns are warm and sized. */
const FREE_BUILDERS_MAX = 16

export class Batcher<Space extends BatchSpace = BatchSpace> {
  readonly #options: BatcherOptions<Space>
  readonly #open = new Map<string, OpenBatch>()
  readonly #free = new Map<Signal, BatchBuilder[]>()
  readonly #idBase = randomBytes(8)
  #sequence = 0n
  #inFlight = 0
  #isScheduled = false

  constructor(options: BatcherOptions<Space>) {
    this.#options = options
  }

  /** Batches appended whose outcome is not known yet. */
  get inFlight(): number {
    return this.#inFlight
  }

  /**
   * Lets `fill` add rows to the open batch of a tenant and signal, in one synchronous run.
   *
   * @returns what `fill` returned and a promise that settles with the batch
   */
  add<T extends { readonly rows: number }>(
    tenant: string,
    signal: Signal,
    fill: (builder: BatchBuilder) => T,
  ): { readonly filled: T; readonly durable: Promise<void> } {
    const name = `${tenant}/${String(signal)}`
    const batch = this.#open.get(name) ?? this.#openBatch(name, signal)
    let filled: T
    try {
      filled = fill(batch.builder)
    } finally {
      // also after a refusal: an empty batch would take an offset of the log
      if (batch.builder.rowCount === 0) this.#abandon(name, batch)
    }
    if (filled.rows === 0) return { filled, durable: Promise.resolve() }
    const { builder, durable } = batch
    const { batchBytesMax, batchRowsMax } = this.#options
    if (builder.rowCount >= batchRowsMax || builder.estimatedBytes() >= batchBytesMax) {
      this.#close(name, tenant, batch)
    } else {
      this.#schedule()
    }
    return { filled, durable: durable.promise }
  }

  /** Appends batches that a request filled for itself; settles when all of them have. */
  async appendOwn(tenant: string, builders: readonly BatchBuilder[]): Promise<void> {
    const outcomes = await Promise.allSettled(
      builders.map((builder) => this.#append(tenant, builder)),
    )
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  /** A builder for rows that do not share a batch; `release` takes it back. */
  takeBuilder(signal: Signal): BatchBuilder {
    return this.#free.get(signal)?.pop() ?? new BatchBuilder(signal)
  }

  release(builder: BatchBuilder): void {
    builder.reset()
    const free = this.#free.get(builder.signal)
    if (free === undefined) this.#free.set(builder.signal, [builder])
    else if (free.length < FREE_BUILDERS_MAX) free.push(builder)
  }

  #openBatch(name: string, signal: Signal): OpenBatch {
    const openMax = this.#options.tenantsMax * SIGNAL_NAMES.length
    assert(this.#open.size < openMax, 'the tenant limit bounds the open batches')
    const durable = Promise.withResolvers<void>()
    const batch: OpenBatch = { builder: this.takeBuilder(signal), durable }
    this.#open.set(name, batch)
    return batch
  }

  #abandon(name: string, batch: OpenBatch): void {
    this.#open.delete(name)
    this.release(batch.builder)
  }

  /** Closes all open batches after this turn of the event loop, unless the log is busy. */
  #schedule(): void {
    if (this.#isScheduled || this.#inFlight > 0) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#closeAll()
    })
  }

  #closeAll(): void {
    for (const [name, batch] of this.#open) {
      this.#close(name, name.slice(0, name.lastIndexOf('/')), batch)
    }
  }

  #close(name: string, tenant: string, batch: OpenBatch): void {
    this.#open.delete(name)
    const appended = this.#append(tenant, batch.builder)
    this.release(batch.builder)
    appended.then(batch.durable.resolve, batch.durable.reject)
  }

  /** Serializes at once, so that the builder may be emptied; resolves when durable. */
  async #append(tenant: string, builder: BatchBuilder): Promise<void> {
    const header = this.#headerOf(tenant, builder)
    const { sink } = this.#options
    const space = writeEnvelopeInto(header, builder, (byteCount) => sink.reserve(byteCount))
    this.#inFlight++
    try {
      await sink.append(space, header)
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
      chunks: chunksOf(builder),
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

function chunksOf({ chunks }: BatchBuilder): EnvelopeChunk[] {
  return Array.from({ length: chunks.count }, (_, index) => ({
    hash: chunks.hashes.slice(index * CHUNK_HASH_BYTES, (index + 1) * CHUNK_HASH_BYTES),
    rowStart: chunks.rowStarts[index]!,
    rowCount: chunks.rowCounts[index]!,
    removable: chunks.removable[index] === 1,
  }))
}
