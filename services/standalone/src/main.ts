/**
 * Tributary as one process: receivers, batcher and one partition, with the WAL's own sequence in
 * the place of Kafka's offsets. It only wires; parts start bottom up and stop top down, so that what
 * was accepted is flushed and committed before the log closes.
 */
import { fileURLToPath } from 'node:url'
import { systemClock } from '@tributary/common/clock'
import { createAdminGrpcServer, type AdminGrpcServer } from '@tributary/common/admin-grpc-server'
import { createAdminServer, type AdminServer } from '@tributary/common/admin-server'
import { collectAfterStart, tuneCollector } from '@tributary/common/collector-tuning'
import {
  objectStoreUrl,
  standaloneSettings,
  type StandaloneConfig,
} from '@tributary/common/config/settings'
import { AppError } from '@tributary/common/errors'
import { EventLoopMonitor } from '@tributary/common/event-loop-monitor'
import { Lifecycle } from '@tributary/common/lifecycle'
import { LIMITS } from '@tributary/common/limits'
import { createLogger, type Logger } from '@tributary/common/logger'
import { createRegistry } from '@tributary/common/metrics'
import { openObjectStore, type ObjectStore } from '@tributary/common/object-store/object-store'
import { storeIdentity } from '@tributary/common/object-store/store-identity'
import { openServerCertificate, type ServerCertificate } from '@tributary/common/server-certificate'
import {
  openStandalonePartition,
  type StandalonePartition,
} from '@tributary/ingester/standalone-partition'
import { Admission } from '@tributary/router/admission'
import { Batcher } from '@tributary/router/batcher'
import { createIngestHandler } from '@tributary/router/ingest-handler'
import { RouterMetrics } from '@tributary/router/metrics'
import { createGrpcReceiver } from '@tributary/router/receive/grpc-receiver'
import { createHttpReceiver } from '@tributary/router/receive/http-receiver'
import type { Receiver } from '@tributary/router/receive/receiver'
import { receiverTls } from '@tributary/router/receive/receiver-tls'
import { ReceiverMetrics } from '@tributary/router/receive/receiver-metrics'
import { openCredentials, type Credentials } from '@tributary/router/tenants/credentials'
import { openDataDirectory, type DataDirectory } from './data-directory.ts'
import { OrphanSweeper } from './orphan-sweeper.ts'
import { printWelcome, type WelcomeFacts } from './welcome.ts'
import { StatusLine } from './status-line.ts'

/** The log of a standalone process has one topic and one partition. */
const TOPIC = 'standalone'
const PARTITION = 0
/** 28 bytes each: 28 MiB at most, ten minutes of 1,700 chunks a second. */
const RETRY_WINDOW_ENTRIES_MAX = 1_000_000

/** Runs until a signal or a fatal failure; returns the exit status. */
export async function runStandalone(config: StandaloneConfig): Promise<number> {
  tuneCollector()
  const isTerminal = process.stdout.isTTY
  const logger = createLogger({ name: 'standalone', level: isTerminal ? 'warn' : config.logLevel })
  const standalone = new Standalone(config, logger, isTerminal)
  return standalone.run()
}

class Standalone {
  readonly #config: StandaloneConfig
  readonly #logger: Logger
  readonly #isTerminal: boolean
  readonly #registry = createRegistry()
  readonly #monitor = new EventLoopMonitor(this.#registry)
  readonly #metrics = new RouterMetrics(this.#registry)
  readonly #lifecycle: Lifecycle
  #certificate: ServerCertificate | undefined
  #admin: AdminServer | undefined
  #adminGrpc: AdminGrpcServer | undefined
  #data: DataDirectory | undefined
  #store: ObjectStore | undefined
  #partition: StandalonePartition | undefined
  #sweeper: OrphanSweeper | undefined
  #credentials: Credentials | undefined
  #receivers: Receiver[] = []
  #isServing = false
  #failure: unknown

  constructor(config: StandaloneConfig, logger: Logger, isTerminal: boolean) {
    this.#config = config
    this.#logger = logger
    this.#isTerminal = isTerminal
    this.#lifecycle = new Lifecycle({ logger, stopTimeoutMs: config.stopTimeoutMs })
  }

  async run(): Promise<number> {
    this.#addProcess()
    this.#addStorage()
    this.#addReceiving()
    if (this.#isTerminal) this.#addStatusLine()
    const status = await this.#lifecycle.runUntilSignal()
    return this.#failure === undefined ? status : 1
  }

  #addProcess(): void {
    const lifecycle = this.#lifecycle
    lifecycle.add({
      name: 'data directory',
      start: async () => {
        this.#data = await openDataDirectory(this.#config.dataDir)
      },
      stop: () => this.#data?.release(),
    })
    lifecycle.add({
      name: 'event loop monitor',
      start: () => {
        this.#monitor.start()
      },
      stop: () => {
        this.#monitor.stop()
      },
    })
    lifecycle.add({
      name: 'certificate',
      start: async () => {
        const parts = { clock: systemClock, logger: this.#logger, registry: this.#registry }
        this.#certificate = await openServerCertificate(this.#config, parts)
      },
      stop: () => this.#certificate?.stop(),
    })
    lifecycle.add({
      name: 'admin server',
      start: () => this.#startAdmin(),
      stop: async () => {
        await this.#adminGrpc?.close()
        await this.#admin?.close()
      },
    })
  }

  #addStorage(): void {
    const lifecycle = this.#lifecycle
    lifecycle.add({
      name: 'object store',
      start: () => this.#openStore(),
      stop: () => this.#store?.close(),
    })
    lifecycle.add({
      name: 'partition',
      start: () => this.#openPartition(),
      stop: () => this.#partition?.close(),
    })
    lifecycle.add({
      name: 'orphan sweeper',
      start: () => {
        this.#sweeper = new OrphanSweeper(this.#store!, this.#logger)
        this.#sweeper.start()
      },
      stop: () => this.#sweeper?.stop(),
    })
  }

