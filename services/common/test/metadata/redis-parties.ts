/** Connections of tests to a Redis of their own. */
import type { RedisConnectionOptions } from '@tributary/common/metadata/redis-connection'
import { createLogger } from '@tributary/common/logger'
import { plainRedisAddress } from '@tributary/common/metadata/redis-address'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'

const READY_MS = 10_000

/** A connection that is ready; the caller closes it. */
export async function connectTo(
  server: { readonly host: string; readonly port: number },
  options: Partial<RedisConnectionOptions> = {},
): Promise<RedisConnection> {
  const connection = new RedisConnection({
    address: plainRedisAddress(server.host, server.port),
    name: 'test',
    timeoutMs: 5000,
    logger: createLogger({ name: 'test', level: 'silent' }),
    ...options,
  })
  await connection.untilReady(READY_MS)
  return connection
}
