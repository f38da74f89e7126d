/**
 * The front of a process that takes telemetry: credentials, admission and both receivers, by its
 * settings. What is done with a request is the handler's, which is given at the start because the
 * parts behind it start before.
 */
import { systemClock } from '@tributary/common/clock'
import { collectAfterStart } from '@tributary/common/collector-tuning'
import type { RedisConfig } from '@tributary/common/config/redis-settings'
import type { ConfigOf } from '@tributary/common/config/setting-table'
import type { receiveSettings } from '@tributary/common/config/settings'
import type { credentialSettings, tenantSettings } from '@tributary/common/config/tenant-settings'
import type { TlsConfig } from '@tributary/common/config/tls-settings'
import type { RoleProcess } from '@tributary/common/role-process'
import { Admission } from './admission.ts'
import type { ExportHandler } from './export-handler.ts'
import { createGrpcReceiver } from './receive/grpc-receiver.ts'
import { createHttpReceiver } from './receive/http-receiver.ts'
import type { Receiver } from './receive/receiver.ts'
import { ReceiverMetrics } from './receive/receiver-metrics.ts'
import { receiverTls } from './receive/receiver-tls.ts'
import { openCredentials, type Credentials } from './tenants/credentials.ts'
import { openTenants, type Tenants } from './tenants/tenants.ts'

export type ReceivingConfig = ConfigOf<typeof receiveSettings> &
  ConfigOf<typeof credentialSettings> &
  ConfigOf<typeof tenantSettings> &
  TlsConfig & { readonly host: string; readonly stopTimeoutMs: number }

export interface ReceivingOptions {
  readonly process: RoleProcess
  readonly config: ReceivingConfig
  /** Undefined for a role that has none. */
  readonly redis?: RedisConfig | undefined
  /** How many routers take telemetry now, this one included: each gives its part of a rate; default 1. */
  readonly liveRouters?: (() => number) | undefined
  /** Made when everything behind it has started. */
  readonly handler: () => ExportHandler
  /** Called once both ports are listened on. */
  readonly onServing: (ports: { readonly grpc: number; readonly http: number }) => void
}

export class Receiving {
  readonly #options: ReceivingOptions
  readonly #receivers: Receiver[] = []
  #credentials: Credentials | undefined
  #tenants: Tenants | undefined
  #isServing = false

  constructor(options: ReceivingOptions) {
    this.#options = options
  }

  /**
   * Whether calls are taken: between the start and the beginning of the stop, once it is known what
   * tenants may do.
   */
  get isServing(): boolean {
    return this.#isServing && this.#tenants?.directory.isReady === true
  }

  /** Adds credentials, tenants and receivers to the process, behind what was added before. */
  addParts(): void {
    const { process } = this.#options
    process.add({
      name: 'credentials',
      start: () => this.#openCredentials(),
      stop: () => this.#credentials?.close(),
    })
    process.add({
      name: 'tenants',
      start: () => this.#openTenants(),
      stop: () => this.#tenants?.close(),
    })
    process.add({
      name: 'receivers',
      start: () => this.#startReceivers(),
      stop: () => this.#drain(),
    })
  }

  /** Takes no more calls: what can be done where the process can't go on. */
  stopServing(): void {
    this.#isServing = false
  }

  async #openCredentials(): Promise<void> {
    const { config, redis, process } = this.#options
    this.#credentials = await openCredentials({
      ...config,
      areCertificatesNamed: config.tlsClientTenant !== 'none',
      redis,
      clock: systemClock,
      logger: process.logger,
      registry: process.registry,
    })
  }

  async #openTenants(): Promise<void> {
    const { config, redis, liveRouters, process } = this.#options
    const { logger, registry } = process
    const shared = { redis, liveRouters, clock: systemClock, logger, registry }
    this.#tenants = await openTenants({ ...config, ...shared })
  }

  async #startReceivers(): Promise<void> {
    const { config, process, handler, onServing } = this.#options
    const { host, otlpGrpcPort, otlpHttpPort, inflightBytesMax } = config
    const admission = new Admission({ inFlightBytesMax: inflightBytesMax, clock: systemClock })
    const shared = {
      host,
      handler: handler(),
      admission,
      limits: {
        requestBytesMax: config.requestBytesMax,
        connectionsMax: config.connectionsMax,
        connectionAgeMs: config.connectionAgeMaxMs,
        answerTimeoutMs: config.requestTimeoutMs,
      },
      tenants: this.#tenants!.directory,
      authenticator: this.#credentials?.authenticator,
      tls: receiverTls(process.certificate, config),
      logger: process.logger,
      metrics: new ReceiverMetrics(process.registry, admission),
      clock: systemClock,
      tracing: process.tracing,
    }
    const grpc = createGrpcReceiver({ ...shared, port: otlpGrpcPort })
    const http = createHttpReceiver({ ...shared, port: otlpHttpPort })
    collectAfterStart()
    for (const receiver of [grpc, http]) {
      await receiver.start()
      this.#receivers.push(receiver)
    }
    this.#isServing = true
    onServing({ grpc: grpc.port, http: http.port })
  }

  async #drain(): Promise<void> {
    this.#isServing = false
    const graceMs = this.#options.config.stopTimeoutMs / 2
    await Promise.all(this.#receivers.map((receiver) => receiver.drain(graceMs)))
  }
}
