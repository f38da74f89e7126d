/** A connection of the harness's own to the Redis of a test cluster, with the prefix of its keys. */
import { redisSettings } from '@tributary/common/config/redis-settings'
import { parseSettings } from '@tributary/common/config/setting-table'
import { createLogger } from '@tributary/common/logger'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'

const TIMEOUT_MS = 5000

/** The caller closes the connection. */
export function connectToRedis(redisUrl: string): {
  readonly connection: RedisConnection
  readonly prefix: string
} {
  const { config } = parseSettings(redisSettings, { args: [`--redis-url=${redisUrl}`] })
  const connection = new RedisConnection({
    address: redisAddress(config),
    name: 'harness',
    timeoutMs: TIMEOUT_MS,
    logger: createLogger({ name: 'harness', level: 'silent' }),
  })
  return { connection, prefix: config.redisPrefix }
}
