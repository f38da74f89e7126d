/**
 * OTLP protobuf requests into column batches: the entry of the decode path. Rules and limits are
 * those of the OTLP contract; what is rejected for good is counted and told in `message`.
 */
import { strict as assert } from 'node:assert'
import { BatchBuilder } from '../columnar/batch-builder.ts'
import type { Signal } from '../signal.ts'
import type { ChunkRoute } from './chunk-route.ts'
import { ChunkMemory } from './chunker.ts'
import type { DecodeCounters, DecodeTally } from './decode-tally.ts'
import { TimeWindow } from './item-times.ts'
import { OwnBatches, type OwnBatchesOptions } from './own-batches.ts'
import { RequestDecoder } from './request-decoder.ts'
import type { TouchedBatches } from './touched-batches.ts'

export { SlowRequest } from './request-decoder.ts'

const DAY_MS = 86_400_000
const DAY_NANO = 86_400_000_000_000n
/** Slow steps of one synchronous run: at 2-5 us each they stay below the 10 ms of the event loop. */
const SLOW_STEPS_MAX = 2000
const ITEM_NOUNS = { 1: 'log records', 2: 'spans', 3: 'data points' } as const

/** Of all decodes that run to their end in one go. */
const sharedChunkMemory = new ChunkMemory()
const noClock = (): number => 0
const sameBatch = (current: BatchBuilder): BatchBuilder => current
const noBatch = (): never => assert.fail('a request without a route has one batch')
/** Where a routed request stands before its first chunk: no row is ever written into them. */
const NOWHERE: Readonly<Record<Signal, BatchBuilder>> = {
  1: new BatchBuilder(1),
  2: new BatchBuilder(2),
  3: new BatchBuilder(3),
}

export interface DecodeOptions {
  readonly tenant: string
  /** When the request arrived, nanoseconds since 1970: the time of items that have none. */
  readonly arrivalUnixNano: bigint
  /** Bounds of what time it is where clocks differ; default: the arrival. Items are judged by them. */
  readonly now?: TimeBounds | undefined
  /** Items older than this are rejected; undefined (the default) accepts any age. */
  readonly maxAgeMs?: number | undefined
  /** Items further in the future are rejected; default one day. */
  readonly maxAheadMs?: number | undefined
  /** Whether chunks may be dropped as repeats at all; default true. */
  readonly removesRepeats?: boolean | undefined
}

/** Nanoseconds since 1970. */
export interface TimeBounds {
  /** Nothing is too old by a clock that is ahead ... */
  readonly earliestUnixNano: bigint
  /** ... and nothing of the future by one that is behind: rejected items never come again. */
  readonly latestUnixNano: bigint
}

export interface DecodeOutcome {
  /** Rows added. */
  readonly rows: number
  readonly rejectedItems: number
  /** For `partial_success`; '' when nothing was rejected. */
  readonly message: string
  readonly counters: DecodeCounters
}

/**
 * Decodes a request in one run into an open batch, or throws and leaves the batch as it was:
 * AppError('malformed_body') with the byte offset, or 'request_too_large'. For requests up to
 * `synchronousDecodeBytesMax`; larger ones hold the event loop and belong in LargeRequestDecoder.
 * So do small ones of thousands of resources or odd items: they throw SlowRequest.
 */
export function decodeInto(
  builder: BatchBuilder,
  body: Uint8Array,
  options: DecodeOptions,
): DecodeOutcome {
  const { signal } = builder
  const savepoint = builder.savepoint()
  const decoder = new RequestDecoder(
    {
      signal,
      tenant: options.tenant,
      body,
      window: windowOf(options),
      slowStepsMax: SLOW_STEPS_MAX,
      chunkMemory: sharedChunkMemory,
      removesRepeats: options.removesRepeats ?? true,
      monotonicMs: noClock,
      nextBatch: sameBatch,
      route: undefined,
      batchOf: noBatch,
    },
    builder,
  )
  try {
    decoder.run(Infinity)
  } catch (error) {
    builder.rollback(savepoint)
    throw error
  }
  const rows = builder.rowCount - savepoint.rowCount
  if (rows > 0) {
    builder.otlpBytes += body.length
    builder.settle()
  }
  return outcomeOf(decoder.tally, signal, rows)
}

