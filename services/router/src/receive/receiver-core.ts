import type { Logger } from '@tributary/common/logger'
import type { Clock } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'
import type { Tracing } from '@tributary/common/tracing'

import type { Admission, Reservation } from '../admission.ts'
import { tenantOf, type CallHeaders } from '../tenant-header.ts'
import type { Authenticator, Caller } from '../tenants/authenticator.ts'
import type { TenantDirectory } from '../tenants/tenant-directory.ts'
import { BodyPool } from './body-pool.ts'
import { ExportPipeline } from './export-pipeline.ts'
import { RECEIVER_LIMITS } from './receiver-limits.ts'
import type { ReceiverLimits } from './receiver-limits.ts'
import type { PeerTenant } from './receiver-tls.ts'
import type { ReceiverMetrics } from './receiver-metrics.ts'
import type { ReceiverOptions } from './receiver.ts'

/** What the calls of one receiver share. */
export class ReceiverCore {
  readonly limits: ReceiverLimits
  readonly admission: Admission
  readonly metrics: ReceiverMetrics
  readonly logger: Logger
  readonly pipeline: ExportPipeline
  readonly bodies = new BodyPool()
  readonly random: () => number
  readonly tracing: Tracing | undefined
  readonly #authenticator: Authenticator | undefined
  readonly #tenants: TenantDirectory
  readonly #clock: Clock
  #isDraining = false

  constructor(options: ReceiverOptions) {
    this.limits = { ...RECEIVER_LIMITS, ...options.limits }
    this.admission = options.admission
    this.metrics = options.metrics
    this.logger = options.logger
    this.random = options.random ?? Math.random
    this.tracing = options.tracing
    this.#authenticator = options.authenticator
    this.#tenants = options.tenants
    this.#clock = options.clock
    this.pipeline = new ExportPipeline({ ...options, limits: this.limits })
  }

  get nowMs(): number {
    return this.#clock.monotonicMs()
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  drain(): void {
    this.#isDraining = true
  }

  /**
   * Whose rows a call brings; a promise only where the key store has to be asked.
   * @throws AppError unauthenticated, permission_denied, credentials_unavailable, invalid_tenant
   */
  identify(headers: CallHeaders, peer: PeerTenant | undefined): Caller | Promise<Caller> {
    return this.#authenticator === undefined
      ? { tenant: tenantOf(headers), credential: undefined }
      : this.#authenticator.identify(headers, peer?.get())
  }

  /**
   * Lets a call in, before any of its body is read.
   * @throws AppError draining, overloaded, over_rate, tenants_exhausted, permission_denied, not_ready
   */
  admit(tenant: string, bytes: number): Reservation {
    if (this.#isDraining) throw new AppError('draining', 'server is shutting down')
    return this.admission.reserve(bytes, this.#tenants.enter(tenant))
  }
}
