/**
 * The tenants of a process, wired by its settings: their accounts, and the document that says what
 * each may do, read again and again. A document that can not be read or understood changes nothing:
 * the one before holds, and `tributary_tenants_settings_broken` says so. Before the first one from
 * Redis nobody is let in: what a tenant may do is not guessed.
 */
import type { Clock, Timer } from '@tributary/common/clock'
import type { RedisConfig } from '@tributary/common/config/redis-settings'
import type { Logger } from '@tributary/common/logger'
import { Counter, Gauge, type Registry } from '@tributary/common/metrics'
import { REDIS_PLACE } from '@tributary/common/tenants/key-place'
import { openTenantDocument, type TenantDocument } from '@tributary/common/tenants/tenant-document'
import {
  defaultPolicy,
  parseTenantPolicies,
  policyForAll,
  type TenantPolicy,
} from '@tributary/common/tenants/tenant-policy'

import { TenantDirectory } from './tenant-directory.ts'

export interface TenantsOptions {
  readonly tenantsMax: number
  /** Where the document is, see openTenantDocument; undefined: all have the policy of the process. */
  readonly tenantSettings: string | undefined
  readonly itemAgeMaxMs: number
  readonly itemAheadMaxMs: number
  /** Undefined for a role that has none. */
  readonly redis?: RedisConfig | undefined
  /** How many routers take telemetry now, this one included; default 1. */
  readonly liveRouters?: (() => number) | undefined
  readonly clock: Clock
  readonly logger: Logger
  readonly registry: Registry
}

export interface Tenants {
  readonly directory: TenantDirectory
  close(): Promise<void>
}

const RELOAD_INTERVAL_MS = 5000
/** As often as members beat. */
const SHARE_INTERVAL_MS = 1000

/** @throws AppError invalid_config for a file that can not be read or understood at the start */
export async function openTenants(options: TenantsOptions): Promise<Tenants> {
  const { tenantsMax, tenantSettings, itemAgeMaxMs, itemAheadMaxMs, clock, logger } = options
  const base = defaultPolicy({ itemAgeMaxMs, itemAheadMaxMs })
  const isOpen = tenantSettings === undefined
  const policies = isOpen ? policyForAll(base) : undefined
  const directory = new TenantDirectory({ tenantsMax, policies, clock })
  const watch = isOpen
    ? undefined
    : new TenantSettingsWatch({
        document: openTenantDocument({ place: tenantSettings, redis: options.redis, logger }),
        base,
        directory,
        clock,
        logger,
      })
  if (tenantSettings !== undefined && tenantSettings !== REDIS_PLACE) await watch?.load()
  exposeTenants(options.registry, directory, watch)
  watch?.start()
  directory.start()
  const { liveRouters } = options
  const sharing =
    liveRouters &&
    clock.every(SHARE_INTERVAL_MS, () => {
      directory.shareWith(liveRouters())
    })
  return {
    directory,
    close: async () => {
      sharing?.cancel()
      directory.stop()
      await watch?.stop()
    },
  }
}

export interface TenantSettingsWatchOptions {
  readonly document: TenantDocument
  readonly base: TenantPolicy
  readonly directory: Pick<TenantDirectory, 'use'>
  readonly clock: Clock
  readonly logger: Logger
}

export class TenantSettingsWatch {
  readonly #options: TenantSettingsWatchOptions
  #text: string | undefined
  #isBroken = false
  #timer: Timer | undefined
  #loading: Promise<void> | undefined

  constructor(options: TenantSettingsWatchOptions) {
    this.#options = options
  }

  /** What lies there can not be used; what was read before is. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  start(): void {
    const load = (): void => {
      this.#loading ??= this.reload().finally(() => {
        this.#loading = undefined
      })
    }
    load()
    this.#timer = this.#options.clock.every(RELOAD_INTERVAL_MS, load)
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#loading
    this.#options.document.close()
  }

  /** Looks now; never throws. */
  async reload(): Promise<void> {
    const { logger } = this.#options
    try {
      await this.load()
      this.#isBroken = false
    } catch (error) {
      if (!this.#isBroken) {
        logger.error({ err: error }, 'settings of tenants can not be used, those before hold')
      }
      this.#isBroken = true
    }
  }

  /** @throws AppError invalid_config, metadata_unavailable */
  async load(): Promise<void> {
    const { document, base, directory, logger } = this.#options
    const text = await document.read()
    if (text === this.#text) return
    directory.use(parseTenantPolicies(text, base))
    if (this.#text !== undefined) logger.info('settings of tenants changed')
    this.#text = text
  }
}

function exposeTenants(
  registry: Registry,
  directory: TenantDirectory,
  watch: TenantSettingsWatch | undefined,
): void {
  const registers = [registry]
  new Gauge({
    name: 'tributary_tenants',
    help: 'Tenants that wrote within the last hour',
    registers,
    collect() {
      this.set(directory.size)
    },
  })
  new Counter({
    name: 'tributary_tenants_refused_total',
    help: 'Calls of tenants for whom there was no place: see --tenants-max',
    registers,
    collect() {
      this.reset()
      this.inc(directory.refusals)
    },
  })
  new Gauge({
    name: 'tributary_tenants_settings_broken',
    help: '1 while settings of tenants can not be read or understood and older ones hold: must be 0',
    registers,
    collect() {
      this.set(watch?.isBroken === true ? 1 : 0)
    },
  })
}
