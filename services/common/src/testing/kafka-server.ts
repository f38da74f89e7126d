/**
 * A real Kafka for tests: the one that TRIBUTARY_KAFKA_BROKERS names, else one or three brokers of our
 * own (KRaft, loopback, free ports), each a process that can be killed, stopped and restarted.
 *
 * Brokers have a listener for clients, one among themselves, which the calls of this file use too, and
 * one for the quorum: a proxy in front of clients (`advertisedPorts`) never cuts anything else. A second
 * listener for clients takes TLS, SASL or both.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Admin, Kafka, PartitionMetadata, Transaction } from 'kafkajs'

import { testKafkaBrokers } from '../config/config.ts'
import { createKafkajs } from '../log/kafkajs-parts.ts'
import { freePort } from './free-port.ts'
import { findKafka } from '../local-servers/kafka-install.ts'
import type { KafkaInstall } from '../local-servers/kafka-install.ts'
import { KafkaNode } from './kafka-node.ts'
import { PORTS_PER_NODE, assignPorts, nodeProperties } from './kafka-properties.ts'
import { randomKafkaId, scramUsers } from './kafka-properties.ts'
import type { KafkaPorts, KafkaProperties, KafkaSecurity } from './kafka-properties.ts'

const START_ATTEMPTS_MAX = 3
/** Three brokers on a machine that does much else. */
const WAIT_TIMEOUT_MS = 180_000
const POLL_MS = 50
/** Options of the start that keeps classes: an archive fits later starts with the same collector. */
const ARCHIVE_JAVA_OPTIONS = ['-XX:TieredStopAtLevel=1']

export interface KafkaServerOptions {
  /** Default 1. Three: replication 3, min.insync.replicas 2. */
  readonly brokers?: 1 | 3
  /** Start brokers of our own also where the environment names some: for tests that kill them. */
  readonly isOwn?: boolean
  /** Told to clients instead of the brokers' own ports, one per broker: those of a proxy. */
  readonly advertisedPorts?: readonly number[]
  /** The same for the second listener: two proxies tell apart two kinds of clients. */
  readonly advertisedSecurePorts?: readonly number[]
  readonly security?: KafkaSecurity
  /** Of every broker, over ours. */
  readonly properties?: KafkaProperties
  /** Of Java; default: quick start, slow when busy for long; [] optimizes fully, for measuring. */
  readonly javaOptions?: readonly string[]
}

export interface TopicOptions {
  readonly partitions: number
  /** Default: as many as there are brokers. */
  readonly replication?: number
  readonly config?: Readonly<Record<string, string>>
}

/** Starts brokers, or takes the given ones; resolves when records can be stored and groups joined. */
export async function startKafka(options: KafkaServerOptions = {}): Promise<KafkaServer> {
  const given = testKafkaBrokers()
  if (given !== undefined && options.isOwn !== true) {
    const brokers = given.split(',')
    return new KafkaServer({ brokers, secureBrokers: [], adminBrokers: brokers, nodes: [] })
  }
  return startOwn(await prepareKafka(), options)
}

/** Installs Kafka and keeps its loaded classes, where that is not done yet. */
export async function prepareKafka(): Promise<KafkaInstall> {
  const install = findKafka()
  if (existsSync(install.classArchive)) return install
  const archive = `${install.classArchive}.${randomUUID()}`
  const javaOptions = [...ARCHIVE_JAVA_OPTIONS, `-XX:ArchiveClassesAtExit=${archive}`]
  const server = await startOwn(install, { javaOptions })
  // Java writes it when it ends by itself
  await server.terminate(1)
  await server.stop()
  if (existsSync(archive)) await rename(archive, install.classArchive)
  return install
}

