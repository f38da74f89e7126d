import { after, before, describe } from 'node:test'
import type { ClusterMetadata } from '@tributary/common/metadata/cluster-metadata'

import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisServer } from '@tributary/common/testing/redis-server'
import type { ContractStore } from './cluster-metadata-contract.ts'
import { connectTo } from './redis-parties.ts'
import { ManualClock, describeContract } from './cluster-metadata-contract.ts'

describe('RedisClusterMetadata', () => {
  let server: RedisServer
  const opened: ClusterMetadata[] = []
  before(async () => {
    server = await RedisServer.start()
  })
  after(async () => {
    for (const metadata of opened) await metadata.close()
    await server.stop()
  })

  let stores = 0
  describeContract(() => {
    const prefix = `contract-${++stores}`
    const clock = new ManualClock()
    const store: ContractStore = {
      clock,
      connect: async () => {
        const connection = await connectTo(server)
        const metadata = new RedisClusterMetadata({ connection, prefix, clock })
        opened.push(metadata)
        return metadata
      },
      flushAll: async () => void (await server.admin.flushall()),
      backup: async () => {
        const keys = await server.admin.keys(`{${prefix}}:*`)
        const dumps = await Promise.all(keys.map((key) => server.admin.dumpBuffer(key)))
        return async () => {
          await server.admin.flushall()
          for (const [index, key] of keys.entries())
            await server.admin.restore(key, 0, dumps[index]!)
        }
      },
    }
    return Promise.resolve(store)
  })
})
