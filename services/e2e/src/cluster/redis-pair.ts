/**
 * A Redis and its replica, as a hosted Redis is one address that moves: the lines of the cluster point
 * at the master, and `failOver` promotes the replica and turns them. What the master took while the
 * replication was held is lost by that.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { RedisServer } from '@tributary/common/testing/redis-server'
import { TcpProxy } from '@tributary/common/testing/tcp-proxy'

const REPLICATION_WAIT_MS = 10_000
const POLL_MS = 20

export class RedisPair {
  #master: RedisServer
  #replica: RedisServer
  readonly #lines: TcpProxy[] = []
  /** Between the two, towards whoever is the master. */
  readonly #replication: TcpProxy

  private constructor(master: RedisServer, replica: RedisServer, replication: TcpProxy) {
    this.#master = master
    this.#replica = replica
    this.#replication = replication
  }

  static async start(): Promise<RedisPair> {
    const master = await RedisServer.start()
    const replication = await TcpProxy.start({ targetPort: master.port })
    const replica = await RedisServer.start()
    const pair = new RedisPair(master, replica, replication)
    await pair.#follow()
    return pair
  }

  get master(): RedisServer {
    return this.#master
  }

  get replica(): RedisServer {
    return this.#replica
  }

  /** Turned to the new master by a failover. */
  attach(line: TcpProxy): void {
    line.retarget(this.#master.port)
    this.#lines.push(line)
  }

  holdReplication(): void {
    this.#replication.impair('both', { isHeld: true })
  }

  /** Makes the replica a master that knows nothing of the old one; lines of `share` turn to it. */
  async promote(isTurned: (index: number) => boolean): Promise<void> {
    this.#replication.cut()
    await this.#replica.admin.call('REPLICAOF', 'NO', 'ONE')
    this.#lines.forEach((line, index) => {
      if (!isTurned(index)) return
      line.retarget(this.#replica.port)
      line.cut()
    })
  }

  /** All lines lead to the promoted one, and the old master follows it, losing what it had alone. */
  async settle(): Promise<void> {
    const old = this.#master
    this.#master = this.#replica
    this.#replica = old
    await this.#replication.heal()
    this.#replication.retarget(this.#master.port)
    for (const line of this.#lines) {
      line.retarget(this.#master.port)
      line.cut()
    }
    await this.#follow()
  }

  async stop(): Promise<void> {
    await this.#replication.stop()
    await this.#master.stop()
    await this.#replica.stop()
  }

  async #follow(): Promise<void> {
    const { admin } = this.#replica
    await admin.call('REPLICAOF', '127.0.0.1', String(this.#replication.port))
    for (const until = Date.now() + REPLICATION_WAIT_MS; Date.now() < until;) {
      if ((await admin.info('replication')).includes('master_link_status:up')) return
      await sleep(POLL_MS)
    }
    throw new Error('the replica does not follow')
  }
}
