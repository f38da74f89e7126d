/**
 * What both transports do with a complete body: decompress it, hand it to the handler, and turn
 * whatever goes wrong into an AppError whose code decides the answer. Reading bytes and writing
 * answers is left to the transports.
 */
import type { Clock } from '@tributary/common/clock'
import { decompress, decompressInPlace } from '@tributary/common/compression'
import type { Compression, DecompressionLimits } from '@tributary/common/compression'
import { AppError, toAppError } from '@tributary/common/errors'
import { failpoint } from '@tributary/common/failpoint'
import type { Logger } from '@tributary/common/logger'
import type { TraceSpan } from '@tributary/common/tracing'

import type { Reservation } from '../admission.ts'
import type { TenantDirectory } from '../tenants/tenant-directory.ts'
import type { BodyEncoding, ExportHandler, ExportOutcome } from '../export-handler.ts'
import type { ExportRoute } from './export-route.ts'
import { decompressedReservationBytes } from './receiver-limits.ts'
import type { ReceiverLimits } from './receiver-limits.ts'
import type { ReceiverMetrics, Transport } from './receiver-metrics.ts'

/** A call whose body is complete. */
export interface ReceivedCall {
  readonly transport: Transport
  readonly route: ExportRoute
  readonly encoding: BodyEncoding
  readonly compression: Compression
  readonly wireBody: Uint8Array
  /** Called when nobody looks at `wireBody` any more. */
  readonly releaseBody: () => void
  /** Of the tenant; owned by the pipeline from here on, and released by it. */
  readonly reservation: Reservation
  /** On the monotonic clock. */
  readonly deadlineAtMs: number | undefined
  readonly trace: TraceSpan | undefined
}

export interface ExportPipelineOptions {
  readonly handler: ExportHandler
  readonly tenants: TenantDirectory
  readonly limits: ReceiverLimits
  readonly metrics: ReceiverMetrics
  readonly logger: Logger
  readonly clock: Clock
}

/** At most this many bugs per interval go to the log with their stack; all are counted. */
const BUG_LOGS_PER_INTERVAL = 10
const BUG_LOG_INTERVAL_MS = 10_000

export class ExportPipeline {
  readonly #options: ExportPipelineOptions
  #bugLogs = 0
  #bugLogsSinceMs = -Infinity

  constructor(options: ExportPipelineOptions) {
    this.#options = options
  }

  /** @throws AppError always; never anything else */
  async run(call: ReceivedCall): Promise<ExportOutcome> {
    const { tenants } = this.#options
    const { account } = call.reservation
    let chargedBytes = 0
    try {
      const paused = failpoint('receive:accepted')
      if (paused !== undefined) await paused
      let body = call.wireBody
      if (call.compression !== 'identity') {
        const limits = this.#decompressionLimits(call.reservation)
        body =
          decompressInPlace(call.wireBody, call.compression, limits) ??
          (await decompress(call.wireBody, call.compression, limits))
        call.reservation.resize(decompressedReservationBytes(body.length))
      }
      this.#options.metrics.countBytes(call.transport, call.wireBody.length, body.length)
      tenants.takeBytes(account, body.length)
      chargedBytes = body.length
      const outcome = await this.#options.handler({
        signal: call.route.signal,
        encoding: call.encoding,
        tenant: account.name,
        policy: account.policy,
        body,
        deadlineMs: this.#deadlineMs(call.deadlineAtMs),
        trace: call.trace,
      })
      tenants.takeItems(account, outcome.storedItems)
      const held = failpoint('receive:before-response')
      if (held !== undefined) await held
      return outcome
    } catch (error) {
      const explained = this.#explain(error, call.route)
      // the same bytes come again
      if (explained.answer.retryable) account.giveBytes(chargedBytes)
      throw explained
    } finally {
      call.reservation.release()
      call.releaseBody()
    }
  }

  #decompressionLimits(reservation: Reservation): DecompressionLimits {
    const { limits } = this.#options
    return {
      bytesMax: limits.requestBytesMax,
      ratioMax: limits.decompressionRatioMax,
      onOutput: (bytes) => {
        const needed = decompressedReservationBytes(bytes)
        if (needed > reservation.bytes) reservation.resize(needed)
      },
    }
  }

  #deadlineMs(deadlineAtMs: number | undefined): number | undefined {
    if (deadlineAtMs === undefined) return undefined
    const leftMs = deadlineAtMs - this.#options.clock.monotonicMs()
    if (leftMs <= 0) throw new AppError('deadline_near', 'deadline passed before the body was read')
    return leftMs
  }

  #explain(error: unknown, route: ExportRoute): AppError {
    const explained = toAppError(error)
    if (explained.code === 'internal' && this.#mayLogBug()) {
      this.#options.logger.error({ err: explained, signal: route.name }, 'export call met a bug')
    }
    return explained
  }

  #mayLogBug(): boolean {
    const nowMs = this.#options.clock.monotonicMs()
    if (nowMs - this.#bugLogsSinceMs > BUG_LOG_INTERVAL_MS) {
      this.#bugLogsSinceMs = nowMs
      this.#bugLogs = 0
    }
    this.#bugLogs++
    return this.#bugLogs <= BUG_LOGS_PER_INTERVAL
  }
}
