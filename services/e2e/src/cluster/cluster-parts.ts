/**
 * The real parts that a test cluster stands on: three brokers, a Redis with its replica, an S3 server
 * behind a fault proxy. All answer on lines of the board, so that the network can fail between any two.
 */
import { createLogger } from '@tributary/common/logger'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { startKafka, type KafkaServer } from '@tributary/common/testing/kafka-server'
import { S3FaultProxy } from '@tributary/common/testing/s3-fault-proxy'
import { startS3Server, type S3Server } from '@tributary/common/testing/s3-server'
import type { TcpProxy } from '@tributary/common/testing/tcp-proxy'

import type { LineBoard } from './line-board.ts'
import { RedisPair } from './redis-pair.ts'

export interface PartsOptions {
  readonly board: LineBoard
  readonly seed: number
  /** Without them a standalone process is all there is. */
  readonly hasCluster: boolean
  readonly partitions: number
  /** A store that was there before and stays afterwards; default one of its own. */
  readonly store?: S3Server
}

const BROKERS = 3
export const TOPIC = 'tributary'
const BUCKET_PREFIX = 'chaos'

export class ClusterParts {
  readonly store: S3Server
  readonly storeFaults: S3FaultProxy
  readonly isStoreOwn: boolean
  readonly kafka: KafkaServer | undefined
  readonly redis: RedisPair | undefined
  readonly partitions: number
  /** What routers and ingesters are told, each its own. */
  readonly brokersOf: Readonly<Record<'router' | 'ingester', readonly string[]>>

  private constructor(
    parts: Pick<
      ClusterParts,
      'store' | 'storeFaults' | 'isStoreOwn' | 'kafka' | 'redis' | 'partitions' | 'brokersOf'
    >,
  ) {
    this.store = parts.store
    this.storeFaults = parts.storeFaults
    this.isStoreOwn = parts.isStoreOwn
    this.kafka = parts.kafka
    this.redis = parts.redis
    this.partitions = parts.partitions
    this.brokersOf = parts.brokersOf
  }

  static async start(options: PartsOptions): Promise<ClusterParts> {
    const { board, seed, hasCluster, partitions } = options
    const store = options.store ?? (await startS3Server())
    const isStoreOwn = options.store === undefined
    const storeFaults = await S3FaultProxy.start(store, seed)
    if (!hasCluster) {
      const none = { kafka: undefined, redis: undefined, brokersOf: { router: [], ingester: [] } }
      return new ClusterParts({ store, storeFaults, isStoreOwn, partitions, ...none })
    }
    const lines = {
      router: await layBrokers(board, 'router'),
      ingester: await layBrokers(board, 'ingester'),
    }
    const kafka = await startKafka({
      brokers: BROKERS,
      isOwn: true,
      advertisedPorts: lines.router.map(({ port }) => port),
      advertisedSecurePorts: lines.ingester.map(({ port }) => port),
    })
    retarget(lines.router, kafka.brokers)
    retarget(lines.ingester, kafka.secureBrokers)
    await kafka.createTopic(TOPIC, { partitions })
    const addresses = (proxies: readonly TcpProxy[]): string[] =>
      proxies.map(({ port }) => `127.0.0.1:${String(port)}`)
    return new ClusterParts({
      ...{ store, storeFaults, isStoreOwn, kafka, partitions },
      redis: await RedisPair.start(),
      brokersOf: { router: addresses(lines.router), ingester: addresses(lines.ingester) },
    })
  }

  get storeUrl(): string {
    return `s3://${this.store.bucket}/${BUCKET_PREFIX}`
  }

  /** What the AWS client of a process takes from its environment. */
  get storeEnvironment(): Readonly<Record<string, string>> {
    const { accessKeyId, secretAccessKey } = this.store.credentials
    return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
  }

  /** The store as the judge sees it: with no fault between. */
  openStore(): Promise<ObjectStore> {
    const { endpoint, region, credentials } = this.store
    const logger = createLogger({ name: 'judge', level: 'error' })
    return openObjectStore(this.storeUrl, { endpoint, region, credentials, logger })
  }

  async stop(): Promise<void> {
    await this.kafka?.stop()
    await this.redis?.stop()
    await this.storeFaults.stop()
    if (this.isStoreOwn) await this.store.stop()
  }
}

function layBrokers(board: LineBoard, from: 'router' | 'ingester'): Promise<TcpProxy[]> {
  const ids = Array.from({ length: BROKERS }, (_, index) => String(index + 1))
  return Promise.all(ids.map((id) => board.lay(from, 'broker', `${from}s broker-${id}`)))
}

function retarget(proxies: readonly TcpProxy[], addresses: readonly string[]): void {
  proxies.forEach((proxy, index) => proxy.retarget(Number(addresses[index]!.split(':')[1])))
}
