/**
 * The admin side of a process over gRPC, on a port of its own: grpc.health.v1.Health for probes and
 * load balancers, and server reflection, so that tools can list what is served. Telemetry never
 * comes this way. The overall status ('') and each OTLP service follow readiness, asked at intervals.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { experimental, Server, ServerCredentials } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import type { PackageDefinition } from '@grpc/proto-loader'
import { ReflectionService } from '@grpc/reflection'
import { HealthImplementation, protoPath } from 'grpc-health-check'

import { AppError } from './errors.ts'
import type { ServerCertificate } from './server-certificate.ts'

export interface AdminGrpcServerOptions {
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
  /** Undefined: plain text. */
  readonly certificate?: ServerCertificate | undefined
  /** Whether requests can be taken and stored now. */
  readonly isReady: () => boolean
  /** Folder that holds opentelemetry/proto/...: its services are reflected; undefined: health alone. */
  readonly protoFolder?: string
  /** What the role serves beside health and reflection. */
  readonly services?: readonly GrpcService[]
}

/** A service and what answers it. */
export interface GrpcService {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
  /** The file that declares it, below `protoFolder`: for reflection. */
  readonly proto: string
}

export interface AdminGrpcServer {
  /** The port listened on, after `start`. */
  readonly port: number
  /** @throws AppError invalid_config when the address cannot be listened on */
  start(): Promise<void>
  close(): Promise<void>
}

const COLLECTOR_PROTOS = ['logs', 'trace', 'metrics'].map(
  (signal) => `opentelemetry/proto/collector/${signal}/v1/${signal}_service.proto`,
)
const COLLECTOR_SERVICES = [
  'opentelemetry.proto.collector.logs.v1.LogsService',
  'opentelemetry.proto.collector.trace.v1.TraceService',
  'opentelemetry.proto.collector.metrics.v1.MetricsService',
]
/** Watchers hear of a change this late at most. */
const READINESS_INTERVAL_MS = 200

/** Bounds: probes are few and tiny; a message of health or reflection is below a kilobyte. */
const SERVER_OPTIONS = {
  'grpc.max_receive_message_length': 64 * 1024,
  'grpc.max_concurrent_streams': 32,
  'grpc-node.max_session_memory': 4,
  'grpc.max_connection_idle_ms': 10 * 60_000,
  'grpc.max_connection_age_ms': 60 * 60_000,
  'grpc.max_connection_age_grace_ms': 10_000,
}

export function createAdminGrpcServer(options: AdminGrpcServerOptions): AdminGrpcServer {
  const server = new Server(SERVER_OPTIONS)
  const health = new HealthImplementation()
  health.addToServer(server)
  const { protoFolder, services = [] } = options
  for (const { definition, implementation } of services) {
    server.addService(definition, implementation)
  }
  const protos = services.map(({ proto }) => proto)
  new ReflectionService(reflectedPackages(protoFolder, protos)).addToServer(server)
  let port = options.port
  let timer: NodeJS.Timeout | undefined
  let wasReady: boolean | undefined
  const report = (isReady: boolean): void => {
    if (isReady === wasReady) return
    wasReady = isReady
    const status = isReady ? 'SERVING' : 'NOT_SERVING'
    for (const service of ['', ...COLLECTOR_SERVICES]) health.setStatus(service, status)
  }
  return {
    get port() {
      return port
    },
    async start() {
      port = await bind(server, options)
      report(options.isReady())
      timer = setInterval(() => {
        report(options.isReady())
      }, READINESS_INTERVAL_MS)
      timer.unref()
    },
    close() {
      clearInterval(timer)
      report(false)
      server.forceShutdown()
      return Promise.resolve()
    },
  }
}

function credentialsOf(certificate: ServerCertificate | undefined): ServerCredentials {
  return certificate === undefined
    ? ServerCredentials.createInsecure()
    : experimental.createCertificateProviderServerCredentials(
        new WatchedCertificate(certificate),
        null,
        false,
      )
}

type IdentityListener = experimental.IdentityCertificateUpdateListener

/** Hands each new certificate to grpc-js, which asks for it in its own way. */
class WatchedCertificate implements experimental.CertificateProvider {
  readonly #certificate: ServerCertificate
  readonly #unwatch = new Map<IdentityListener, () => void>()

  constructor(certificate: ServerCertificate) {
    this.#certificate = certificate
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    const tell = (): void => {
      const { cert, key } = this.#certificate.files
      listener({ certificate: cert, privateKey: key })
    }
    this.#unwatch.set(listener, this.#certificate.onChange(tell))
    // grpc-js wants to hear of the first one after it has added its watcher
    queueMicrotask(tell)
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#unwatch.get(listener)?.()
    this.#unwatch.delete(listener)
  }

  addCaCertificateListener(): void {
    throw new AppError('internal', 'admin clients are not asked for certificates')
  }

  removeCaCertificateListener(): void {
    throw new AppError('internal', 'admin clients are not asked for certificates')
  }
}

function bind(server: Server, options: AdminGrpcServerOptions): Promise<number> {
  const { host, port } = options
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, credentialsOf(options.certificate), (cause, bound) => {
      if (cause === null) resolve(bound)
      else {
        const details = { host, port }
        reject(new AppError('invalid_config', 'cannot listen for admin gRPC', { cause, details }))
      }
    })
  })
}

function reflectedPackages(
  protoFolder: string | undefined,
  protos: readonly string[],
): PackageDefinition {
  const health = loadSync(protoPath)
  if (protoFolder === undefined || !existsSync(join(protoFolder, COLLECTOR_PROTOS[0]!))) {
    return health
  }
  return {
    ...health,
    ...loadSync([...COLLECTOR_PROTOS, ...protos], { includeDirs: [protoFolder] }),
  }
}