/**
 * The same over the open batches of several partitions: all of them take the request, or it throws
 * and all are as they were. What a batch can't be opened for (`TouchedBatches`) is thrown too.
 */
export function decodeRouted(
  signal: Signal,
  body: Uint8Array,
  options: DecodeOptions,
  route: ChunkRoute,
  touched: TouchedBatches,
): DecodeOutcome {
  const decoder = new RequestDecoder(
    {
      signal,
      tenant: options.tenant,
      body,
      window: windowOf(options),
      slowStepsMax: SLOW_STEPS_MAX,
      chunkMemory: sharedChunkMemory,
      removesRepeats: options.removesRepeats ?? true,
      monotonicMs: noClock,
      nextBatch: sameBatch,
      route,
      batchOf: (partition) => touched.of(partition),
    },
    NOWHERE[signal],
  )
  try {
    decoder.run(Infinity)
  } catch (error) {
    touched.rollback()
    throw error
  }
  return outcomeOf(decoder.tally, signal, touched.settle(body.length))
}

export interface LargeRequestOptions extends DecodeOptions, OwnBatchesOptions {
  /** The clock of the deadlines given to `step`. */
  readonly monotonicMs: () => number
  /** Undefined where all streams go to partition 0. */
  readonly route?: ChunkRoute | undefined
}

/**
 * Decodes a request of any size in slices into batches of its own, each whole chunks of about
 * `batchBytesMax`. Call `step` until it returns true; after an error the batches are to be dropped.
 */
export class LargeRequestDecoder {
  /** They belong to this request alone, also those without rows. */
  readonly own: OwnBatches
  readonly #decoder: RequestDecoder
  readonly #signal: Signal
  readonly #bodyBytes: number

  constructor(signal: Signal, body: Uint8Array, options: LargeRequestOptions) {
    this.#signal = signal
    this.#bodyBytes = body.length
    const own = new OwnBatches(options)
    this.own = own
    const { tenant, monotonicMs, route } = options
    this.#decoder = new RequestDecoder(
      {
        signal,
        tenant,
        body,
        window: windowOf(options),
        slowStepsMax: Infinity,
        chunkMemory: new ChunkMemory(),
        removesRepeats: options.removesRepeats ?? true,
        monotonicMs,
        nextBatch: (current, chunkBytes) => own.next(current, chunkBytes),
        route,
        batchOf: (partition) => own.of(partition),
      },
      // not NOWHERE: between two slices other requests stand there
      route === undefined ? own.of(0) : new BatchBuilder(signal),
    )
  }

  /** Decodes until the deadline at most; true when the request is done. Errors as `decodeInto`. */
  step(deadlineMonotonicMs: number): boolean {
    if (!this.#decoder.run(deadlineMonotonicMs)) return false
    this.own.settle(this.#bodyBytes)
    return true
  }

  /** The batches with rows. */
  get batches(): BatchBuilder[] {
    return this.own.filled.map(({ builder }) => builder)
  }

  /** After `step` returned true. */
  get outcome(): DecodeOutcome {
    return outcomeOf(this.#decoder.tally, this.#signal, this.own.rowCount)
  }
}

function windowOf(options: DecodeOptions): TimeWindow {
  const { arrivalUnixNano, maxAgeMs, maxAheadMs = DAY_MS } = options
  const aheadNano = maxAheadMs === DAY_MS ? DAY_NANO : BigInt(Math.round(maxAheadMs)) * 1_000_000n
  const { earliestUnixNano = arrivalUnixNano, latestUnixNano = arrivalUnixNano } = options.now ?? {}
  const latest = latestUnixNano + aheadNano
  const earliest =
    maxAgeMs === undefined
      ? undefined
      : earliestUnixNano - BigInt(Math.round(maxAgeMs)) * 1_000_000n
  return new TimeWindow(arrivalUnixNano, latest, earliest)
}

function outcomeOf(tally: DecodeTally, signal: Signal, rows: number): DecodeOutcome {
  const { duplicateKeys, invalidStrings, truncatedStrings, invalidIds, rejectedItems } = tally
  return {
    rows,
    rejectedItems,
    message: tally.message(ITEM_NOUNS[signal]),
    counters: { duplicateKeys, invalidStrings, truncatedStrings, invalidIds },
  }
}
