/**
 * The ingester role: partitions of Kafka in, files and commits out. What it knows of the others comes
 * from Redis; while that is gone it goes on with what it owns. It only wires; parts start bottom up and
 * stop top down, so that partitions are given away before anything that they need is closed.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { RedisFileIndex } from '@tributary/common/catalogue/redis-file-index'
import { systemClock } from '@tributary/common/clock'
import { tuneCollector } from '@tributary/common/collector-tuning'
import type { IngesterConfig } from '@tributary/common/config/ingester-settings'
import { objectStoreUrl } from '@tributary/common/config/settings'
import { openDataDirectory, type DataDirectory } from '@tributary/common/data-directory'
import { AppError, toAppError } from '@tributary/common/errors'
import { nodeFileSystem } from '@tributary/common/file-system'
import { LIMITS } from '@tributary/common/limits'
import { openKafkaLog } from '@tributary/common/log/kafka-opening'
import type { KafkaPartitionLog } from '@tributary/common/log/kafka-partition-log'
import { advertisedHost } from '@tributary/common/metadata/member-identity'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'
import { MeteredObjectStore } from '@tributary/common/object-store/metered-object-store'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { storeIdentity } from '@tributary/common/object-store/store-identity'
import { RoleProcess } from '@tributary/common/role-process'
import { OrphanSweeper } from '@tributary/common/verify/orphan-sweeper'
import { FlushPool } from './flush/flush-pool.ts'
import { SchemaCache } from './flush/schema-cache.ts'
import { emptySpool } from './flush/spool-folder.ts'
import { Ingester, type IngesterParts } from './ingester.ts'
import { IngesterMetrics } from './metrics.ts'
import { ingesterService } from './serve/ingester-service.ts'
import { flushSettingsOf } from './shared-parts.ts'
import { TableWidths } from './table-widths.ts'

/** Between two tries to reach the store at the start. */
const PROBE_RETRY_MS = 1000
/** Of the time that a stop may take: the rest is for what is under way and for closing. */
const HAND_OVER_SHARE = 0.6
/** 28 bytes each, per partition: 14 MiB at most, ten minutes of 800 chunks a second. */
const RETRY_WINDOW_ENTRIES_MAX = 500_000

/** Runs until a signal; returns the exit status. */
export function runIngester(config: IngesterConfig): Promise<number> {
  tuneCollector()
  return new IngesterRole(config).run()
}

class IngesterRole {
  readonly #config: IngesterConfig
  readonly #process: RoleProcess
  #data: DataDirectory | undefined
  #store: ObjectStore | undefined
  #log: KafkaPartitionLog | undefined
  #connections: RedisConnection[] = []
  #encoder: FlushPool | undefined
  #ingester: Ingester | undefined
  #sweeper: OrphanSweeper | undefined