async function startOwn(
  install: KafkaInstall,
  options: KafkaServerOptions,
  attempt = 1,
): Promise<KafkaServer> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-kafka-'))
  const free = new Set<number>()
  const portCount = (options.brokers ?? 1) * PORTS_PER_NODE
  while (free.size < portCount) free.add(await freePort())
  const ports = assignPorts([...free], options.advertisedPorts, options.advertisedSecurePorts)
  const nodes = await makeNodes(install, folder, ports, options)
  const server = new KafkaServer({
    brokers: ports.map(({ client }) => `127.0.0.1:${client}`),
    secureBrokers: ports.map(({ secure }) => `127.0.0.1:${secure}`),
    adminBrokers: ports.map(({ broker }) => `127.0.0.1:${broker}`),
    nodes,
    folder,
  })
  try {
    for (const node of nodes) node.start()
    await server.untilReady()
    return server
  } catch (error) {
    // another process may have taken one of the ports in between
    const isTaken = nodes.some(({ logTail }) => logTail.includes('Address already in use'))
    await server.stop()
    if (!isTaken || attempt === START_ATTEMPTS_MAX) throw error
    return startOwn(install, options, attempt + 1)
  }
}

async function makeNodes(
  install: KafkaInstall,
  folder: string,
  ports: readonly KafkaPorts[],
  { security, properties, javaOptions }: KafkaServerOptions,
): Promise<KafkaNode[]> {
  const nodes: KafkaNode[] = []
  const clusterId = randomKafkaId()
  for (let id = 1; id <= ports.length; id++) {
    const home = join(folder, `node-${id}`)
    await mkdir(home)
    const node = new KafkaNode({
      id,
      install,
      folder: home,
      properties: { ...nodeProperties(id, ports, security), ...properties },
      ...(javaOptions === undefined ? {} : { javaOptions }),
    })
    const [first] = nodes
    if (first === undefined) node.format(clusterId, scramUsers(security))
    else node.formatLike(first, clusterId)
    nodes.push(node)
  }
  return nodes
}

interface KafkaAddresses {
  readonly brokers: readonly string[]
  readonly secureBrokers: readonly string[]
  readonly adminBrokers: readonly string[]
  readonly nodes: readonly KafkaNode[]
  readonly folder?: string
}

export class KafkaServer {
  /** host:port of the plain listeners; node 1 first. */
  readonly brokers: readonly string[]
  /** host:port of the listeners with TLS or SASL; node 1 first. */
  readonly secureBrokers: readonly string[]
  readonly #adminBrokers: readonly string[]
  readonly #nodes: readonly KafkaNode[]
  readonly #folder: string | undefined

  constructor({ brokers, secureBrokers, adminBrokers, nodes, folder }: KafkaAddresses) {
    this.brokers = brokers
    this.secureBrokers = secureBrokers
    this.#adminBrokers = adminBrokers
    this.#nodes = nodes
    this.#folder = folder
  }

  /** Ids of the nodes that are ours to kill, from 1. */
  get nodeIds(): number[] {
    return this.#nodes.map(({ id }) => id)
  }

  isRunning(id: number): boolean {
    return this.#node(id).isRunning
  }

  pidOf(id: number): number | undefined {
    return this.#node(id).pid
  }

  /** kill -9. */
  async kill(id: number): Promise<void> {
    await this.#node(id).signal('SIGKILL')
  }

  /** SIGTERM: leaders move away first; the last of a quorum can't end by itself. */
  async terminate(id: number): Promise<void> {
    await this.#node(id).signal('SIGTERM')
  }

  /** SIGSTOP: connections stay open and nothing answers. */
  async freeze(id: number): Promise<void> {
    await this.#node(id).signal('SIGSTOP')
  }

  async thaw(id: number): Promise<void> {
    await this.#node(id).signal('SIGCONT')
  }

  /** Starts a killed node (kills it first where it runs); resolves when all nodes serve together. */
  async restart(id: number): Promise<void> {
    await this.kill(id)
    this.#node(id).start()
    await this.untilReady()
  }

  /** Starts a killed node and waits for nothing. */
  startNode(id: number): void {
    this.#node(id).start()
  }

