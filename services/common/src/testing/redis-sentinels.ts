/**
 * A master, its replica and three sentinels for tests. `cutReplication` lets the master go on while the
 * replica learns nothing: what is written then is lost by a failover.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { RedisServer } from './redis-server.ts'

const SENTINELS = 3
const QUORUM = 2
const DOWN_AFTER_MS = 1000
const WAIT_MS = 30_000
const RETRY_MS = 50
const REPLICATION = { name: 'replication', password: 'test-replication' }

export class RedisSentinels {
  readonly masterName = 'tributary-test'
  readonly servers: readonly RedisServer[]
  readonly #sentinels: readonly RedisServer[]

  private constructor(servers: readonly RedisServer[], sentinels: readonly RedisServer[]) {
    this.servers = servers
    this.#sentinels = sentinels
  }

  /** Resolves when the sentinels know the replica and each other. */
  static async start(): Promise<RedisSentinels> {
    const master = await RedisServer.start(replicatedOptions())
    const follow = `replicaof ${master.host} ${master.port}`
    const replica = await RedisServer.start(replicatedOptions(follow))
    // sentinels ask a master for its replicas every 10 s only: it must have them at the first time
    await untilReplicated(master)
    const sentinels = await Promise.all(
      Array.from({ length: SENTINELS }, () => startSentinel('tributary-test', master)),
    )
    const set = new RedisSentinels([master, replica], sentinels)
    await set.#untilWatched()
    return set
  }

  /** host:port of each, for clients. */
  get addresses(): readonly string[] {
    return this.#sentinels.map(({ host, port }) => `${host}:${port}`)
  }

  get sentinels(): readonly RedisServer[] {
    return this.#sentinels
  }

  /** The server that the sentinels call the master now. */
  async master(): Promise<RedisServer> {
    const port = await this.#masterPort()
    const server = this.servers.find((one) => one.port === port)
    if (server === undefined) throw new Error(`sentinels name a master that is none: ${port}`)
    return server
  }

  /** Waits until the sentinels have made another server the master. */
  async untilMasterIsNot(old: RedisServer): Promise<RedisServer> {
    await until('a failover', async () => (await this.#masterPort()) !== old.port)
    const master = await this.master()
    await until('a new master', async () =>
      (await master.admin.info('replication')).includes('role:master'),
    )
    return master
  }

  async cutReplication(): Promise<void> {
    const { admin } = await this.master()
    await admin.acl('SETUSER', REPLICATION.name, 'off')
    await admin.client('KILL', 'USER', REPLICATION.name)
  }

  async healReplication(): Promise<void> {
    const { admin } = await this.master()
    await admin.acl('SETUSER', REPLICATION.name, 'on')
  }

  /** Resolves when the replica has all that the master has now. */
  async untilReplicated(): Promise<void> {
    await untilReplicated(await this.master())
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#sentinels, ...this.servers].map((server) => server.stop()))
  }

  async #masterPort(): Promise<number> {
    const [sentinel] = this.#sentinels
    const address = await sentinel!.admin.call(
      'SENTINEL',
      'GET-MASTER-ADDR-BY-NAME',
      this.masterName,
    )
    return Number((address as readonly string[])[1])
  }

  async #untilWatched(): Promise<void> {
    for (const { admin } of this.#sentinels) {
      await until('sentinels', async () => {
        const replicas = await admin.call('SENTINEL', 'REPLICAS', this.masterName)
        const others = await admin.call('SENTINEL', 'SENTINELS', this.masterName)
        return (
          (replicas as readonly unknown[]).length === 1 &&
          (others as readonly unknown[]).length === SENTINELS - 1
        )
      })
    }
  }
}

async function untilReplicated({ admin }: RedisServer): Promise<void> {
  await until('replication', async () => (await admin.wait(1, 100)) >= 1)
}

function replicatedOptions(...more: readonly string[]) {
  return {
    user: { ...REPLICATION, rules: '+psync +replconf +ping' },
    configuration: [
      `masteruser ${REPLICATION.name}`,
      `masterauth ${REPLICATION.password}`,
      ...more,
    ],
  }
}

function startSentinel(name: string, master: RedisServer): Promise<RedisServer> {
  const configuration = [
    `sentinel monitor ${name} ${master.host} ${master.port} ${QUORUM}`,
    `sentinel down-after-milliseconds ${name} ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout ${name} 5000`,
  ]
  return RedisServer.start({ configuration }, ['--sentinel'])
}

async function until(what: string, isDone: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + WAIT_MS; Date.now() < deadline;) {
    if (await isDone()) return
    await sleep(RETRY_MS)
  }
  throw new Error(`waited in vain for ${what}`)
}
