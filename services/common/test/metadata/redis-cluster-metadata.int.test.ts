import { after, before, describe } from 'node:test'
import type { ClusterMetadata } from '@tributary/common/metadata/cluster-metadata'

import { createLogger } from '@tributary/common/logger'
import { plainRedisAddress } from '@tributary/common/metadata/redis-address'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'
import { RedisServer } from '@tributary/common/testing/redis-server'
import type { ContractStore } from './cluster-metadata-contract.ts'
import { ManualClock, describeContract } from './cluster-metadata-contract.ts'

const logger = createLogger({ name: 'test', level: 'silent' })

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
        const address = plainRedisAddress(server.host, server.port)
        const connection = new RedisConnection({ address, name: 'test', timeoutMs: 5000, logger })
        await connection.untilReady(5000)
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
