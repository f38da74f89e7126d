/**
 * The ingester role: owns partitions of Kafka by lease and turns their records into files and commits.
 * It only wires; parts start bottom up and stop top down, so that partitions are given away before
 * store, log and Redis are closed. What is away at the start is waited for: the process is alive, not ready.
 */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { RedisFileIndex } from '@tributary/common/catalogue/redis-file-index'
import { systemClock } from '@tributary/common/clock'
import { tuneCollector } from '@tributary/common/collector-tuning'
import type { IngesterConfig } from '@tributary/common/config/ingester-settings'
import { AppError, toAppError } from '@tributary/common/errors'
import { nodeFileSystem } from '@tributary/common/file-system'
import { LIMITS } from '@tributary/common/limits'
import { KafkaPartitionLog, kafkaLogOptions } from '@tributary/common/log/kafka-partition-log'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { storeIdentity } from '@tributary/common/object-store/store-identity'
import { RoleProcess } from '@tributary/common/role-process'
import { FlushPool } from './flush/flush-pool.ts'
import { SchemaCache } from './flush/schema-cache.ts'
import { emptySpool } from './flush/spool-folder.ts'
import { Ingester } from './ingester.ts'
import { flushSettingsOf } from './shared-parts.ts'

/** Between two tries to open what is away at the start. */
const OPEN_RETRY_MS = 1000
/** 28 bytes each: 28 MiB per partition at most, ten minutes of 1,700 chunks a second. */
const RETRY_WINDOW_ENTRIES_MAX = 1_000_000

/** Runs until a signal; returns the exit status. */
export function runIngester(config: IngesterConfig): Promise<number> {
  tuneCollector()
  return new IngesterRole(config).run()
}

class IngesterRole {
  readonly #config: IngesterConfig
  readonly #process: RoleProcess
  #log: KafkaPartitionLog | undefined
  #store: ObjectStore | undefined
  #pool: FlushPool | undefined
  #connections: RedisConnection[] = []
  #ingester: Ingester | undefined

  constructor(config: IngesterConfig) {
    this.#config = config
    this.#process = new RoleProcess({
      name: 'ingester',
      config,
      logLevel: config.logLevel,
      isReady: () => this.#ingester?.isReady === true,
      flush: async () => {
        if (this.#ingester === undefined) throw new AppError('not_ready', 'starting')
        await this.#ingester.flush()
        return 'flushed'
      },
    })
  }

  run(): Promise<number> {
    this.#process.addAdmin()
    this.#process.add({
      name: 'object store',
      start: () => this.#openStore(),
      stop: () => this.#store?.close(),
    })
    this.#process.add({
      name: 'log',
      start: () => this.#openLog(),
      stop: () => this.#log?.close(),
    })
    this.#process.add({
      name: 'redis',
      start: () => undefined,
      stop: () => {
        for (const connection of this.#connections) connection.close()
      },
    })
    this.#process.add({
      name: 'flush workers',
      start: () => this.#openPool(),
      stop: () => this.#pool?.close(),
    })
    this.#process.add({
      name: 'partitions',
      start: () => this.#startIngester(),
      stop: () => this.#ingester?.stop(),
    })
    return this.#process.run()
  }

  async #openStore(): Promise<void> {
    const { objectStore, objectStoreEndpoint, objectStoreRegion, dataDir } = this.#config
    await mkdir(dataDir, { recursive: true })
    this.#store = await openObjectStore(objectStore!, {
      ...(objectStoreEndpoint === undefined ? {} : { endpoint: objectStoreEndpoint }),
      region: objectStoreRegion,
      logger: this.#process.logger,
    })
    await this.#untilAvailable('object store', async () => {
      await this.#store!.probe()
    })
  }

  async #openLog(): Promise<void> {
    await this.#untilAvailable('log', async () => {
      this.#log = await KafkaPartitionLog.open(kafkaLogOptions(this.#config))
    })
  }

  async #untilAvailable(what: string, open: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await open()
        return
      } catch (error) {
        const failure = toAppError(error)
        if (failure.code === 'invalid_config' || failure.code === 'store_unfit') throw failure
        if (this.#process.isStopping) throw new AppError('draining', `stopped before ${what} came`)
        this.#process.logger.error({ err: failure, what }, 'can not be opened yet')
        await systemClock.sleep(OPEN_RETRY_MS)
      }
    }
  }

  async #openPool(): Promise<void> {
    const schemas = new SchemaCache(this.#store!, LIMITS.tenantsMax * 3)
    this.#pool = new FlushPool({
      workers: this.#config.flushWorkers,
      spoolDirectory: await emptySpool(nodeFileSystem, this.#config.dataDir),
      schemaOf: (tenant, signal, wanted) => schemas.resolveOrExtend(tenant, signal, wanted),
      clock: systemClock,
      logger: this.#process.logger,
      observe: () => undefined,
    })
  }

  #connect(name: string): RedisConnection {
    const address = redisAddress(this.#config)
    const timeoutMs = this.#config.redisTimeoutMs
    const connection = new RedisConnection({
      ...{ address, name, timeoutMs, logger: this.#process.logger },
    })
    this.#connections.push(connection)
    return connection
  }

  async #startIngester(): Promise<void> {
    const config = this.#config
    const { logger, registry } = this.#process
    const storeId = await storeIdentity(this.#store!)
    const prefix = config.redisPrefix
    this.#ingester = await Ingester.start(
      {
        log: this.#log!,
        metadata: new RedisClusterMetadata({ connection: this.#connect('leases'), prefix }),
        store: this.#store!,
        encoder: this.#pool!,
        fs: nodeFileSystem,
        clock: systemClock,
        logger,
        registry,
        randomBytes: (count) => randomBytes(count),
        index: new RedisFileIndex({ connection: this.#connect('index'), prefix, storeId }),
      },
      {
        name: config.memberName ?? hostname(),
        address: `${config.host}:${String(config.adminGrpcPort)}`,
        directory: config.dataDir,
        memtableBytesMax: config.memtableBytesMax,
        walBytesMax: config.walBytesMax,
        walSegmentBytesMax: config.walSegmentBytesMax,
        beatIntervalMs: config.beatIntervalMs,
        memberTimeToLiveMs: config.memberTimeToLiveMs,
        handOverTimeoutMs: config.handOverTimeoutMs,
        gapPolicy: config.gapPolicy,
        quarantinePerHourMax: config.quarantinePerHourMax,
        partition: { ...config, retryWindowEntriesMax: RETRY_WINDOW_ENTRIES_MAX },
        flush: flushSettingsOf(config),
      },
    )
    logger.info({ ports: { admin: this.#process.adminPort }, logId: this.#log!.logId }, 'ready')
  }
}
