/**
 * OTLP protobuf requests into column batches: the entry of the decode path. Rules and limits are
 * those of the OTLP contract; what is rejected for good is counted and told in `message`.
 */
import type { BatchBuilder } from '../columnar/batch-builder.ts'
import { LIMITS } from '../limits.ts'
import type { Signal } from '../signal.ts'
import { CHUNK_ITEMS_MAX } from './chunker.ts'
import type { DecodeCounters, DecodeTally } from './decode-tally.ts'
import { TimeWindow } from './item-times.ts'
import { ProtobufWriter } from './protobuf-writer.ts'
import { RequestDecoder } from './request-decoder.ts'

export { SlowRequest } from './request-decoder.ts'

const DAY_MS = 86_400_000
const DAY_NANO = 86_400_000_000_000n
/** Slow steps of one synchronous run: at 2-5 us each they stay below the 10 ms of the event loop. */
const SLOW_STEPS_MAX = 2000
const ITEM_NOUNS = { 1: 'log records', 2: 'spans', 3: 'data points' } as const

/** Of all decodes that run to their end in one go. */
const sharedPreimage = new ProtobufWriter()
const noClock = (): number => 0
const sameBatch = (current: BatchBuilder): BatchBuilder => current

export interface DecodeOptions {
  readonly tenant: string
  /** When the request arrived, nanoseconds since 1970: the time of items that have none. */
  readonly arrivalUnixNano: bigint
  /** Items older than this are rejected; undefined (the default) accepts any age. */
  readonly maxAgeMs?: number | undefined
  /** Items further in the future are rejected; default one day. */
  readonly maxAheadMs?: number | undefined
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
      preimage: sharedPreimage,
      monotonicMs: noClock,
      nextBatch: sameBatch,
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

export interface LargeRequestOptions extends DecodeOptions {
  /** Makes the batches; they belong to this request alone. */
  readonly newBatch: () => BatchBuilder
  /** The clock of the deadlines given to `step`. */
  readonly monotonicMs: () => number
  readonly batchBytesMax?: number | undefined
  readonly batchRowsMax?: number | undefined
}

/**
 * Decodes a request of any size in slices into batches of its own, each whole chunks of about
 * `batchBytesMax`. Call `step` until it returns true; after an error the batches are to be dropped.
 */
export class LargeRequestDecoder {
  readonly batches: BatchBuilder[] = []
  readonly #decoder: RequestDecoder
  readonly #signal: Signal
  readonly #options: LargeRequestOptions
  readonly #bodyBytes: number
  /** Estimated size of the current batch before its last chunk. */
  #bytesBefore = 0

  constructor(signal: Signal, body: Uint8Array, options: LargeRequestOptions) {
    this.#signal = signal
    this.#options = options
    this.#bodyBytes = body.length
    const { tenant, monotonicMs } = options
    const first = this.#newBatch()
    this.#decoder = new RequestDecoder(
      {
        signal,
        tenant,
        body,
        window: windowOf(options),
        slowStepsMax: Infinity,
        preimage: new ProtobufWriter(),
        monotonicMs,
        nextBatch: (current) => this.#nextBatch(current),
      },
      first,
    )
  }

  /** Decodes until the deadline at most; true when the request is done. Errors as `decodeInto`. */
  step(deadlineMonotonicMs: number): boolean {
    if (!this.#decoder.run(deadlineMonotonicMs)) return false
    if (this.batches.at(-1)?.rowCount === 0) this.batches.pop()
    let rows = 0
    for (const batch of this.batches) rows += batch.rowCount
    for (const batch of this.batches) {
      batch.settle()
      batch.otlpBytes = Math.round((this.#bodyBytes * batch.rowCount) / rows)
    }
    return true
  }

  /** After `step` returned true. */
  get outcome(): DecodeOutcome {
    let rows = 0
    for (const batch of this.batches) rows += batch.rowCount
    return outcomeOf(this.#decoder.tally, this.#signal, rows)
  }

  #newBatch(): BatchBuilder {
    const batch = this.#options.newBatch()
    this.batches.push(batch)
    this.#bytesBefore = 0
    return batch
  }

  /** Whether one more chunk like the last still fits decides where the next one goes. */
  #nextBatch(current: BatchBuilder): BatchBuilder {
    const bytesMax = this.#options.batchBytesMax ?? LIMITS.batchBytesMax
    const rowsMax = this.#options.batchRowsMax ?? LIMITS.batchRowsMax
    current.settle()
    const bytes = current.estimatedBytes()
    const grownBytes = bytes - this.#bytesBefore
    this.#bytesBefore = bytes
    const hasRoom = bytes + grownBytes <= bytesMax && current.rowCount + CHUNK_ITEMS_MAX <= rowsMax
    return hasRoom || current.rowCount === 0 ? current : this.#newBatch()
  }
}

function windowOf(options: DecodeOptions): TimeWindow {
  const { arrivalUnixNano, maxAgeMs, maxAheadMs = DAY_MS } = options
  const aheadNano = maxAheadMs === DAY_MS ? DAY_NANO : BigInt(Math.round(maxAheadMs)) * 1_000_000n
  const latest = arrivalUnixNano + aheadNano
  const earliest =
    maxAgeMs === undefined ? undefined : arrivalUnixNano - BigInt(Math.round(maxAgeMs)) * 1_000_000n
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
