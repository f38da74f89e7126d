/**
 * What the process of every role has beside its own parts: logger, metrics, watched certificate, admin
 * servers, lifecycle, and the one way to end by itself. The role adds its parts in the order in which
 * they start; admin comes early, so that an orchestrator sees a long start as alive but not ready.
 */
import { hostname } from 'node:os'
import { fileURLToPath } from 'node:url'

import {
  createAdminGrpcServer,
  type AdminGrpcServer,
  type GrpcService,
} from './admin-grpc-server.ts'
import { createAdminServer, type AdminServer } from './admin-server.ts'
import { systemClock } from './clock.ts'
import type { TlsConfig } from './config/tls-settings.ts'
import { EventLoopMonitor } from './event-loop-monitor.ts'
import { Lifecycle, type Component } from './lifecycle.ts'
import { createLogger, type Logger, type LogLevel } from './logger.ts'
import { createRegistry, Gauge, type Registry } from './metrics.ts'
import { openServerCertificate, type ServerCertificate } from './server-certificate.ts'
import { openTracing } from './tracing-opening.ts'
import type { Tracing } from './tracing.ts'

/** From the end of the last part to that of the process; without open calls it takes none of it. */
const LINGER_MS_MAX = 500

export interface RoleProcessConfig extends Pick<
  TlsConfig,
  'adminTls' | 'tlsCertFile' | 'tlsKeyFile' | 'tlsClientCaFile' | 'tlsMinVersion'
> {
  readonly host: string
  readonly adminPort: number
  readonly adminGrpcPort: number
  readonly stopTimeoutMs: number
  /** Of a role that is traced. */
  readonly tracesEndpoint?: string | undefined
  readonly tracesSampleRatio?: number
}

export interface RoleProcessOptions {
  /** Names the role in the log. */
  readonly name: string
  readonly config: RoleProcessConfig
  readonly logLevel: LogLevel
  /** Whether the role can do now what it is there for. */
  readonly isReady: () => boolean
  /** For people, while it can not: what stands in the way, where that is known. */
  readonly notReadyReason?: (() => string | undefined) | undefined
  /** Commits what was acknowledged; undefined for a role that has nothing to commit. */
  readonly flush?: (() => Promise<string>) | undefined
  /** gRPC services of the role, on the admin port. */
  readonly services?: readonly GrpcService[]
}

export class RoleProcess {
  readonly logger: Logger
  readonly registry: Registry
  readonly #options: RoleProcessOptions
  readonly #lifecycle: Lifecycle
  #certificate: ServerCertificate | undefined
  #tracing: Tracing | undefined
  #admin: AdminServer | undefined
  #adminGrpc: AdminGrpcServer | undefined
  #failure: unknown

  constructor(options: RoleProcessOptions) {
    const { name, config, logLevel } = options
    this.#options = options
    this.logger = createLogger({ name, level: logLevel })
    this.registry = createRegistry()
    exposeReadiness(this.registry, options)
    this.#lifecycle = new Lifecycle({ logger: this.logger, stopTimeoutMs: config.stopTimeoutMs })
  }

  /** The server's certificate, once the admin part has started; undefined without TLS. */
  get certificate(): ServerCertificate | undefined {
    return this.#certificate
  }

  /** Once the admin part has started; undefined where it is off. */
  get tracing(): Tracing | undefined {
    return this.#tracing
  }

  /** The port listened on, once the admin part has started. */
  get adminPort(): number {
    return this.#admin!.port
  }

  /** The same of gRPC. */
  get adminGrpcPort(): number {
    return this.#adminGrpc!.port
  }

  get isStopping(): boolean {
    return this.#lifecycle.isStopping
  }

  /** Adds a part; parts start in the order of adding and stop in reverse. */
  add(part: Component): void {
    this.#lifecycle.add(part)
  }

  /** Adds event loop monitor, tracing, certificate and admin servers. */
  addAdmin(): void {
    const monitor = new EventLoopMonitor(this.registry)
    this.add({
      name: 'event loop monitor',
      start: () => {
        monitor.start()
      },
      stop: () => {
        monitor.stop()
      },
    })
    this.add({
      name: 'tracing',
      start: async () => {
        const { name, config } = this.#options
        const parts = { name, instance: `${hostname()}/${String(process.pid)}` }
        this.#tracing = await openTracing(config, {
          ...parts,
          clock: systemClock,
          logger: this.logger,
        })
      },
      stop: () => this.#tracing?.close(),
    })
    this.add({
      name: 'certificate',
      start: async () => {
        const parts = { clock: systemClock, logger: this.logger, registry: this.registry }
        this.#certificate = await openServerCertificate(this.#options.config, parts)
      },
      stop: () => this.#certificate?.stop(),
    })
    this.add({
      name: 'admin server',
      start: () => this.#startAdmin(),
      stop: async () => {
        await this.#adminGrpc?.close()
        await this.#admin?.close()
      },
    })
  }

  /**
   * Runs until a signal or a failure; returns the exit status. All parts have stopped then: a call that a
   * silent server has not answered, and nobody waits for, does not keep the process.
   */
  async run(): Promise<number> {
    const stopped = await this.#lifecycle.runUntilSignal()
    const status = this.#failure === undefined ? stopped : 1
    setTimeout(() => process.exit(status), LINGER_MS_MAX).unref()
    return status
  }

  /** Stops the process, exit status 1: the role can't go on. Further calls do nothing. */
  fail(error: unknown, message: string): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.logger.fatal({ err: error }, message)
    process.kill(process.pid, 'SIGTERM')
  }

  async #startAdmin(): Promise<void> {
    const { config, isReady, notReadyReason, flush } = this.#options
    const { host, adminPort, adminGrpcPort, adminTls } = config
    const certificate = adminTls ? this.#certificate : undefined
    const { logger, registry } = this
    const shared = { host, certificate, isReady }
    this.#admin = createAdminServer({
      ...{ ...shared, notReadyReason, flush },
      ...{ port: adminPort, registry, logger },
    })
    await this.#admin.start()
    this.#adminGrpc = createAdminGrpcServer({
      ...shared,
      port: adminGrpcPort,
      protoFolder: fileURLToPath(new URL('../../../proto', import.meta.url)),
      services: this.#options.services ?? [],
    })
    await this.#adminGrpc.start()
  }
}

/** What probes are told, also for those who only read metrics. */
function exposeReadiness(registry: Registry, { name, isReady }: RoleProcessOptions): void {
  new Gauge({
    name: 'tributary_ready',
    help: '1 while the process can do what its role is there for',
    labelNames: ['role'],
    registers: [registry],
    collect() {
      this.set({ role: name }, isReady() ? 1 : 0)
    },
  })
}