  #addReceiving(): void {
    this.#lifecycle.add({
      name: 'credentials',
      start: async () => {
        this.#credentials = await openCredentials({
          ...this.#config,
          areCertificatesNamed: this.#config.tlsClientTenant !== 'none',
          clock: systemClock,
          logger: this.#logger,
          registry: this.#registry,
        })
      },
      stop: () => this.#credentials?.close(),
    })
    this.#lifecycle.add({
      name: 'receivers',
      start: () => this.#startReceivers(),
      stop: () => this.#drainReceivers(),
    })
  }

  #addStatusLine(): void {
    const line = new StatusLine(process.stdout, () => ({
      items: this.#metrics.items,
      unflushedRows: this.#partition?.appends.unflushedRows ?? 0,
      files: this.#partition?.metrics.files ?? 0,
    }))
    this.#lifecycle.add({
      name: 'status line',
      start: () => {
        line.start()
      },
      stop: () => {
        line.stop()
      },
    })
  }

  async #startAdmin(): Promise<void> {
    this.#admin = createAdminServer({
      host: this.#config.host,
      port: this.#config.adminPort,
      certificate: this.#config.adminTls ? this.#certificate : undefined,
      registry: this.#registry,
      logger: this.#logger,
      isReady: () => this.#isServing,
      flush: () => this.#flush(),
    })
    await this.#admin.start()
    this.#adminGrpc = createAdminGrpcServer({
      host: this.#config.host,
      port: this.#config.adminGrpcPort,
      certificate: this.#config.adminTls ? this.#certificate : undefined,
      isReady: () => this.#isServing,
      protoFolder: fileURLToPath(new URL('../../../proto', import.meta.url)),
    })
    await this.#adminGrpc.start()
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
    this.#store = await openObjectStore(objectStoreUrl(this.#config), {
      ...(objectStoreEndpoint === undefined ? {} : { endpoint: objectStoreEndpoint }),
      region: objectStoreRegion,
      logger: this.#logger,
    })
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
      logger: this.#logger,
      registry: this.#registry,
      onFatal: (error) => {
        this.#failWith(error)
      },
    })
  }

  async #startReceivers(): Promise<void> {
    const { host, otlpGrpcPort, otlpHttpPort, inflightBytesMax } = this.#config
    const admission = new Admission({ inFlightBytesMax: inflightBytesMax, clock: systemClock })
    const shared = {
      host,
      handler: createIngestHandler({
        batcher: new Batcher({
          sink: this.#partition!.appends,
          clock: systemClock,
          batchBytesMax: LIMITS.batchBytesMax,
          batchRowsMax: LIMITS.batchRowsMax,
          tenantsMax: this.#config.tenantsMax,
        }),
        clock: systemClock,
        metrics: this.#metrics,
        tenantsMax: this.#config.tenantsMax,
        itemAgeMaxMs: this.#config.itemAgeMaxMs === 0 ? undefined : this.#config.itemAgeMaxMs,
        itemAheadMaxMs: this.#config.itemAheadMaxMs,
      }),
      admission,
      limits: {
        requestBytesMax: this.#config.requestBytesMax,
        connectionsMax: this.#config.connectionsMax,
        connectionAgeMs: this.#config.connectionAgeMaxMs,
        answerTimeoutMs: this.#config.requestTimeoutMs,
      },
      authenticator: this.#credentials?.authenticator,
      tls: receiverTls(this.#certificate, this.#config),
      logger: this.#logger,
      metrics: new ReceiverMetrics(this.#registry, admission),
      clock: systemClock,
    }
    const grpc = createGrpcReceiver({ ...shared, port: otlpGrpcPort })
    const http = createHttpReceiver({ ...shared, port: otlpHttpPort })
    collectAfterStart()
    for (const receiver of [grpc, http]) {
      await receiver.start()
      this.#receivers.push(receiver)
    }
    this.#isServing = true
    const ports = { grpc: grpc.port, http: http.port, admin: this.#admin!.port }
    const storeUrl = this.#store!.url
    this.#logger.info({ ports, store: storeUrl, data: this.#data!.path }, 'ready')
    if (this.#isTerminal) printWelcome(process.stdout, this.#welcomeFacts(host, ports, storeUrl))
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

  async #drainReceivers(): Promise<void> {
    this.#isServing = false
    const graceMs = this.#config.stopTimeoutMs / 2
    await Promise.all(this.#receivers.map((receiver) => receiver.drain(graceMs)))
  }

  /** Nothing more can be committed: stop taking data; the rows lie in the log for the next start. */
  #failWith(error: unknown): void {
    this.#failure = error
    this.#isServing = false
    this.#logger.fatal({ err: error }, 'the partition can not go on')
    process.kill(process.pid, 'SIGTERM')
  }
}