  constructor(config: IngesterConfig) {
    this.#config = config
    this.#process = new RoleProcess({
      name: 'ingester',
      config,
      logLevel: config.logLevel,
      isReady: () => this.#ingester?.isReady === true,
      notReadyReason: () => this.#ingester?.notReadyReason,
      flush: () => this.#flush(),
      services: [
        ingesterService({
          ingester: () => this.#ingester,
          logger: () => this.#process.logger,
        }),
      ],
    })
  }

  run(): Promise<number> {
    this.#process.add({
      name: 'data directory',
      start: async () => {
        this.#data = await openDataDirectory(this.#config.dataDir)
      },
      stop: () => this.#data?.release(),
    })
    this.#process.addAdmin()
    this.#addOutside()
    this.#process.add({
      name: 'ingester',
      start: () => this.#startIngester(),
      stop: () => this.#stopIngester(),
    })
    this.#process.add({
      name: 'orphan sweeper',
      start: () => {
        this.#startSweeper()
      },
      stop: () => this.#sweeper?.stop(),
    })
    return this.#process.run()
  }

  #addOutside(): void {
    const { logger } = this.#process
    this.#process.add({
      name: 'object store',
      start: () => this.#openStore(),
      stop: () => this.#store?.close(),
    })
    this.#process.add({
      name: 'log',
      start: async () => {
        this.#log = await openKafkaLog({
          config: this.#config,
          clock: systemClock,
          logger,
          isStopping: () => this.#process.isStopping,
        })
      },
      stop: () => this.#log?.close(),
    })
    this.#process.add({
      name: 'redis',
      stop: () => {
        for (const connection of this.#connections) connection.close()
      },
    })
  }

  async #openStore(): Promise<void> {
    const { objectStoreEndpoint, objectStoreRegion } = this.#config
    const { registry } = this.#process
    const store = await openObjectStore(objectStoreUrl(this.#config), {
      ...(objectStoreEndpoint === undefined ? {} : { endpoint: objectStoreEndpoint }),
      region: objectStoreRegion,
      logger: this.#process.logger,
    })
    this.#store = new MeteredObjectStore(store, { registry, clock: systemClock })
    await this.#untilProbed(this.#store)
  }

  /** What is away at the start is waited for: the process is alive, not ready. */
  async #untilProbed(store: ObjectStore): Promise<void> {
    for (;;) {
      try {
        await store.probe()
        return
      } catch (error) {
        const failure = toAppError(error)
        if (failure.code !== 'store_unavailable') throw failure
        if (this.#process.isStopping)
          throw new AppError('draining', 'stopped before the store came')
        this.#process.logger.error({ err: failure }, 'the store can not be reached yet')
        await systemClock.sleep(PROBE_RETRY_MS)
      }
    }
  }

  async #startIngester(): Promise<void> {
    const parts = await this.#openParts()
    const config = this.#config
    const { advertiseHost, host } = config
    // a port of 0 was taken by the admin part before
    const port = this.#process.adminGrpcPort
    this.#ingester = await Ingester.start(parts, {
      ...config,
      name: config.memberName ?? hostname(),
      address: `${advertisedHost(advertiseHost, host)}:${String(port)}`,
      directory: this.#data!.path,
      partition: { ...config, retryWindowEntriesMax: RETRY_WINDOW_ENTRIES_MAX },
      flush: flushSettingsOf(config),
    })
    const { logId, topic, partitionCount } = this.#log!
    const { member } = this.#ingester
    const ports = { admin: this.#process.adminPort, adminGrpc: port }
    const places = { store: this.#store!.url, data: this.#data!.path }
    this.#process.logger.info({ ports, member, logId, topic, partitionCount, ...places }, 'ready')
  }

  /** A store that is silent is not waited for: what it did not answer is in Kafka, and is committed again. */
  async #stopIngester(): Promise<void> {
    const ending = new AbortController()
    const waitMs = HAND_OVER_SHARE * this.#config.stopTimeoutMs
    const giveUp = systemClock.sleep(waitMs, ending.signal).then(() => this.#store?.close())
    giveUp.catch(() => undefined)
    await this.#ingester?.stop(waitMs)
    ending.abort()
    await this.#encoder?.close()
  }

  async #openParts(): Promise<IngesterParts> {
    const { logger, registry } = this.#process
    const { redisPrefix: prefix, flushWorkers } = this.#config
    const store = this.#store!
    const storeId = await storeIdentity(store)
    const widths = new TableWidths(registry, systemClock)
    const schemas = new SchemaCache(store, LIMITS.tenantsMax * 3, widths.keysKnown.bind(widths))
    const metrics = new IngesterMetrics(registry)
    this.#encoder = new FlushPool({
      workers: flushWorkers,
      spoolDirectory: await emptySpool(nodeFileSystem, this.#data!.path),
      schemaOf: (tenant, signal, wanted) => schemas.resolveOrExtend(tenant, signal, wanted),
      clock: systemClock,
      logger,
      observe: metrics.stage.bind(metrics),
      onWritten: ({ tenant, signal, partition }, { streams }) => {
        widths.streamsWritten(tenant, signal, partition, streams)
      },
    })
    this.#encoder.start()
    return {
      log: this.#log!,
      // apart: what is slow on one must not make a beat late on the other
      metadata: new RedisClusterMetadata({ connection: this.#connect('members'), prefix }),
      index: new RedisFileIndex({ connection: this.#connect('index'), prefix, storeId }),
      store,
      encoder: this.#encoder,
      fs: nodeFileSystem,
      clock: systemClock,
      logger,
      registry,
      metrics,
      randomBytes: (count) => randomBytes(count),
      busy: () => ({
        loopBusySeconds: performance.eventLoopUtilization().active / 1000,
        flushBusySeconds: this.#encoder?.busySeconds ?? 0,
      }),
      tracing: this.#process.tracing,
    }
  }

  #connect(name: string): RedisConnection {
    const { logger } = this.#process
    const address = redisAddress(this.#config)
    const timeoutMs = this.#config.redisTimeoutMs
    const connection = new RedisConnection({ address, name, timeoutMs, logger })
    this.#connections.push(connection)
    return connection
  }

  /** Whoever owns the first partition sweeps: one at a time, and nobody has to be asked. */
  #startSweeper(): void {
    this.#sweeper = new OrphanSweeper({
      store: this.#store!,
      clock: systemClock,
      logger: this.#process.logger,
      isOurs: () => this.#ingester?.slots[0]?.state === 'owned',
    })
    this.#sweeper.start()
  }

  async #flush(): Promise<string> {
    const ingester = this.#ingester
    if (ingester === undefined) throw new AppError('not_ready', 'the ingester is starting')
    const before = ingester.committedFiles
    await ingester.flush()
    return `flushed: ${String(ingester.committedFiles - before)} new files`
  }
}
