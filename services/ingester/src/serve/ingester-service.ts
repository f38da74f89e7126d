/** Answers the gRPC service of an ingester (proto/tributary/internal/v1/ingester.proto). */
import { once } from 'node:events'
import { status, type ServerWritableStream, type sendUnaryData } from '@grpc/grpc-js'
import type { GrpcService } from '@tributary/common/admin-grpc-server'
import { AppError, toAppError, type ErrorCode } from '@tributary/common/errors'
import {
  INGESTER_PROTO,
  ingesterServiceDefinition,
  type DrainRequest,
  type PartitionInfo,
  type PartitionList,
  type ReadUnflushedRequest,
  type ReadUnflushedResponse,
  type ResumeRequest,
  type UnflushedFile,
} from '@tributary/common/ingester-service'
import type { Logger } from '@tributary/common/logger'
import type { PartitionFigures } from '../cluster-metrics.ts'
import type { Ingester } from '../ingester.ts'
import { readUnflushed, type UnflushedFilePart } from './unflushed-reader.ts'

export interface IngesterServiceOptions {
  /** Undefined while the process starts. */
  readonly ingester: () => Ingester | undefined
  readonly logger: () => Logger
}

/** Reads hold memory and a worker: a second one at a time is enough for people. */
const READS_MAX = 2
/** Those that wait for rows hold nothing. */
const WAITS_MAX = 64
/** Who waits longer asks again. */
const WAIT_MS_MAX = 600_000

const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  object_missing: status.NOT_FOUND,
  overloaded: status.RESOURCE_EXHAUSTED,
  cancelled: status.CANCELLED,
}

export function ingesterService(options: IngesterServiceOptions): GrpcService {
  const { logger } = options
  const current = (): Ingester => {
    const ingester = options.ingester()
    if (ingester === undefined) throw notReady()
    return ingester
  }
  const places: Places = { reads: 0, waits: 0 }
  return {
    definition: ingesterServiceDefinition,
    proto: INGESTER_PROTO,
    implementation: {
      listPartitions: (_call: unknown, done: sendUnaryData<object>) => {
        answer(done, logger(), () => Promise.resolve(partitionListOf(current())))
      },
      flush: (_call: unknown, done: sendUnaryData<object>) => {
        answer(done, logger(), async () => {
          const ingester = current()
          const before = ingester.committedFiles
          await ingester.flush()
          return { files: String(ingester.committedFiles - before) }
        })
      },
      drain: (call: { request: DrainRequest }, done: sendUnaryData<object>) => {
        answer(done, logger(), async () => {
          const { holdSeconds } = call.request
          const ingester = current()
          if (!ingester.isDraining) logger().info({ holdSeconds }, 'draining as asked')
          await ingester.drain(holdSeconds === 0 ? undefined : holdSeconds * 1000)
          return {}
        })
      },
      resume: (call: { request: ResumeRequest }, done: sendUnaryData<object>) => {
        answer(done, logger(), () => {
          current().resume(call.request.onlyHeld)
          return Promise.resolve({})
        })
      },
      readUnflushed: (call: UnflushedCall) => {
        stream(call, current, places).catch((error: unknown) => {
          if (!call.cancelled) logger().warn({ err: error }, 'read of unflushed rows failed')
          call.emit('error', failure(error))
        })
      },
    },
  }
}

type UnflushedCall = ServerWritableStream<ReadUnflushedRequest, ReadUnflushedResponse>

/** How many calls do what at this moment. */
type Places = Record<'reads' | 'waits', number>

async function stream(call: UnflushedCall, current: () => Ingester, places: Places): Promise<void> {
  const ending = new AbortController()
  call.once('cancelled', () => {
    ending.abort()
  })
  const ingester = current()
  const { partition, waitMs } = call.request
  const logEnd =
    waitMs === 0
      ? undefined
      : await within(places, 'waits', WAITS_MAX, () =>
          ingester.catchUp(partition, Math.min(waitMs, WAIT_MS_MAX), ending.signal),
        )
  await within(places, 'reads', READS_MAX, () => send(call, ingester, logEnd, ending.signal))
  if (!ending.signal.aborted) call.end()
}

