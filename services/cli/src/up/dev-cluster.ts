/**
 * A cluster for development on one machine: a broker, a Redis and a store, found or started, and
 * routers and ingesters as processes. What it holds stays in its folder; the next start goes on from it.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import type { Environment } from '@tributary/common/config/config'
import { openDataDirectory } from '@tributary/common/data-directory'
import type { DataDirectory } from '@tributary/common/data-directory'
import { AppError } from '@tributary/common/errors'
import { parseBrokerAddress } from '@tributary/common/log/broker-socket'
import { TopicAdmin } from '@tributary/common/log/topic-admin'

import { ContainerEngine } from './container-engine.ts'
import type { DevServer, ServerSite, ServerWays } from './dev-server.ts'
import { freeLocalPort } from './free-address.ts'
import { startKafkaBroker } from './kafka-broker.ts'
import { startRedis } from './redis-server.ts'
import { RoleChild } from './role-child.ts'
import { startStore } from './store-server.ts'
import type { StoreServer } from './store-server.ts'
import { readUpState, writeUpState } from './up-state.ts'
import type { UpState } from './up-state.ts'

export interface DevClusterOptions {
  readonly folder: string
  readonly routers: number
  readonly ingesters: number
  readonly partitions: number
  readonly topic: string
  readonly otlpGrpcPort: number
  readonly otlpHttpPort: number
  readonly flushInterval: string
  readonly ways: ServerWays
  /** Of servers that are there already; undefined: one is started. */
  readonly kafkaBrokers: string | undefined
  readonly redisUrl: string | undefined
  readonly objectStore: string | undefined
  readonly objectStoreEndpoint: string | undefined
  readonly environment: Environment
  readonly tell: (line: string) => void
  /** Nobody wants it any more: a start that is under way ends. */
  readonly stopped: AbortSignal
  /** One of the servers that we started has ended. */
  readonly onFailure: (error: Error) => void
}

/** Where clients send to. */
export interface Entrance {
  readonly name: string
  readonly grpc: string
  readonly http: string
}

/** Routers on one machine: the ports of the next are so far from those of the one before. */
const PORT_STEP = 10
const TOPIC_TIMEOUT_MS = 30_000
const TOPIC_PAUSE_MS = 300
const RETENTION_MS = 72 * 3_600_000
const RECORD_BATCH_BYTES_MAX = 4 * 1024 * 1024

export class DevCluster {
  readonly entrances: Entrance[] = []
  readonly roles: RoleChild[] = []
  /** Settings of tools that read the store, and of those that ask Redis. */
  storeFlags: readonly string[] = []
  redisUrl = ''
  storeCredentials: Readonly<Record<string, string>> = {}
  readonly #options: DevClusterOptions
  readonly #servers: DevServer[] = []
  #lock: DataDirectory | undefined
  #state: UpState | undefined
  #brokers = ''
  #isStopping = false

  private constructor(options: DevClusterOptions) {
    this.#options = options
  }

  /** @throws AppError invalid_config: what has to be installed; Error of whoever does not start */
  static async start(options: DevClusterOptions): Promise<DevCluster> {
    const cluster = new DevCluster(options)
    try {
      await cluster.#startServers()
      await cluster.#makeTopic()
      cluster.#checkWanted()
      await cluster.#startRoles()
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  /** Routers first, so that nothing comes any more; ingesters commit all; then the servers. */
  async stop(): Promise<void> {
    this.#isStopping = true
    for (const role of ['router', 'ingester'] as const) {
      await Promise.all(this.roles.filter((each) => each.role === role).map((each) => each.stop()))
    }
    for (const server of this.#servers.reverse()) await server.stop()
    this.#servers.length = 0
    await this.#lock?.release()
    this.#lock = undefined
  }

  /** At once; whatever was acknowledged is safe. */
  kill(): void {
    this.#isStopping = true
    for (const role of this.roles) role.kill()
    for (const { program } of this.#servers) program?.kill()
  }

  async #startServers(): Promise<void> {
    const { folder, kafkaBrokers, redisUrl, objectStore, tell } = this.#options
    await mkdir(join(folder, 'logs'), { recursive: true })
    this.#lock = await openDataDirectory(folder)
    const site = this.#site()
    this.#state = await this.#withFreePorts(await readUpState(folder))
    const { id, clusterId, kafkaPort, redisPort, storePort, secretAccessKey } = this.#state
    await writeUpState(folder, this.#state)
    if (redisUrl === undefined) this.#add(await startRedis(site, id, redisPort))
    else tell(`redis: the one of --redis-url`)
    this.redisUrl = redisUrl ?? `redis://127.0.0.1:${redisPort}`
    if (objectStore === undefined) {
      const store = await startStore(site, { id, port: storePort, secretAccessKey })
      this.#add(store)
      this.#useStore(store)
    } else {
      tell(`store: the one of --object-store`)
      this.storeFlags = this.#givenStoreFlags(objectStore)
    }
    if (kafkaBrokers === undefined) {
      this.#add(await startKafkaBroker(site, { id, clusterId, port: kafkaPort }))
    } else {
      tell(`kafka: the one of --kafka-brokers`)
    }
    this.#brokers = kafkaBrokers ?? `127.0.0.1:${kafkaPort}`
  }

  /** @throws AppError cancelled */
  #checkWanted(): void {
    if (!this.#options.stopped.aborted) return
    throw new AppError('cancelled', 'stopped before it had started')
  }

  #site(): ServerSite {
    const { folder, ways, environment, tell, kafkaBrokers, redisUrl, objectStore } = this.#options
    const isWanted = [kafkaBrokers, redisUrl, objectStore].includes(undefined)
    const engine = ways === 'local' || !isWanted ? undefined : ContainerEngine.find()
    if (isWanted && ways !== 'local') {
      tell(
        engine === undefined
          ? 'no container engine runs: servers of this machine are taken'
          : `${engine.program} runs: servers are containers`,
      )
    }
    if (ways === 'container' && engine === undefined) {
      throw new AppError('invalid_config', 'no container engine runs', {
        details: { remedy: 'start Docker or Podman, or say --servers local' },
      })
    }
    return { folder, ways, engine, environment, tell }
  }

  async #withFreePorts(state: UpState): Promise<UpState> {
    const kafkaPort = await freeLocalPort(state.kafkaPort)
    const redisPort = await freeLocalPort(state.redisPort)
    const storePort = await freeLocalPort(state.storePort)
    return { ...state, kafkaPort, redisPort, storePort }
  }

  #useStore({ flags, credentials }: StoreServer): void {
    this.storeFlags = flags
    this.storeCredentials = credentials
  }

  #givenStoreFlags(objectStore: string): readonly string[] {
    const { objectStoreEndpoint } = this.#options
    const store = `--object-store=${objectStore}`
    return objectStoreEndpoint === undefined
      ? [store]
      : [store, `--object-store-endpoint=${objectStoreEndpoint}`]
  }

