/** A connection of the harness's own to the Redis of a test cluster, with the prefix of its keys. */
import { setTimeout as sleep } from 'node:timers/promises'

import { redisSettings } from '@tributary/common/config/redis-settings'
import { parseSettings } from '@tributary/common/config/setting-table'
import { createLogger } from '@tributary/common/logger'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'

const TIMEOUT_MS = 5000
const READY_WAIT_MS = 20_000
const POLL_MS = 50

/** Resolves when the server answers. The caller closes the connection. */
export async function connectToRedis(redisUrl: string): Promise<{
  readonly connection: RedisConnection
  readonly prefix: string
}> {
  const { config } = parseSettings(redisSettings, { args: [`--redis-url=${redisUrl}`] })
  const connection = new RedisConnection({
    address: redisAddress(config),
    name: 'harness',
    timeoutMs: TIMEOUT_MS,
    logger: createLogger({ name: 'harness', level: 'silent' }),
  })
  for (const until = performance.now() + READY_WAIT_MS; ;) {
    try {
      await connection.command('PING')
      return { connection, prefix: config.redisPrefix }
    } catch (error) {
      if (performance.now() < until) await sleep(POLL_MS)
      else {
        connection.close()
        throw error
      }
    }
  }
}
