/**
 * Tributary as one process: receivers, batcher and one partition, with the WAL's own sequence in
 * the place of Kafka's offsets. It only wires; parts start bottom up and stop top down, so that what
 * was accepted is flushed and committed before the log closes.
 */
import { systemClock } from '@tributary/common/clock'
import { tuneCollector } from '@tributary/common/collector-tuning'
import {
  objectStoreUrl,
  standaloneSettings,
  type StandaloneConfig,
} from '@tributary/common/config/settings'
import { openDataDirectory, type DataDirectory } from '@tributary/common/data-directory'
import { AppError } from '@tributary/common/errors'
import { LIMITS } from '@tributary/common/limits'
import { MeteredObjectStore } from '@tributary/common/object-store/metered-object-store'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { storeIdentity } from '@tributary/common/object-store/store-identity'
import { RoleProcess } from '@tributary/common/role-process'
import { OrphanSweeper } from '@tributary/common/verify/orphan-sweeper'
import {
  openStandalonePartition,
  type StandalonePartition,
} from '@tributary/ingester/standalone-partition'
import { Batcher } from '@tributary/router/batcher'
import type { ExportHandler } from '@tributary/router/export-handler'
import { createIngestHandler } from '@tributary/router/ingest-handler'
import { RouterMetrics } from '@tributary/router/metrics'
import { Receiving } from '@tributary/router/receiving'
import { printWelcome, type WelcomeFacts } from './welcome.ts'
import { StatusLine } from './status-line.ts'

/** The log of a standalone process has one topic and one partition. */
const TOPIC = 'standalone'
const PARTITION = 0
/** 28 bytes each: 28 MiB at most, ten minutes of 1,700 chunks a second. */
const RETRY_WINDOW_ENTRIES_MAX = 1_000_000

/** Runs until a signal or a fatal failure; returns the exit status. */
export function runStandalone(config: StandaloneConfig): Promise<number> {
  tuneCollector()
  return new Standalone(config, process.stdout.isTTY).run()
}

class Standalone {
  readonly #config: StandaloneConfig
  readonly #isTerminal: boolean
  readonly #process: RoleProcess
  readonly #metrics: RouterMetrics
  readonly #receiving: Receiving
  #data: DataDirectory | undefined
  #store: ObjectStore | undefined
  #partition: StandalonePartition | undefined
  #sweeper: OrphanSweeper | undefined

  constructor(config: StandaloneConfig, isTerminal: boolean) {
    this.#config = config
    this.#isTerminal = isTerminal
    this.#process = new RoleProcess({
      name: 'standalone',
      config,
      logLevel: isTerminal ? 'warn' : config.logLevel,
      isReady: () => this.#isReady(),
      notReadyReason: () => this.#partition?.appends.standstill?.message,
      flush: () => this.#flush(),
    })
    this.#metrics = new RouterMetrics(this.#process.registry)
    this.#receiving = new Receiving({
      process: this.#process,
      config,
      handler: () => this.#createHandler(),
      onServing: (ports) => {
        this.#welcome(ports)
      },
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
    this.#addStorage()
    this.#receiving.addParts()
    if (this.#isTerminal) this.#addStatusLine()
    return this.#process.run()
  }

  #addStorage(): void {
    const { logger } = this.#process
    this.#process.add({
      name: 'object store',
      start: () => this.#openStore(),
      stop: () => this.#store?.close(),
    })
    this.#process.add({
      name: 'partition',
      start: () => this.#openPartition(),
      stop: () => this.#partition?.close(),
    })
    this.#process.add({
      name: 'orphan sweeper',
      start: () => {
        this.#sweeper = new OrphanSweeper({ store: this.#store!, clock: systemClock, logger })
        this.#sweeper.start()
      },
      stop: () => this.#sweeper?.stop(),
    })
  }

  #addStatusLine(): void {
    const line = new StatusLine(process.stdout, () => ({
      items: this.#metrics.items,
      unflushedRows: this.#partition?.appends.unflushedRows ?? 0,
      files: this.#partition?.metrics.files ?? 0,
    }))
    this.#process.add({
      name: 'status line',
      start: () => {
        line.start()
      },
      stop: () => {
        line.stop()
      },
    })
  }

  /** Receivers stay open in a standstill: whoever comes all the same hears when to come again. */
  #isReady(): boolean {
    return this.#receiving.isServing && this.#partition?.appends.standstill === undefined
  }

  async #flush(): Promise<string> {
    const partition = this.#partition
    if (partition === undefined) throw new AppError('not_ready', 'the log is being recovered')
    const before = partition.metrics.files
    await partition.appends.flush()
    return `flushed: ${String(partition.metrics.files - before)} new files`
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
    await this.#store.probe()
  }

  async #openPartition(): Promise<void> {
    const store = this.#store!
    const data = this.#data!
    this.#partition = await openStandalonePartition({
      id: { logId: await storeIdentity(store), topic: TOPIC, partition: PARTITION },
      writer: data.writerId,
      store,
      directory: data.path,
      settings: { ...this.#config, retryWindowEntriesMax: RETRY_WINDOW_ENTRIES_MAX },
      clock: systemClock,
      logger: this.#process.logger,
      registry: this.#process.registry,
      tracing: this.#process.tracing,
      onFatal: (error) => {
        // the rows lie in the log for the next start
        this.#receiving.stopServing()
        this.#process.fail(error, 'the partition can not go on')
      },
    })
  }

  #createHandler(): ExportHandler {
    const { tenantsMax, walSync, walSyncIntervalMs } = this.#config
    return createIngestHandler({
      batcher: new Batcher({
        sink: this.#partition!.appends,
        clock: systemClock,
        batchBytesMax: LIMITS.batchBytesMax,
        batchRowsMax: LIMITS.batchRowsMax,
        tenantsMax,
        gatherMsMax: walSync === 'group' ? walSyncIntervalMs : 0,
      }),
      metrics: this.#metrics,
      clock: systemClock,
    })
  }

  #welcome({ grpc, http }: { readonly grpc: number; readonly http: number }): void {
    const ports = { grpc, http, admin: this.#process.adminPort }
    const storeUrl = this.#store!.url
    this.#process.logger.info({ ports, store: storeUrl, data: this.#data!.path }, 'ready')
    if (!this.#isTerminal) return
    printWelcome(process.stdout, this.#welcomeFacts(this.#config.host, ports, storeUrl))
  }

  #welcomeFacts(host: string, ports: WelcomeFacts['ports'], storeUrl: string): WelcomeFacts {
    const { adminPort, dataDir, objectStore } = standaloneSettings
    const config = this.#config
    const isUsualStore = config.objectStore === objectStore.default
    const isUsualFolder = config.dataDir === dataDir.default
    return {
      host,
      ports,
      storeUrl,
      flushFlags: ports.admin === adminPort.default ? '' : ` --admin-port ${String(ports.admin)}`,
      queryFlags: isUsualStore
        ? isUsualFolder
          ? ''
          : ` --data-dir ${config.dataDir}`
        : ` --object-store ${storeUrl}`,
    }
  }
}
