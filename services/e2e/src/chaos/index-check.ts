/** C2: once all is quiet, the file index in Redis becomes what the chains say, by itself. */
import { setTimeout as sleep } from 'node:timers/promises'

import { checkIndexDrift, type IndexDrift } from '@tributary/common/catalogue/index-drift'
import { RedisFileIndex } from '@tributary/common/catalogue/redis-file-index'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { storeIdentity } from '@tributary/common/object-store/store-identity'

import { connectToRedis } from '../cluster/redis-client.ts'

const WAIT_MS = 60_000
const POLL_MS = 500

/** What still differs after the time that reconciling may take; undefined: nothing. */
export async function findIndexDrift(
  store: ObjectStore,
  redisUrl: string,
): Promise<string | undefined> {
  const { connection, prefix } = await connectToRedis(redisUrl)
  const storeId = await storeIdentity(store)
  const index = new RedisFileIndex({ connection, prefix, storeId })
  let last: IndexDrift | string = 'never read'
  try {
    for (const until = performance.now() + WAIT_MS; performance.now() < until;) {
      last = await checkIndexDrift(index, store).catch((error: unknown) => String(error))
      if (typeof last !== 'string' && last.isTrue && last.behind === 0) return undefined
      await sleep(POLL_MS)
    }
    return JSON.stringify(last)
  } finally {
    connection.close()
  }
}
