import type { Clock } from '@tributary/common/clock'
import type { Logger } from '@tributary/common/logger'
import type { Tracing } from '@tributary/common/tracing'

import type { Admission } from '../admission.ts'
import type { ExportHandler } from '../export-handler.ts'
import type { Authenticator } from '../tenants/authenticator.ts'
import type { TenantDirectory } from '../tenants/tenant-directory.ts'
import type { ReceiverMetrics } from './receiver-metrics.ts'
import type { ReceiverLimits } from './receiver-limits.ts'
import type { ReceiverTls } from './receiver-tls.ts'

export interface ReceiverOptions {
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
  readonly handler: ExportHandler
  /** Shared by all receivers of the process. */
  readonly admission: Admission
  /** Overrides of RECEIVER_LIMITS. */
  readonly limits?: Partial<ReceiverLimits>
  /** Shared by all receivers of the process. */
  readonly tenants: TenantDirectory
  /** Undefined: plain text. */
  readonly tls?: ReceiverTls | undefined
  /** Undefined: whoever calls names the tenant. */
  readonly authenticator?: Authenticator | undefined
  readonly logger: Logger
  readonly metrics: ReceiverMetrics
  readonly clock: Clock
  /** Undefined: no call is traced. */
  readonly tracing?: Tracing | undefined
  /** Uniform in [0, 1), for jitter. */
  readonly random?: () => number
}

/** A listening server of one transport. */
export interface Receiver {
  /** The port listened on, after `start`. */
  readonly port: number
  /** @throws AppError invalid_config when the address cannot be listened on */
  start(): Promise<void>
  /**
   * Stops accepting: new calls are answered retryable, those in flight get `graceMs` to finish and
   * are answered retryable then. Resolves when every connection is closed.
   */
  drain(graceMs: number): Promise<void>
  /** Ends everything now; calls in flight get no answer. */
  close(): Promise<void>
}
