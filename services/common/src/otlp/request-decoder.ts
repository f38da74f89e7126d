/**
 * Walks an Export*ServiceRequest: resources, scopes, items, in wire order, into a batch. The walk
 * can stop at any item boundary (`run` with a deadline) and go on later; all of its state is in the
 * fields here, positions are offsets into the body. What an item means is the item decoders'
 * business, chunks are the chunker's; undoing a bad request is the caller's (`BatchBuilder`
 * savepoints, or batches of its own).
 */
import type { BatchBuilder } from '../columnar/batch-builder.ts'
import { AppError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { Signal } from '../signal.ts'
import type { ChunkRoute } from './chunk-route.ts'
import { Chunker, type ChunkContext, type ChunkMemory } from './chunker.ts'
import { DecodeTally, Reason } from './decode-tally.ts'
import { decodeItem } from './item-decoder.ts'
import { joinHalves, type TimeWindow } from './item-times.ts'
import { leadTimeUnixNano } from './lead-time.ts'
import { RESOURCE_PART, SCOPE_PART } from './message-schema.ts'
import { MetricWalk } from './metric-walk.ts'
import {
  REJECTED_PART,
  internBytes,
  internGathered,
  internPart,
  routePart,
} from './part-interner.ts'
import { cursor, openSource, readLength, readTag, skipValue, viewOf } from './protobuf-cursor.ts'

/** Field 1 of the request, field 2 of a Resource* and of a Scope* message. */
const PART_TAG = 0x0a
const CHILD_TAG = 0x12
/** Items between two looks at the clock: at 1 us each far below a slice. */
const ITEMS_PER_CLOCK_LOOK = 64

/** Stands where no metric is ever open. */
const NO_METRIC = new MetricWalk()

export interface RequestContext {
  readonly signal: Signal
  readonly tenant: string
  readonly body: Uint8Array
  readonly window: TimeWindow
  /** More slow steps than this end the decode with a SlowRequest. */
  readonly slowStepsMax: number
  /** The decoder's alone until it is done. */
  readonly chunkMemory: ChunkMemory
  /** Whether chunks may be dropped as repeats at all. */
  readonly removesRepeats: boolean
  /** Now, in the clock of the deadlines given to `run`. */
  readonly monotonicMs: () => number
  /** Called after each chunk, with its OTLP bytes: the batch that takes the next one. */
  readonly nextBatch: (current: BatchBuilder, chunkBytes: number) => BatchBuilder
  /** Undefined where the first batch takes the chunks of all streams. */
  readonly route: ChunkRoute | undefined
  /** The batch of a partition that `route` told. */
  readonly batchOf: (partition: number) => BatchBuilder
}

/** Thrown, not as a failure: the request is to be decoded in slices. */
export class SlowRequest extends Error {
  constructor() {
    super('request must be decoded in slices')
    this.name = 'SlowRequest'
  }
}

export class RequestDecoder implements ChunkContext {
  readonly tally = new DecodeTally()
  builder: BatchBuilder
  resourceId = 0
  scopeId = 0
  readonly #context: RequestContext
  readonly #view: DataView
  readonly #chunker: Chunker
  readonly #metric: MetricWalk
  #at = 0
  #partEnd = -1
  #scopeEnd = -1
  /** Why no item of the resource or scope at hand can be accepted. */
  #partReason: Reason = Reason.none
  #scopeReason: Reason = Reason.none
  #itemsToClockLook = ITEMS_PER_CLOCK_LOOK
  /** Where the message of the item at hand begins, behind tag and length. */
  #itemStart = 0
  /** Chunks of the part at hand that were begun, where they are routed each. */
  #chunkCount = 0

  constructor(context: RequestContext, builder: BatchBuilder) {
    this.#context = context
    this.builder = builder
    this.#view = viewOf(context.body)
    const { signal, tenant, body, chunkMemory, removesRepeats } = context
    this.#chunker = new Chunker(signal, tenant, body, this.#view, this, chunkMemory, removesRepeats)
    this.#metric = signal === Signal.metrics ? new MetricWalk() : NO_METRIC
  }

  /** Decodes until the end (true) or, at an item boundary, past the deadline (false). */
  run(deadlineMs: number): boolean {
    const { body } = this.#context
    openSource(body, this.#view, 0)
    for (;;) {
      if (this.#scopeEnd >= 0) {
        if (!this.#runScope(deadlineMs)) return false
        this.#endScope()
      } else if (this.#partEnd >= 0) {
        if (!this.#findScope()) this.#endPart()
      } else if (!this.#findPart()) {
        this.#noteTimes()
        return true
      }
      if (deadlineMs !== Infinity && this.#isPast(deadlineMs)) return false
      if (this.tally.slowSteps > this.#context.slowStepsMax) throw new SlowRequest()
    }
  }

  openMetric(): Uint8Array | undefined {
    return this.#metric.openIdentity()
  }

  /** Goes to the next Resource* message of the request. */
  #findPart(): boolean {
    const end = this.#findField(this.#context.body.length, PART_TAG)
    if (end < 0) return false
    const start = cursor.start
    this.tally.slowSteps += 1
    const { route } = this.#context
    this.resourceId =
      route === undefined
        ? this.#internResource(start, end)
        : this.#routeResource(route, start, end)
    this.#partReason = this.resourceId === REJECTED_PART ? Reason.invalidResource : Reason.none
    const { resource, rowCount } = this.builder
    if (this.#partReason === Reason.none) resource.start(rowCount, this.resourceId)
    this.#partEnd = end
    this.#at = start
    return true
  }

  #internResource(start: number, end: number): number {
    const { resource, rowCount } = this.builder
    return internPart(resource, RESOURCE_PART, start, end, rowCount, this.tally)
  }

  /** The same in the batch of the partition that the resource's stream goes to. */
  #routeResource(route: ChunkRoute, start: number, end: number): number {
    const partition = routePart(route, RESOURCE_PART, start, end, this.tally)
    if (partition === REJECTED_PART) return REJECTED_PART
    // of a stream that spreads, each chunk tells: until then its resource waits where it comes in
    const next = route.isSpread ? this.builder : this.#context.batchOf(partition)
    if (next !== this.builder) {
      this.#noteTimes()
      this.builder = next
    }
    this.#chunkCount = 0
    return internGathered(next.resource, next.rowCount)
  }

  beginChunk(from: number, end: number): void {
    const { route, body, batchOf } = this.#context
    if (route === undefined || !route.isSpread) return
    this.tally.slowSteps += 1
    const time = route.isTimed ? leadTimeUnixNano(this.#context.signal, this.#itemStart, end) : 0n
    this.#moveTo(batchOf(route.chunk(body, from, end, this.#chunkCount, time)))
    this.#chunkCount += 1
  }

  /** Goes to the next Scope* message of the part. */
  #findScope(): boolean {
    const end = this.#findField(this.#partEnd, CHILD_TAG)
    if (end < 0) return false
    const start = cursor.start
    this.tally.slowSteps += 1
    const { scope, rowCount } = this.builder
    this.#scopeReason = this.#partReason
    if (this.#partReason === Reason.none) {
      this.scopeId = internPart(scope, SCOPE_PART, start, end, rowCount, this.tally)
      if (this.scopeId === REJECTED_PART) this.#scopeReason = Reason.invalidScope
      else scope.start(rowCount, this.scopeId)
    }
    this.#scopeEnd = end
    this.#at = start
    return true
  }

  /** Finds a length-delimited field from #at on: its end, with its start in the cursor; or -1. */
  #findField(end: number, wanted: number): number {
    let at = this.#at
    while (at < end) {
      at = readTag(at, end)
      const tag = cursor.low >>> 0
      if (tag === wanted) {
        this.#at = readLength(at, end)
        return this.#at
      }
      at = skipValue(tag, at, end)
    }
    this.#at = at
    return -1
  }

  #endScope(): void {
    if (this.#scopeReason === Reason.none) this.#chunker.endScope()
    this.builder.scope.truncateRows(this.builder.rowCount)
    this.#at = this.#scopeEnd
    this.#scopeEnd = -1
  }

  #endPart(): void {
    if (this.#partReason === Reason.none) this.#cut()
    this.builder.dropUnusedRuns()
    this.#at = this.#partEnd
    this.#partEnd = -1
  }

  #runScope(deadlineMs: number): boolean {
    if (this.#context.signal === Signal.metrics) return this.#runMetrics(deadlineMs)
    const end = this.#scopeEnd
    const bytes = cursor.bytes
    while (this.#at < end) {
      const from = this.#at
      let at = from + 1
      if (bytes[from] !== CHILD_TAG) {
        at = readTag(from, end)
        if (cursor.low !== CHILD_TAG) {
          this.#at = skipValue(cursor.low >>> 0, at, end)
          continue
        }
      }
      const stop = readLength(at, end)
      this.#at = stop
      this.#item(from, cursor.start, stop)
      if (deadlineMs !== Infinity && this.#isPast(deadlineMs)) return false
    }
    return true
  }

  #runMetrics(deadlineMs: number): boolean {
    const metric = this.#metric
    const end = this.#scopeEnd
    for (;;) {
      if (!metric.isOpen) {
        const from = this.#at
        const stop = this.#findField(end, CHILD_TAG)
        if (stop < 0) return true
        metric.open(from, cursor.start, stop, this.#scopeReason, this.tally)
      }
      while (metric.nextPoint()) {
        this.#item(metric.itemFrom, metric.pointStart, metric.pointEnd)
        metric.hasItems = true
        if (deadlineMs !== Infinity && this.#isPast(deadlineMs)) return false
      }
      if (this.#scopeReason === Reason.none && metric.hasItems) this.#chunker.extend(metric.end)
      this.#at = metric.end
      metric.close()
    }
  }

  /** One item with its tag at `from` and its message in [start, end). */
  #item(from: number, start: number, end: number): void {
    const tally = this.tally
    tally.itemCount += 1
    if (tally.itemCount > LIMITS.itemsPerRequestMax) tooMany('items', LIMITS.itemsPerRequestMax)
    if (this.#scopeReason !== Reason.none) {
      tally.reject(this.#scopeReason, 1)
      return
    }
    if (this.#chunker.mustCut(from, end)) this.#cut()
    this.#itemStart = start
    this.#chunker.add(from, end)
    if (end - start > LIMITS.itemBytesMax) {
      tally.reject(Reason.tooLarge, 1)
      return
    }
    this.builder.attributes.itemBytes += end - from
    const { signal, window } = this.#context
    const reason = decodeItem(this.builder, signal, start, end, window, tally, this.#metric)
    if (tally.valueCount > LIMITS.valuesPerRequestMax) {
      tooMany('values', LIMITS.valuesPerRequestMax)
    }
    if (tally.slowSteps > this.#context.slowStepsMax) throw new SlowRequest()
    if (reason !== Reason.none) {
      tally.reject(reason, 1)
      return
    }
    this.builder.rowCount += 1
    tally.acceptTime()
    if (!tally.isRemovable) this.#chunker.keep()
  }

  /** Ends the chunk at hand; the next may go to another batch. */
  #cut(): void {
    const { byteCount } = this.#chunker
    this.#chunker.cut()
    this.#moveTo(this.#context.nextBatch(this.builder, byteCount))
  }

  /** Goes on in another batch, between two chunks, with the resource and scope at hand. */
  #moveTo(next: BatchBuilder): void {
    const old = this.builder
    if (next === old) return
    this.#noteTimes()
    this.builder = next
    const resource = entryOf(old, 'resource', this.resourceId)
    this.resourceId = internBytes(next.resource, resource, next.rowCount)
    next.resource.start(next.rowCount, this.resourceId)
    if (this.#scopeEnd >= 0) {
      this.scopeId = internBytes(next.scope, entryOf(old, 'scope', this.scopeId), next.rowCount)
      next.scope.start(next.rowCount, this.scopeId)
    }
    old.dropUnusedRuns()
  }

  /** Gives the batch the range of times of the rows since the last call. */
  #noteTimes(): void {
    const { tally, builder } = this
    if (!tally.hasTimes) return
    const min = joinHalves(tally.minLow, tally.minHigh)
    const max = joinHalves(tally.maxLow, tally.maxHigh)
    const isFirst = builder.maxTimeUnixNano === 0n && builder.minTimeUnixNano === 0n
    if (isFirst || min < builder.minTimeUnixNano) builder.minTimeUnixNano = min
    if (isFirst || max > builder.maxTimeUnixNano) builder.maxTimeUnixNano = max
    tally.resetTimes()
  }

  #isPast(deadlineMs: number): boolean {
    this.#itemsToClockLook -= 1
    if (this.#itemsToClockLook > 0) return false
    this.#itemsToClockLook = ITEMS_PER_CLOCK_LOOK
    return this.#context.monotonicMs() > deadlineMs
  }
}

function entryOf(builder: BatchBuilder, part: 'resource' | 'scope', id: number): Uint8Array {
  const { bytes, offsets } = builder[part].entries
  return bytes.subarray(offsets[id], offsets[id + 1])
}

function tooMany(what: string, limit: number): never {
  throw new AppError('request_too_large', `more than ${limit} ${what} in one request`, {
    details: { limit },
  })
}
