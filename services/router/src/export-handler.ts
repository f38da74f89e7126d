import type { Signal } from '@tributary/common/signal'
import type { TraceSpan } from '@tributary/common/tracing'
import type { TenantPolicy } from '@tributary/common/tenants/tenant-policy'

export type BodyEncoding = 'protobuf' | 'json'

/** One export call as a receiver hands it on. */
export interface ExportRequest {
  readonly signal: Signal
  readonly encoding: BodyEncoding
  readonly tenant: string
  /** What the tenant may do. */
  readonly policy: TenantPolicy
  /** Decompressed; it belongs to the handler until its promise settles. */
  readonly body: Uint8Array
  /** Milliseconds that the client still waits, or undefined where it did not say. */
  readonly deadlineMs: number | undefined
  /** Of a request that is traced. */
  readonly trace?: TraceSpan | undefined
}

export interface ExportOutcome {
  /** Log records, spans or data points that can never be accepted. */
  readonly rejectedItems: number
  /** Those that are durable now. */
  readonly storedItems: number
  /** Why, for people; '' when nothing was rejected. */
  readonly message: string
}

/**
 * Stores the request and resolves once every accepted item is durable.
 * @throws AppError: its code decides the answer; anything else is answered as a bug, retryable
 */
export type ExportHandler = (request: ExportRequest) => Promise<ExportOutcome>
