/**
 * What happens to an export request after its body was received: JSON becomes protobuf, protobuf
 * becomes rows of open batches, and the answer waits for every batch that got rows of it.
 *
 * A small request is decoded in one synchronous run into the batch that others share. A large one is
 * decoded in slices into batches of its own, so that the event loop is never held for long and no
 * shared batch waits for it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '@tributary/common/clock'
import { failpoint } from '@tributary/common/failpoint'
import { LIMITS } from '@tributary/common/limits'
import {
  decodeInto,
  LargeRequestDecoder,
  SlowRequest,
  type DecodeOptions,
  type DecodeOutcome,
} from '@tributary/common/otlp/decoder'
import { transcodeJson, transcodeLargeJson } from '@tributary/common/otlp/json-transcoder'
import { traced, type TraceSpan } from '@tributary/common/tracing'
import type { Batcher } from './batcher.ts'
import type { ExportHandler, ExportOutcome, ExportRequest } from './export-handler.ts'
import type { ItemClock } from './item-clock.ts'
import type { RouterMetrics } from './metrics.ts'

export interface DecodeSettings {
  readonly clock: Clock
  /** By which items are judged; default `clock` alone. */
  readonly itemClock?: Pick<ItemClock, 'bounds'> | undefined
}

export interface IngestHandlerOptions extends DecodeSettings {
  readonly batcher: Pick<Batcher, 'add' | 'appendOwn' | 'takeBuilder' | 'release'>
  readonly metrics: RouterMetrics
}

/** The handler that the receivers call; see ExportHandler for its errors. */
export function createIngestHandler(options: IngestHandlerOptions): ExportHandler {
  return async (request) => {
    const { body: sent, encoding } = request
    const body = encoding === 'protobuf' ? sent : await protobufBody(request)
    const paused = failpoint('ingest:decoded')
    if (paused !== undefined) await paused
    const outcome = await ingest(request, body, options)
    options.metrics.ingested(request, body.length, outcome)
    const held = failpoint('ingest:durable')
    if (held !== undefined) await held
    return exportOutcome(outcome)
  }
}

/** Adds the request to the batch that others share, unless it would hold the event loop. */
async function ingest(
  request: ExportRequest,
  body: Uint8Array,
  options: IngestHandlerOptions,
): Promise<DecodeOutcome> {
  const { clock, metrics } = options
  if (body.length > LIMITS.synchronousDecodeBytesMax) return ingestLarge(request, body, options)
  let added: { readonly filled: DecodeOutcome; readonly durable: Promise<void> }
  const startMs = clock.monotonicMs()
  try {
    added = options.batcher.add(
      request.tenant,
      request.signal,
      (builder) => decodeInto(builder, body, decodeOptions(request, options)),
      request.trace,
    )
  } catch (error) {
    // few bytes, but thousands of resources, keys or odd items
    if (error instanceof SlowRequest) return ingestLarge(request, body, options)
    throw error
  }
  const endMs = clock.monotonicMs()
  metrics.decoded(endMs - startMs)
  request.trace?.child('decode', startMs).end(endMs)
  await traced(request.trace, 'store', clock, added.durable)
  return added.filled
}

/** A JSON body as the protobuf that says the same. @throws AppError malformed_body */
export function protobufBody({ signal, body }: ExportRequest): Uint8Array | Promise<Uint8Array> {
  return body.length > LIMITS.synchronousDecodeBytesMax
    ? transcodeLargeJson(signal, body, () => nextTurn())
    : transcodeJson(signal, body)
}

export function decodeOptions(request: ExportRequest, options: DecodeSettings): DecodeOptions {
  const { itemAgeMaxMs, itemAheadMaxMs, retryRemoval } = request.policy
  const arrivalUnixNano = options.clock.nowUnixNano()
  return {
    tenant: request.tenant,
    arrivalUnixNano,
    now: options.itemClock?.bounds(arrivalUnixNano),
    maxAgeMs: itemAgeMaxMs === 0 ? undefined : itemAgeMaxMs,
    maxAheadMs: itemAheadMaxMs,
    removesRepeats: retryRemoval,
  }
}

/** Decodes without holding the event loop. @returns how long it took without the turns of others, ms */
export async function decodeInSlices(
  decoder: LargeRequestDecoder,
  clock: Clock,
  trace: TraceSpan | undefined,
): Promise<number> {
  const span = trace?.child('decode', clock.monotonicMs())
  let tookMs = 0
  for (;;) {
    const startMs = clock.monotonicMs()
    const isDone = decoder.step(startMs + LIMITS.decodeSliceMs)
    const endMs = clock.monotonicMs()
    tookMs += endMs - startMs
    if (isDone) {
      span?.end(endMs)
      return tookMs
    }
    await nextTurn()
  }
}

export function exportOutcome({ rows, rejectedItems, message }: DecodeOutcome): ExportOutcome {
  return { rejectedItems, storedItems: rows, message }
}

async function ingestLarge(
  request: ExportRequest,
  body: Uint8Array,
  options: IngestHandlerOptions,
): Promise<DecodeOutcome> {
  const { batcher, clock, metrics } = options
  const decoder = new LargeRequestDecoder(request.signal, body, {
    ...decodeOptions(request, options),
    newBatch: () => batcher.takeBuilder(request.signal),
    monotonicMs: () => clock.monotonicMs(),
  })
  try {
    metrics.decoded(await decodeInSlices(decoder, clock, request.trace))
    const appended = batcher.appendOwn(request.tenant, decoder.batches, request.trace)
    await traced(request.trace, 'store', clock, appended)
  } finally {
    for (const { builder } of decoder.own.all) batcher.release(builder)
  }
  return decoder.outcome
}
