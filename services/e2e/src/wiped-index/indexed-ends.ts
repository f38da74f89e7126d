/** How far the file index has the chains of a store. */
import { RedisFileIndex } from '@tributary/common/catalogue/redis-file-index'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { storeIdentity } from '@tributary/common/object-store/store-identity'
import { partitionPath } from '@tributary/common/paths'

import type { ChainEnd } from '../cluster/chain-ends.ts'
import { connectToRedis } from '../cluster/redis-client.ts'
import { untilSo } from '../cluster/small-cluster.ts'

/** Waits until the index has all of these commits. @throws Error after `timeoutMs` */
export async function untilIndexed(
  store: ObjectStore,
  redisUrl: string,
  ends: readonly ChainEnd[],
  timeoutMs: number,
): Promise<void> {
  const { connection, prefix } = await connectToRedis(redisUrl)
  const index = new RedisFileIndex({ connection, prefix, storeId: await storeIdentity(store) })
  const missing = async (): Promise<string[]> => {
    const { chains } = await index.state()
    return ends
      .map(({ id, end }) => [partitionPath(id), end] as const)
      .filter(([path, end]) => (chains.get(path)?.end ?? 0n) < end)
      .map(([path]) => path)
  }
  try {
    await untilSo(missing, (paths) => paths.length === 0, timeoutMs)
  } finally {
    connection.close()
  }
}
