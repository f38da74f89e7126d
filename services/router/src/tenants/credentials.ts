/** Wires the check of credentials of a process, by its settings. */
import type { Clock } from '@tributary/common/clock'
import type { RedisConfig } from '@tributary/common/config/redis-settings'
import type { Logger } from '@tributary/common/logger'
import { Gauge, type Registry } from '@tributary/common/metrics'
import { openKeyStore, REDIS_PLACE } from '@tributary/common/tenants/key-place'

import { Authenticator } from './authenticator.ts'
import { KeyCache } from './key-cache.ts'

export interface CredentialsOptions {
  /** Where API keys are, see openKeyStore; undefined: none are asked for. */
  readonly apiKeys: string | undefined
  readonly apiKeyStaleMaxMs: number
  /** Client certificates name tenants, see receive/receiver-tls.ts. */
  readonly areCertificatesNamed: boolean
  /** Undefined for a role that has none. */
  readonly redis?: RedisConfig | undefined
  readonly clock: Clock
  readonly logger: Logger
  readonly registry: Registry
}

export interface Credentials {
  /** Undefined where whoever calls names the tenant. */
  readonly authenticator: Authenticator | undefined
  close(): Promise<void>
}

/**
 * @throws AppError credentials_unavailable where the file of keys can not be read at the start (Redis
 *   may come later: clients are told to retry until then); invalid_config for Redis without one
 */
export async function openCredentials(options: CredentialsOptions): Promise<Credentials> {
  const { apiKeys, apiKeyStaleMaxMs, areCertificatesNamed, clock, logger, registry } = options
  if (apiKeys === undefined) {
    return {
      authenticator: areCertificatesNamed
        ? new Authenticator({ keys: undefined, areCertificatesNamed })
        : undefined,
      close: () => Promise.resolve(),
    }
  }
  const store = openKeyStore({ place: apiKeys, redis: options.redis, clock, logger })
  // a mistyped path is told now, not by every answer
  if (apiKeys !== REDIS_PLACE) await store.find([])
  const keys = new KeyCache({ store, clock, logger, staleMaxMs: apiKeyStaleMaxMs })
  exposeKeys(registry, keys)
  keys.start()
  return {
    authenticator: new Authenticator({ keys, areCertificatesNamed }),
    close: async () => {
      await keys.stop()
      await store.close()
    },
  }
}

function exposeKeys(registry: Registry, keys: KeyCache): void {
  const registers = [registry]
  new Gauge({
    name: 'tributary_credentials_keys',
    help: 'API keys in use that are known to be good',
    registers,
    collect() {
      this.set(keys.size)
    },
  })
  new Gauge({
    name: 'tributary_credentials_store_away',
    help: '1 while the API keys can not be read: new keys are told to retry, revoked ones may work',
    registers,
    collect() {
      this.set(keys.isStoreAway ? 1 : 0)
    },
  })
  new Gauge({
    name: 'tributary_credentials_keys_lost',
    help: 'API keys in use whose record the key store lost, not revoked: must be 0',
    registers,
    collect() {
      this.set(keys.lostRecords)
    },
  })
}
