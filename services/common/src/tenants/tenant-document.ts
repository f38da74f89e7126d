/** Where the document with the settings of tenants lies: a file, or one key of Redis. */
import { readFile } from 'node:fs/promises'

import type { RedisConfig } from '../config/redis-settings.ts'
import { AppError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { redisAddress } from '../metadata/redis-address.ts'
import { RedisConnection } from '../metadata/redis-connection.ts'
import { RedisKeyKind, redisKey } from '../metadata/redis-keys.ts'
import { REDIS_PLACE } from './key-place.ts'

export interface TenantDocument {
  /** @throws AppError metadata_unavailable; invalid_config where the file can not be read */
  read(): Promise<string>
  /** @throws AppError metadata_unavailable; invalid_config for a file: people write it */
  write(text: string): Promise<void>
  close(): void
}

export interface TenantDocumentPlace {
  /** A path, or REDIS_PLACE. */
  readonly place: string
  /** Undefined for a role that has no Redis. */
  readonly redis: RedisConfig | undefined
  readonly logger: Logger
}

/** @throws AppError invalid_config for Redis where the role has none */
export function openTenantDocument({ place, redis, logger }: TenantDocumentPlace): TenantDocument {
  if (place !== REDIS_PLACE) return fileDocument(place)
  if (redis === undefined) {
    throw new AppError('invalid_config', 'this role has no redis: settings come from a file')
  }
  const connection = new RedisConnection({
    address: redisAddress(redis),
    name: 'tenants',
    timeoutMs: redis.redisTimeoutMs,
    logger,
  })
  return redisDocument(connection, redis.redisPrefix)
}

function fileDocument(path: string): TenantDocument {
  return {
    async read() {
      try {
        return await readFile(path, 'utf8')
      } catch (cause) {
        throw new AppError('invalid_config', 'settings of tenants can not be read', {
          cause,
          details: { path },
        })
      }
    },
    write: () => Promise.reject(new AppError('invalid_config', 'edit the file itself')),
    close: () => undefined,
  }
}

/** An absent key is no document: Redis was emptied, or nobody has put one there yet. */
function redisDocument(connection: RedisConnection, prefix: string): TenantDocument {
  const key = redisKey(prefix, RedisKeyKind.tenants)
  return {
    async read() {
      const text = await connection.command('GET', key)
      if (typeof text === 'string') return text
      throw new AppError('metadata_unavailable', 'redis holds no settings of tenants')
    },
    async write(text) {
      await connection.command('SET', key, text)
    },
    close: () => {
      connection.close()
    },
  }
}
