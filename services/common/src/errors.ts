/**
 * Every failure that leaves a module is an AppError with a code from this table. The table alone
 * decides what a client hears (README, "What a client hears"): a wrong status makes collectors drop
 * data, so no code has a default and `retryable` is never guessed.
 */

/** gRPC status numbers that we answer (grpc.io, statuscodes.md). */
export const GrpcStatus = {
  OK: 0,
  INVALID_ARGUMENT: 3,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const
export type GrpcStatus = (typeof GrpcStatus)[keyof typeof GrpcStatus]

interface ErrorAnswer {
  readonly retryable: boolean
  readonly grpc: GrpcStatus
  readonly http: number
}

const UNAVAILABLE = { retryable: true, grpc: GrpcStatus.UNAVAILABLE, http: 503 } as const
const INVALID = { retryable: false, grpc: GrpcStatus.INVALID_ARGUMENT, http: 400 } as const
const TOO_LARGE = { retryable: false, grpc: GrpcStatus.RESOURCE_EXHAUSTED, http: 413 } as const

export const ERROR_ANSWERS = {
  // the request can never succeed as it is
  malformed_body: INVALID,
  malformed_compression: INVALID,
  invalid_tenant: INVALID,
  request_too_large: TOO_LARGE,
  unauthenticated: { retryable: false, grpc: GrpcStatus.UNAUTHENTICATED, http: 401 },
  permission_denied: { retryable: false, grpc: GrpcStatus.PERMISSION_DENIED, http: 403 },
  unknown_path: { retryable: false, grpc: GrpcStatus.UNIMPLEMENTED, http: 404 },
  unknown_method: { retryable: false, grpc: GrpcStatus.UNIMPLEMENTED, http: 405 },
  unsupported_media_type: { retryable: false, grpc: GrpcStatus.UNIMPLEMENTED, http: 415 },
  // the same request may succeed later
  over_rate: { retryable: true, grpc: GrpcStatus.RESOURCE_EXHAUSTED, http: 429 },
  overloaded: UNAVAILABLE,
  draining: UNAVAILABLE,
  not_ready: UNAVAILABLE,
  tenants_exhausted: UNAVAILABLE,
  deadline_near: UNAVAILABLE,
  log_unavailable: UNAVAILABLE,
  log_full: UNAVAILABLE,
  log_unfit: UNAVAILABLE,
  metadata_unavailable: UNAVAILABLE,
  credentials_unavailable: UNAVAILABLE,
  store_unavailable: UNAVAILABLE,
  cancelled: UNAVAILABLE,
  internal: UNAVAILABLE,
  // the batcher cuts below the bound and rejects single items: heard only where that failed
  record_too_large: UNAVAILABLE,
  // never heard by a telemetry client: start-up, tools, damage on disk
  invalid_config: UNAVAILABLE,
  wal_damaged: UNAVAILABLE,
  envelope_damaged: UNAVAILABLE,
  commit_damaged: UNAVAILABLE,
  routing_table_damaged: UNAVAILABLE,
  object_exists: UNAVAILABLE,
  object_missing: UNAVAILABLE,
  object_too_large: UNAVAILABLE,
  object_mismatch: UNAVAILABLE,
  invalid_key: UNAVAILABLE,
  store_unfit: UNAVAILABLE,
  chain_broken: UNAVAILABLE,
  fenced: UNAVAILABLE,
  schema_conflict: UNAVAILABLE,
  encode_failed: UNAVAILABLE,
  quarantine_exhausted: UNAVAILABLE,
  invalid_file: UNAVAILABLE,
  invalid_query: UNAVAILABLE,
  kubernetes_unavailable: UNAVAILABLE,
} as const satisfies Record<string, ErrorAnswer>

export type ErrorCode = keyof typeof ERROR_ANSWERS

export interface AppErrorOptions {
  readonly cause?: unknown
  /** The values that the message speaks of: what and where. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** An expected failure. Messages are lower case without a final period; values go in `details`. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.details = options.details ?? {}
  }

  get answer(): ErrorAnswer {
    return ERROR_ANSWERS[this.code]
  }
}

/** What a catch block holds, as an AppError: anything unknown is a bug of ours and retryable. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error
  return new AppError('internal', 'unexpected error', { cause: error })
}
