/** Opens the key store that a setting names. */
import type { Clock } from '../clock.ts'
import type { RedisConfig } from '../config/redis-settings.ts'
import { AppError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { redisAddress } from '../metadata/redis-address.ts'
import { RedisConnection } from '../metadata/redis-connection.ts'
import { KeyFile } from './key-file.ts'
import type { KeyStore } from './key-store.ts'
import { RedisKeyStore } from './redis-key-store.ts'

/** The word that stands for the Redis of the cluster in the place of a file. */
export const REDIS_PLACE = 'redis'

export interface KeyPlace {
  /** A path, or REDIS_PLACE. */
  readonly place: string
  /** Undefined for a role that has no Redis. */
  readonly redis: RedisConfig | undefined
  readonly clock: Clock
  readonly logger: Logger
}

/** @throws AppError invalid_config for Redis where the role has none */
export function openKeyStore({ place, redis, clock, logger }: KeyPlace): KeyStore {
  if (place !== REDIS_PLACE) return new KeyFile(place, clock)
  if (redis === undefined) {
    throw new AppError('invalid_config', 'this role has no redis: keys come from a file')
  }
  const connection = new RedisConnection({
    address: redisAddress(redis),
    name: 'keys',
    timeoutMs: redis.redisTimeoutMs,
    logger,
  })
  return new RedisKeyStore({ connection, prefix: redis.redisPrefix, clock })
}