  #add(server: DevServer): void {
    this.#servers.push(server)
    this.#checkWanted()
    this.#options.tell(server.told)
    const { program } = server
    void program?.exited.then((how) => {
      if (this.#isStopping || !program.isWanted) return
      this.#options.onFailure(new Error(`${server.name} has ended (${how}):\n${program.logTail}`))
    })
  }

  /** A broker that listens may not serve yet. */
  async #makeTopic(): Promise<void> {
    const { topic, partitions, tell } = this.#options
    const admin = new TopicAdmin(this.#brokers.split(',').map(parseBrokerAddress), {
      clientId: 'tributary-up',
      connectTimeoutMs: 3000,
    })
    for (const deadlineMs = performance.now() + TOPIC_TIMEOUT_MS; ;) {
      try {
        const isNew = await admin.create({
          topic,
          partitions,
          replication: 1,
          config: {
            'retention.ms': String(RETENTION_MS),
            'min.insync.replicas': '1',
            'max.message.bytes': String(RECORD_BATCH_BYTES_MAX),
          },
        })
        tell(isNew ? `made topic ${topic} of ${partitions} partitions` : `found topic ${topic}`)
        return
      } catch (error) {
        const isTemporary = error instanceof AppError && error.code === 'log_unavailable'
        if (!isTemporary || performance.now() > deadlineMs) throw error
        await new Promise((resolve) => setTimeout(resolve, TOPIC_PAUSE_MS))
      }
    }
  }

  async #startRoles(): Promise<void> {
    const { routers, ingesters, tell } = this.#options
    for (let n = 1; n <= ingesters; n++) await this.#addIngester(`ingester-${n}`)
    for (let n = 1; n <= routers; n++) await this.#addRouter(`router-${n}`, n - 1)
    await Promise.all(this.roles.map((role) => role.start()))
    tell(`${routers} routers and ${ingesters} ingesters are ready`)
  }

  async #addIngester(name: string): Promise<void> {
    const { folder, flushInterval } = this.#options
    await this.#addRole('ingester', name, [
      ...this.storeFlags,
      `--data-dir=${join(folder, name)}`,
      `--flush-interval=${flushInterval}`,
    ])
  }

  async #addRouter(name: string, index: number): Promise<void> {
    const { otlpGrpcPort, otlpHttpPort } = this.#options
    const ports = await Promise.all(
      [otlpGrpcPort, otlpHttpPort].map((port) => {
        return port === 0 ? freeLocalPort(0) : Promise.resolve(port + index * PORT_STEP)
      }),
    )
    const [grpc, http] = ports as [number, number]
    this.entrances.push({ name, grpc: `127.0.0.1:${grpc}`, http: `http://127.0.0.1:${http}` })
    await this.#addRole('router', name, [`--otlp-grpc-port=${grpc}`, `--otlp-http-port=${http}`])
  }

  async #addRole(role: 'router' | 'ingester', name: string, own: readonly string[]): Promise<void> {
    const { folder, environment, topic, tell } = this.#options
    this.roles.push(
      new RoleChild({
        ...{ role, name, folder, tell },
        adminPort: await freeLocalPort(0),
        environment: { ...environment, ...this.storeCredentials },
        flags: [
          '--admin-grpc-port=0',
          `--kafka-brokers=${this.#brokers}`,
          `--kafka-topic=${topic}`,
          '--kafka-profile=development',
          `--redis-url=${this.redisUrl}`,
          ...own,
        ],
      }),
    )
  }
}