  /** Ends all nodes and removes their data; given brokers go on. */
  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.signal('SIGKILL')))
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true })
  }

  /** All nodes that run serve, every partition can be written and groups have a coordinator. */
  async untilReady(): Promise<void> {
    const topic = 'tributary-ready'
    const running = this.#nodes.filter(({ isRunning }) => isRunning)
    await this.#poll(
      'Kafka is not ready',
      async (admin) => {
        const { brokers } = await admin.describeCluster()
        if (brokers.length < running.length) return false
        if (!(await admin.listTopics()).includes(topic)) {
          const replicationFactor = Math.max(1, this.#nodes.length)
          await admin.createTopics({
            waitForLeaders: false,
            topics: [{ topic, numPartitions: 1, replicationFactor }],
          })
        }
        await this.produce(topic, 0, [Buffer.from('ready')])
        // asking for a group makes the topic of group offsets
        await admin.fetchOffsets({ groupId: topic, topics: [topic] })
        return true
      },
      running,
    )
  }

  /** All replicas of all partitions are in sync. */
  async untilInSync(topic: string): Promise<void> {
    await this.#poll(`${topic} is not in sync`, async (admin) => {
      const partitions = await partitionsOf(admin, topic)
      return partitions.every(({ isr, replicas }) => isr.length === replicas.length)
    })
  }

  async createTopic(topic: string, options: TopicOptions): Promise<void> {
    const { partitions, replication = Math.max(1, this.#nodes.length), config = {} } = options
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    await this.withAdmin(async (admin) => {
      await admin.createTopics({
        waitForLeaders: false,
        topics: [
          { topic, numPartitions: partitions, replicationFactor: replication, configEntries },
        ],
      })
    })
    // the answer comes before every broker knows its leaders
    await this.untilInSync(topic)
  }

  /** Replaces all settings of the topic. */
  async alterTopic(topic: string, config: Readonly<Record<string, string>>): Promise<void> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    await this.withAdmin(async (admin) => {
      const TOPIC_RESOURCE = 2
      const resource = { type: TOPIC_RESOURCE, name: topic, configEntries }
      await admin.alterConfigs({ validateOnly: false, resources: [resource] })
    })
  }

  /** Raises the number of partitions. */
  async addPartitions(topic: string, count: number): Promise<void> {
    await this.withAdmin(async (admin) => {
      await admin.createPartitions({ topicPartitions: [{ topic, count }] })
    })
    await this.#poll(`${topic} does not grow`, async (admin) => {
      const partitions = await partitionsOf(admin, topic)
      return partitions.length === count && partitions.every(({ leader }) => leader >= 0)
    })
  }

  /** Resolves when the topic is gone and the name can be used again. */
  async deleteTopic(topic: string): Promise<void> {
    await this.withAdmin((admin) => admin.deleteTopics({ topics: [topic] }))
    await this.#poll(`${topic} is not gone`, async (admin) => {
      return !(await admin.listTopics()).includes(topic)
    })
  }

  /** Records below the offset are gone. */
  async deleteRecords(topic: string, partition: number, before: bigint): Promise<void> {
    const partitions = [{ partition, offset: String(before) }]
    await this.withAdmin(async (admin) => {
      // makes the client know the topic: the next call does not see to it itself
      await admin.fetchTopicOffsets(topic)
      await admin.deleteTopicRecords({ topic, partitions })
    })
  }

  async leaderOf(topic: string, partition: number): Promise<number> {
    return this.withAdmin(async (admin) => {
      const partitions = await partitionsOf(admin, topic)
      const found = partitions.find(({ partitionId }) => partitionId === partition)
      assert.ok(found, `no partition ${partition} of ${topic}`)
      return found.leader
    })
  }

  /** Makes another node lead a partition; takes some seconds. */
  async moveLeader(topic: string, partition: number, to: number): Promise<void> {
    await this.withAdmin(async (admin) => {
      const replicas = [to, ...this.nodeIds.filter((id) => id !== to)]
      await admin.alterPartitionReassignments({
        topics: [{ topic, partitionAssignment: [{ partition, replicas }] }],
      })
    })
    await this.#poll(`${topic} keeps its leader`, async (admin) => {
      const partitions = await partitionsOf(admin, topic)
      return partitions.some(
        ({ partitionId, leader }) => partitionId === partition && leader === to,
      )
    })
  }

  /** Stores records by a client that shares nothing with the one under test. */
  async produce(topic: string, partition: number, values: readonly Buffer[]): Promise<bigint> {
    const producer = this.#client().producer({
      retry: { retries: 0 },
      allowAutoTopicCreation: false,
    })
    await producer.connect()
    try {
      const messages = values.map((value) => ({ value, partition }))
      const [stored] = await producer.send({ topic, messages, acks: -1, timeout: 2000 })
      if (stored?.errorCode !== 0) throw new Error(`not stored: ${stored?.errorCode}`)
      return BigInt(stored.baseOffset ?? -1)
    } finally {
      await producer.disconnect()
    }
  }

  /** Commits what is sent in it, and a marker behind it. */
  async withTransaction(run: (transaction: Transaction) => Promise<void>): Promise<void> {
    const producer = this.#client().producer({
      transactionalId: randomUUID(),
      idempotent: true,
      maxInFlightRequests: 1,
    })
    await producer.connect()
    try {
      const transaction = await producer.transaction()
      await run(transaction)
      await transaction.commit()
    } finally {
      await producer.disconnect()
    }
  }

  /** Runs calls of kafkajs's admin client on a connection of their own, past any proxy. */
  async withAdmin<T>(run: (admin: Admin) => Promise<T>): Promise<T> {
    for (const deadline = Date.now() + WAIT_TIMEOUT_MS; ;) {
      const admin = this.#client().admin()
      try {
        await admin.connect()
        return await run(admin)
      } catch (error) {
        // it picked a broker that is down or frozen, and sent nothing; the next pick is another
        if (!isUnconnected(error) || Date.now() > deadline) throw error
        await sleep(POLL_MS)
      } finally {
        await admin.disconnect()
      }
    }
  }

  /** Begins at a broker that is awake: at a frozen one kafkajs stays for 40 s, however many others there are. */
  #client(): Kafka {
    const awake = this.#adminBrokers.filter((_, index) => this.#nodes[index]?.isAwake)
    return createKafkajs({
      brokers: awake.length > 0 ? awake : this.#adminBrokers,
      clientId: 'test-server',
      connectTimeoutMs: 2000,
      requestTimeoutMs: 10_000,
      sasl: undefined,
    })
  }

  /** Asks until it is so; gives up in time, and at once when one of `nodes` has ended. */
  async #poll(
    problem: string,
    isDone: (admin: Admin) => Promise<boolean>,
    nodes: readonly KafkaNode[] = [],
  ): Promise<void> {
    let lastError: unknown
    for (const deadline = Date.now() + WAIT_TIMEOUT_MS; Date.now() < deadline;) {
      if (nodes.some(({ isRunning }) => !isRunning)) break
      try {
        if (await this.withAdmin(isDone)) return
      } catch (error) {
        lastError = error
      }
      await sleep(POLL_MS)
    }
    const logs = this.#nodes.map(({ id, logTail }) => `node ${id}: ${logTail}`).join('\n')
    throw new Error(`${problem}\n${logs}`, { cause: lastError })
  }

  #node(id: number): KafkaNode {
    const node = this.#nodes.find((candidate) => candidate.id === id)
    if (node === undefined) throw new Error('TRIBUTARY_KAFKA_BROKERS are not ours to stop')
    return node
  }
}

function isUnconnected(error: unknown): boolean {
  return error instanceof Error && error.message === 'Broker not connected'
}

async function partitionsOf(admin: Admin, topic: string): Promise<PartitionMetadata[]> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  return topics[0]?.partitions ?? []
}
