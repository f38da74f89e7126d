/**
 * What happens to an export request in a router: as in ingest-handler.ts, but its rows go to the lanes
 * of the partitions that the routing table tells, and the answer waits for all of them.
 *
 *   one partition (nearly always) -> decodeInto the lane's open batch
 *   several                       -> decodeRouted into the open batches of all, or of none
 *   large, or slow to decode      -> batches of its own per partition, in slices
 *
 * A lane that would not take rows is asked before any are written: a request is refused as a whole,
 * and what its client sends again meets no half of it. Only where the log failed after that, parts may
 * be stored; the ingester drops them when they come again.
 */
import { failpoint } from '@tributary/common/failpoint'
import { LIMITS } from '@tributary/common/limits'
import {
  decodeInto,
  decodeRouted,
  LargeRequestDecoder,
  SlowRequest,
  type DecodeOutcome,
} from '@tributary/common/otlp/decoder'
import type { OwnBatch } from '@tributary/common/otlp/own-batches'
import { TouchedBatches } from '@tributary/common/otlp/touched-batches'
import { NOT_KNOWN } from '@tributary/common/routing/shard'
import { traced } from '@tributary/common/tracing'
import type { OpenBatch } from './batcher.ts'
import type { ExportHandler, ExportRequest } from './export-handler.ts'
import {
  decodeInSlices,
  decodeOptions,
  exportOutcome,
  protobufBody,
  type DecodeSettings,
} from './ingest-handler.ts'
import type { RouterMetrics } from './metrics.ts'
import type { Partitioner, TenantRoute } from './partitioner.ts'
import type { Broker } from './produce/brokers.ts'
import type { Lane, Lanes } from './produce/lanes.ts'
import { decompressedReservationBytes } from './receive/receiver-limits.ts'

export interface RoutedHandlerOptions extends DecodeSettings {
  readonly partitioner: Partitioner
  readonly lanes: Lanes
  readonly metrics: RouterMetrics
}

/** A request whose rows stand in batches. */
interface Added {
  readonly outcome: DecodeOutcome
  readonly lanes: readonly Lane[]
  /** Settles as all its batches do; rejects with the first. */
  readonly durable: Promise<unknown>
}

const NO_LANES: readonly Lane[] = []