async function send(
  call: UnflushedCall,
  ingester: Ingester,
  logEnd: bigint | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { id, snapshot } = ingester.snapshot(call.request.partition)
  try {
    const range = { ...id, start: String(snapshot.start), end: String(snapshot.end) }
    await write(call, {
      range: logEnd === undefined ? range : { ...range, logEnd: String(logEnd) },
    })
    const options = ingester.unflushedReading
    for await (const part of readUnflushed(options, id, snapshot, call.request, signal)) {
      if (signal.aborted) return
      await write(call, part.kind === 'data' ? { data: part.bytes } : { file: fileOf(part) })
    }
  } finally {
    snapshot.release()
  }
}

/** @throws AppError overloaded where all places are taken */
async function within<T>(
  places: Places,
  kind: keyof Places,
  max: number,
  action: () => Promise<T>,
): Promise<T> {
  if (places[kind] >= max) throw new AppError('overloaded', `too many ${kind} at a time`)
  places[kind]++
  try {
    return await action()
  } finally {
    places[kind]--
  }
}

function fileOf({ table, file }: UnflushedFilePart): UnflushedFile {
  const { tenant, signal } = table
  const { hour, rows, bytes } = file
  return { tenant, signal, hour, rows: String(rows), bytes: String(bytes) }
}

/** Waits while the client reads slower than we write; for ever only as long as it is there. */
async function write(call: UnflushedCall, message: ReadUnflushedResponse): Promise<void> {
  if (call.write(message) || call.cancelled) return
  const ended = new AbortController()
  try {
    await Promise.race([
      once(call, 'drain', { signal: ended.signal }),
      once(call, 'cancelled', { signal: ended.signal }),
    ])
  } finally {
    ended.abort()
  }
}

function answer(done: sendUnaryData<object>, logger: Logger, action: () => Promise<object>): void {
  Promise.resolve()
    .then(action)
    .then(
      (message) => {
        done(null, message)
      },
      (error: unknown) => {
        logger.warn({ err: error }, 'admin call failed')
        done(failure(error))
      },
    )
}

function failure(error: unknown, code?: number): Error & { code: number; details: string } {
  const { code: ours, message } = toAppError(error)
  const details = error instanceof Error ? error.message : message
  return Object.assign(new Error(details), {
    code: code ?? STATUS_OF[ours] ?? status.UNAVAILABLE,
    details,
  })
}

function notReady(): Error {
  return new Error('the ingester is starting')
}

/** What an ingester tells about itself and its partitions. */
export function partitionListOf(ingester: Ingester): PartitionList {
  const { logId, topic, partitionCount } = ingester.log
  return {
    member: ingester.member,
    logId,
    topic,
    isDraining: ingester.isDraining,
    partitions: ingester.partitions().map(infoOf),
    memoryBytes: String(ingester.memoryBytes),
    memoryBytesMax: String(ingester.memoryBytesMax),
    ...ingester.busy,
    partitionCount,
  }
}

function infoOf(figures: PartitionFigures): PartitionInfo {
  return {
    partition: figures.partition,
    epoch: String(figures.epoch),
    state: figures.state,
    haltReason: figures.haltReason ?? '',
    start: String(figures.start),
    next: String(figures.next),
    lagOffsets: String(figures.lagOffsets),
    lagSeconds: figures.lagSeconds,
    oldestUnflushedSeconds: figures.oldestSeconds,
    unflushedRows: String(figures.unflushedRows),
    unflushedBytes: String(figures.unflushedBytes),
    validThroughUnixMs: String(Math.round(figures.validThroughUnixMs)),
    holds: [...figures.holds],
    backlogOffsets: String(figures.backlogOffsets),
    backlogSeconds: figures.backlogSeconds,
  }
}
