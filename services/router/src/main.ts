/**
 * The router role: OTLP in, batches out to the partitions of Kafka, OK once all replicas in sync have
 * them. It keeps nothing: what it knows of the cluster (routing table, members) it reads from Redis,
 * and goes on with what it knows while Redis is gone. It only wires; parts start bottom up and stop
 * top down, so that what was accepted is produced before the log closes.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { systemClock } from '@tributary/common/clock'
import { tuneCollector } from '@tributary/common/collector-tuning'
import type { RouterConfig } from '@tributary/common/config/router-settings'
import { LIMITS } from '@tributary/common/limits'
import { openKafkaLog } from '@tributary/common/log/kafka-opening'
import type { KafkaPartitionLog } from '@tributary/common/log/kafka-partition-log'
import { advertisedHost, memberIdOf } from '@tributary/common/metadata/member-identity'
import { redisAddress } from '@tributary/common/metadata/redis-address'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisConnection } from '@tributary/common/metadata/redis-connection'
import { RedisRoutingStore } from '@tributary/common/metadata/redis-routing-store'
import { RoleProcess } from '@tributary/common/role-process'
import { emptyRoutingTable } from '@tributary/common/routing/routing-table'
import type { ExportHandler } from './export-handler.ts'
import { exposeItemClock, ItemClock } from './item-clock.ts'
import { Membership } from './membership.ts'
import { RouterMetrics } from './metrics.ts'
import { Partitioner } from './partitioner.ts'
import { Brokers } from './produce/brokers.ts'
import { Lanes } from './produce/lanes.ts'
import { LogHealth } from './produce/log-health.ts'
import { exposeLanes, ProduceMetrics } from './produce/produce-metrics.ts'
import { Receiving } from './receiving.ts'
import { createRoutedHandler } from './routed-handler.ts'
import { RateMeter } from './routing/rate-meter.ts'
import { exposeRouting } from './routing/routing-metrics.ts'
import { TableKeeper } from './routing/table-keeper.ts'
import { TableMaker } from './routing/table-maker.ts'

/** How long a start waits for Redis. */
const REDIS_WAIT_MS = 5000
/** One partition may hold this share of all bytes in flight, one broker that: the rest goes on. */
const PARTITION_SHARE = 1 / 4
const BROKER_SHARE = 1 / 2

/** Runs until a signal; returns the exit status. */
export function runRouter(config: RouterConfig): Promise<number> {
  tuneCollector()
  return new Router(config).run()
}

class Router {
  readonly #config: RouterConfig
  readonly #name: string
  /** Unique to this start of the process. */
  readonly #memberId: string
  readonly #process: RoleProcess
  readonly #metrics: RouterMetrics
  readonly #produceMetrics: ProduceMetrics
  readonly #receiving: Receiving
  #log: KafkaPartitionLog | undefined
  #health: LogHealth | undefined
  #itemClock: ItemClock | undefined
  #brokers: Brokers | undefined
  #partitioner: Partitioner | undefined
  #connections: RedisConnection[] = []
  #membership: Membership | undefined
  #keeper: TableKeeper | undefined
  #maker: TableMaker | undefined