/** The handler that the receivers of a router call; see ExportHandler for its errors. */
export function createRoutedHandler(options: RoutedHandlerOptions): ExportHandler {
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

async function ingest(
  request: ExportRequest,
  body: Uint8Array,
  options: RoutedHandlerOptions,
): Promise<DecodeOutcome> {
  const route = options.partitioner.route(request.tenant, request.signal)
  route.bytes += body.length
  if (body.length > LIMITS.synchronousDecodeBytesMax) {
    return ingestLarge(request, body, route, options)
  }
  let added: Added
  const startMs = options.clock.monotonicMs()
  try {
    added =
      route.only === NOT_KNOWN
        ? addToLanes(request, body, route, options)
        : addToLane(request, body, options.lanes.of(route.only), options)
  } catch (error) {
    // few bytes, but thousands of resources, keys or odd items, or wider rows than a record takes
    if (error instanceof SlowRequest) return ingestLarge(request, body, route, options)
    throw error
  }
  const endMs = options.clock.monotonicMs()
  options.metrics.decoded(endMs - startMs)
  request.trace?.child('decode', startMs).end(endMs)
  await traced(request.trace, 'store', options.clock, stored(added, body.length))
  return added.outcome
}

function addToLane(
  request: ExportRequest,
  body: Uint8Array,
  lane: Lane,
  options: RoutedHandlerOptions,
): Added {
  lane.check()
  const { filled, durable } = lane.batcher.add(
    request.tenant,
    request.signal,
    (builder) => decodeInto(builder, body, decodeOptions(request, options)),
    request.trace,
  )
  return { outcome: filled, lanes: filled.rows === 0 ? NO_LANES : [lane], durable }
}

/** One synchronous run, so that no batch closes while the request can still turn out bad. */
function addToLanes(
  { tenant, signal, ...rest }: ExportRequest,
  body: Uint8Array,
  route: TenantRoute,
  options: RoutedHandlerOptions,
): Added {
  const opened: { readonly lane: Lane; readonly batch: OpenBatch }[] = []
  const touched = new TouchedBatches((partition) => {
    const lane = options.lanes.of(partition)
    lane.check()
    const batch = lane.batcher.open(tenant, signal)
    opened.push({ lane, batch })
    return batch.builder
  })
  let outcome: DecodeOutcome
  try {
    const settings = decodeOptions({ tenant, signal, ...rest }, options)
    outcome = decodeRouted(signal, body, settings, route.begin(), touched)
    if (opened.some(({ lane, batch }) => !lane.batcher.fits(batch))) {
      touched.rollback()
      throw new SlowRequest()
    }
  } finally {
    for (const { lane, batch } of opened) lane.batcher.leave(batch)
  }
  const filled = opened.filter(
    ({ batch }, index) => batch.builder.rowCount > touched.all[index]!.savepoint.rowCount,
  )
  const durable = Promise.all(
    filled.map(({ lane, batch }) => lane.batcher.filled(batch, rest.trace)),
  )
  return { outcome, lanes: filled.map(({ lane }) => lane), durable }
}

/** Waits for the batches of a request, which holds its bytes meanwhile. */
async function stored({ lanes, durable }: Added, bodyBytes: number): Promise<void> {
  const bytes = decompressedReservationBytes(bodyBytes)
  const brokers: Broker[] = []
  for (const lane of lanes) brokers.push(lane.hold(bytes))
  try {
    await durable
  } finally {
    for (let i = 0; i < lanes.length; i++) lanes[i]!.release(bytes, brokers[i]!)
  }
}

async function ingestLarge(
  request: ExportRequest,
  body: Uint8Array,
  route: TenantRoute,
  options: RoutedHandlerOptions,
): Promise<DecodeOutcome> {
  const { lanes } = options
  const { only } = route
  if (only !== NOT_KNOWN) lanes.of(only).check()
  const batchBytesMax = Math.min(LIMITS.batchBytesMax, lanes.bytesLimit / 2)
  let decoder = await decodeLarge(request, body, route, batchBytesMax, options)
  try {
    if (decoder.batches.some((batch) => batch.estimatedBytes() > lanes.bytesLimit)) {
      // rows much wider than those before: each chunk for itself
      releaseAll(decoder, lanes)
      decoder = await decodeLarge(request, body, route, 0, options)
    }
    const fitting = decoder.own.filled.filter(
      ({ builder }) => builder.estimatedBytes() <= lanes.bytesLimit,
    )
    const byLane = groupByLane(fitting, only, lanes)
    for (const lane of byLane.keys()) lane.check()
    const appends = [...byLane].map(([lane, batches]) =>
      lane.batcher.appendOwn(
        request.tenant,
        batches.map(({ builder }) => builder),
        request.trace,
      ),
    )
    const added = { lanes: [...byLane.keys()], durable: allOf(appends), outcome: decoder.outcome }
    await traced(request.trace, 'store', options.clock, stored(added, body.length))
    return withoutOversize(decoder.outcome, fitting)
  } finally {
    releaseAll(decoder, lanes)
  }
}

async function decodeLarge(
  request: ExportRequest,
  body: Uint8Array,
  route: TenantRoute,
  batchBytesMax: number,
  options: RoutedHandlerOptions,
): Promise<LargeRequestDecoder> {
  const { clock, lanes, metrics } = options
  const decoder = new LargeRequestDecoder(request.signal, body, {
    ...decodeOptions(request, options),
    newBatch: () => lanes.builders.take(request.signal),
    monotonicMs: () => clock.monotonicMs(),
    batchBytesMax,
    route: route.only === NOT_KNOWN ? route.begin() : undefined,
  })
  try {
    metrics.decoded(await decodeInSlices(decoder, clock, request.trace))
    return decoder
  } catch (error) {
    releaseAll(decoder, lanes)
    throw error
  }
}

function releaseAll(decoder: LargeRequestDecoder, { builders }: Lanes): void {
  for (const { builder } of decoder.own.all.splice(0)) builders.give(builder)
}

function groupByLane(
  batches: readonly OwnBatch[],
  only: number,
  lanes: Lanes,
): Map<Lane, OwnBatch[]> {
  const byLane = new Map<Lane, OwnBatch[]>()
  for (const batch of batches) {
    const lane = lanes.of(only === NOT_KNOWN ? batch.partition : only)
    const group = byLane.get(lane)
    if (group === undefined) byLane.set(lane, [batch])
    else group.push(batch)
  }
  return byLane
}

/** Waits for all, because they still read their batches; then rejects with the first failure. */
async function allOf(promises: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(promises)
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

/** Chunks that no record of the log can take are never accepted: told as rejected. */
function withoutOversize(outcome: DecodeOutcome, fitting: readonly OwnBatch[]): DecodeOutcome {
  const rows = fitting.reduce((sum, { builder }) => sum + builder.rowCount, 0)
  const oversize = outcome.rows - rows
  if (oversize === 0) return outcome
  const told = `${String(oversize)} rejected: with their resource larger than a record of the log`
  return {
    ...outcome,
    rows,
    rejectedItems: outcome.rejectedItems + oversize,
    message: outcome.message === '' ? told : `${outcome.message}; ${told}`,
  }
}