  constructor(config: RouterConfig) {
    this.#config = config
    this.#name = config.memberName ?? hostname()
    this.#memberId = memberIdOf(this.#name, randomBytes(6).toString('hex'))
    this.#process = new RoleProcess({
      name: 'router',
      config,
      logLevel: config.logLevel,
      isReady: () => this.#receiving.isServing && this.#health?.isHealthy === true,
    })
    this.#metrics = new RouterMetrics(this.#process.registry)
    this.#produceMetrics = new ProduceMetrics(this.#process.registry)
    this.#receiving = new Receiving({
      process: this.#process,
      config,
      redis: config,
      liveRouters: () => this.#liveRouters(),
      handler: () => this.#createHandler(),
      onServing: (ports) => {
        const { logId, topic, partitionCount } = this.#log!
        const { adminPort: admin, adminGrpcPort: adminGrpc } = this.#process
        const facts = { ports: { ...ports, admin, adminGrpc } }
        this.#process.logger.info({ ...facts, logId, topic, partitionCount }, 'ready')
      },
    })
  }

  run(): Promise<number> {
    this.#process.addAdmin()
    this.#addLog()
    this.#addCluster()
    this.#receiving.addParts()
    this.#process.add({
      name: 'draining mark',
      stop: () => {
        this.#membership?.drain()
      },
    })
    return this.#process.run()
  }

  #addLog(): void {
    this.#process.add({
      name: 'log',
      start: () => this.#openLog(),
      stop: async () => {
        this.#itemClock?.stop()
        await this.#health?.stop()
        this.#brokers?.close()
        await this.#log?.close()
      },
    })
  }

  #addCluster(): void {
    this.#process.add({
      name: 'redis',
      start: async () => {
        this.#openCluster()
        await this.#untilRedis()
      },
      stop: () => {
        for (const connection of this.#connections) connection.close()
      },
    })
    this.#process.add({
      name: 'membership',
      start: () => this.#membership?.start(),
      stop: () => this.#membership?.stop(),
    })
    this.#process.add({
      name: 'routing table',
      start: async () => {
        await this.#keeper?.start()
        this.#maker?.start()
      },
      stop: async () => {
        await this.#maker?.stop()
        await this.#keeper?.stop()
      },
    })
  }

  async #openLog(): Promise<void> {
    const { logger } = this.#process
    const log = await openKafkaLog({
      config: this.#config,
      clock: systemClock,
      logger,
      isStopping: () => this.#process.isStopping,
    })
    this.#log = log
    this.#health = new LogHealth({
      log,
      metrics: this.#produceMetrics,
      clock: systemClock,
    })
    this.#health.start()
    this.#itemClock = new ItemClock({ clock: systemClock, logTime: log.time, logger })
    this.#itemClock.start()
    exposeItemClock(this.#process.registry, this.#itemClock)
    this.#brokers = new Brokers({
      log,
      logger,
      heldBytesMax: this.#config.inflightBytesMax * BROKER_SHARE,
    })
    this.#partitioner = new Partitioner(emptyRoutingTable(log.partitionCount))
  }

  #openCluster(): void {
    const { redisTimeoutMs, redisPrefix, beatIntervalMs, memberTimeToLiveMs } = this.#config
    const { logger, registry } = this.#process
    const connect = (name: string): RedisConnection => {
      const address = redisAddress(this.#config)
      const connection = new RedisConnection({ address, name, timeoutMs: redisTimeoutMs, logger })
      this.#connections.push(connection)
      return connection
    }
    const log = this.#log!
    const partitioner = this.#partitioner!
    const shared = { clock: systemClock, logger }
    // apart: what is slow on one must not make a beat late on the other
    const membership = new Membership({
      metadata: new RedisClusterMetadata({ connection: connect('members'), prefix: redisPrefix }),
      member: {
        id: this.#memberId,
        name: this.#name,
        role: 'router',
        address: this.#address(),
      },
      status: () => '{}',
      beatIntervalMs,
      timeToLiveMs: memberTimeToLiveMs,
      ...shared,
    })
    const store = new RedisRoutingStore({ connection: connect('routing'), prefix: redisPrefix })
    const meter = new RateMeter(partitioner, systemClock)
    const keeper = new TableKeeper({ store, log, partitioner, ...shared })
    const maker = new TableMaker({
      store,
      members: () => membership.members,
      log,
      keeper,
      meter,
      member: this.#memberId,
      name: this.#name,
      targetRate: this.#config.partitionBytesPerSecond,
      retryWindowMs: this.#config.retryWindowMs,
      logTime: log.time,
      ...shared,
    })
    exposeRouting(registry, { partitioner, keeper, maker, meter, membership })
    this.#membership = membership
    this.#keeper = keeper
    this.#maker = maker
  }

  /** Some seconds; without Redis the router goes on by what Kafka alone tells. */
  async #untilRedis(): Promise<void> {
    try {
      await Promise.all(this.#connections.map((connection) => connection.untilReady(REDIS_WAIT_MS)))
    } catch (error) {
      this.#process.logger.warn({ err: error }, 'redis does not answer: starting without it')
    }
  }

  /** Those that take telemetry, as the last beat told; the last known stay while Redis is gone. */
  #liveRouters(): number {
    const members = this.#membership?.members ?? []
    return members.filter(({ role, isDraining }) => role === 'router' && !isDraining).length
  }

  #createHandler(): ExportHandler {
    const { tenantsMax, inflightBytesMax, produceTimeoutMs, produceLingerMaxMs } = this.#config
    const brokers = this.#brokers!
    const lanes = new Lanes({
      log: this.#log!,
      brokers,
      clock: systemClock,
      metrics: this.#produceMetrics,
      batchBytesMax: LIMITS.batchBytesMax,
      batchRowsMax: LIMITS.batchRowsMax,
      tenantsMax,
      heldBytesMax: inflightBytesMax * PARTITION_SHARE,
      produceTimeoutMs,
      lingerMsMax: produceLingerMaxMs,
      tracing: this.#process.tracing,
    })
    exposeLanes(this.#process.registry, lanes, brokers)
    return createRoutedHandler({
      partitioner: this.#partitioner!,
      lanes,
      metrics: this.#metrics,
      clock: systemClock,
      itemClock: this.#itemClock,
    })
  }

  /** Where others would reach this router; nobody does yet, it is told for people. */
  #address(): string {
    const { advertiseHost, host, adminGrpcPort } = this.#config
    return `${advertisedHost(advertiseHost, host)}:${String(adminGrpcPort)}`
  }
}
