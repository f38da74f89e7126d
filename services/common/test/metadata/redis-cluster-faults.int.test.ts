/**
 * Cluster metadata before a real Redis that is slow, stopped, emptied, set back, full, read-only or
 * replaced. Each party beats as a process does, with a short time to live.
 */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import type {
  AcquireOutcome,
  ClusterView,
  Lease,
} from '@tributary/common/metadata/cluster-metadata'
import type { RedisConnectionOptions } from '@tributary/common/metadata/redis-connection'
import { AppError } from '@tributary/common/errors'
import { CallLedger } from '@tributary/common/metadata/call-ledger'
import { leaseStanding, mayTakeOver } from '@tributary/common/metadata/lease-standing'
import { plainRedisAddress } from '@tributary/common/metadata/redis-address'
import { RedisClusterMetadata } from '@tributary/common/metadata/redis-cluster-metadata'
import { RedisSentinels } from '@tributary/common/testing/redis-sentinels'
import { RedisServer } from '@tributary/common/testing/redis-server'
import { TcpProxy } from '@tributary/common/testing/tcp-proxy'
import { memberNamed } from './cluster-metadata-contract.ts'
import { connectTo } from './redis-parties.ts'

const TIMING = { beatIntervalMs: 100, memberTimeToLiveMs: 1000 }
const WAIT_MS = 20_000

type Place = { readonly host: string; readonly port: number }

async function startServer(): Promise<RedisServer> {
  const server = await RedisServer.start()
  after(() => server.stop())
  return server
}

async function connectMetadata(
  place: Place,
  options: Partial<RedisConnectionOptions> & { readonly ledger?: CallLedger } = {},
): Promise<RedisClusterMetadata> {
  const { ledger, ...more } = options
  const connection = await connectTo(place, { timeoutMs: 300, ...more })
  const metadata = new RedisClusterMetadata({
    ...{ connection, prefix: 'faults' },
    ...(ledger === undefined ? {} : { ledger }),
  })
  after(() => metadata.close())
  return metadata
}

/** A process that beats, keeps what it owns and takes what it wants, by the rules of ingesters. */
class Party {
  readonly id: string
  readonly metadata: RedisClusterMetadata
  readonly wanted = new Set<number>()
  /** Epochs of what it owns. */
  readonly owned = new Map<number, number>()
  readonly incarnations = new Set<string>()
  /** Epochs that it was given, in order: they must ascend. */
  readonly given: number[] = []
  failures = 0
  /** Turns that the store answered. */
  turns = 0
  #isRunning = true
  #requests = 0
  readonly #loop: Promise<void>

  constructor(id: string, metadata: RedisClusterMetadata) {
    this.id = id
    this.metadata = metadata
    this.#loop = this.#run()
    after(() => this.die())
  }

  /** Stops as a killed process does. */
  async die(): Promise<void> {
    this.#isRunning = false
    await this.#loop
  }

  async #run(): Promise<void> {
    while (this.#isRunning) {
      try {
        await this.#turn(await this.metadata.beat(memberNamed(this.id), TIMING.memberTimeToLiveMs))
        this.turns++
      } catch (error) {
        assert.ok(error instanceof AppError && error.code === 'metadata_unavailable')
        this.failures++
      }
      await sleep(TIMING.beatIntervalMs)
    }
  }

  async #turn(view: ClusterView): Promise<void> {
    this.incarnations.add(view.incarnation)
    for (const [partition, epoch] of this.owned) {
      const standing = leaseStanding(view.leases.get(partition), this.id, epoch)
      if (standing === 'lost') this.owned.delete(partition)
      if (standing === 'reclaim') await this.#acquire(partition, epoch)
    }
    if (!mayTakeOver(view, TIMING)) return
    for (const partition of this.wanted) {
      if (!this.owned.has(partition) && !isHeld(view.leases.get(partition))) {
        await this.#acquire(partition, 0)
      }
    }
  }

  async #acquire(partition: number, epochFloor: number): Promise<void> {
    const requestId = `${this.id}-${++this.#requests}`
    const request = { partition, member: this.id, epochFloor, requestId }
    const outcome: AcquireOutcome = await this.metadata.acquire(request)
    if (outcome.kind === 'held') return void this.owned.delete(partition)
    this.owned.set(partition, outcome.epoch)
    this.given.push(outcome.epoch)
  }
}

function isHeld(lease: Lease | undefined): boolean {
  return lease !== undefined && lease.owner !== ''
}

/** Two parties on one server: `a` owns partition 0 and `b` wants it. */
async function ownerAndRival(place: Place): Promise<{ a: Party; b: Party }> {
  const a = new Party('a', await connectMetadata(place))
  a.wanted.add(0)
  await until(() => a.owned.has(0))
  const b = new Party('b', await connectMetadata(place))
  b.wanted.add(0)
  await until(() => b.incarnations.size > 0)
  return { a, b }
}

async function until(isTrue: () => boolean): Promise<void> {
  for (const deadline = Date.now() + WAIT_MS; !isTrue();) {
    assert.ok(Date.now() < deadline, `waited in vain for ${String(isTrue)}`)
    await sleep(10)
  }
}

/** Tries until it works: for what comes back by itself. */
async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + WAIT_MS; ;) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await sleep(20)
    }
  }
}

function failsWith(reason: string) {
  return (error: unknown): boolean =>
    error instanceof AppError && error.details['reason'] === reason
}

describe('leases in a real Redis', () => {
  it('go to exactly one of those who race for them', async () => {
    const server = await startServer()
    const racers = await Promise.all(
      Array.from({ length: 6 }, async (_, at) => {
        const metadata = await connectMetadata(server, { timeoutMs: 5000 })
        await metadata.beat(memberNamed(`racer-${at}`), 60_000)
        return { id: `racer-${at}`, metadata }
      }),
    )
    for (let partition = 0; partition < 50; partition++) {
      const outcomes = await Promise.all(
        racers.map(({ id, metadata }) => {
          const requestId = `${id}-${partition}`
          return metadata.acquire({ partition, member: id, epochFloor: 0, requestId })
        }),
      )
      const winners = outcomes.flatMap(({ kind }, at) =>
        kind === 'acquired' ? [racers[at]!.id] : [],
      )
      assert.equal(winners.length, 1, `partition ${partition} went to ${winners.join(' and ')}`)
      for (const outcome of outcomes) {
        if (outcome.kind === 'held') assert.equal(outcome.lease.owner, winners[0])
      }
    }
  })

  it('are known again to who asked and heard no answer', async () => {
    const server = await startServer()
    const proxy = await TcpProxy.start({ targetPort: server.port })
    after(() => proxy.stop())
    const place = { host: '127.0.0.1', port: proxy.port }
    const metadata = await connectMetadata(place, { timeoutMs: 5000 })
    await metadata.beat(memberNamed('a'), 60_000)
    const request = { partition: 0, member: 'a', epochFloor: 7, requestId: 'one' }
    // the server knows the script from now on: the next answer is that of the call itself
    await metadata.acquire({ ...request, partition: 1, requestId: 'other' })
    proxy.cutAfter('down', 0)
    await assert.rejects(metadata.acquire(request), failsWith('disconnected'))
    await proxy.heal()
    const direct = await connectMetadata(server)
    assert.equal((await direct.view()).leases.get(0)?.epoch, 8)
    const outcome = await eventually(() => metadata.acquire(request))
    assert.deepEqual(outcome, { kind: 'acquired', epoch: 8 })
  })

  it('are not touched by a call that comes late, after others of the same process', async () => {
    const server = await startServer()
    const proxy = await TcpProxy.start({ targetPort: server.port })
    after(() => proxy.stop())
    const ledger = new CallLedger()
    const slow = await connectMetadata({ host: '127.0.0.1', port: proxy.port }, { ledger })
    const quick = await connectMetadata(server, { ledger })
    const member = memberNamed('a')
    await slow.beat(member, 60_000)
    await slow.acquire({ partition: 0, member: 'a', epochFloor: 0, requestId: 'own' })
    proxy.impair('up', { isHeld: true })
    const calls = [
      slow.acquire({ partition: 1, member: 'a', epochFloor: 0, requestId: 'late' }),
      slow.release(0, 'a', 1),
      slow.leave('a'),
    ]
    for (const call of calls) await assert.rejects(call, failsWith('timeout'))
    await quick.beat(member, 60_000)
    const before = proxy.counts.down
    proxy.impair('up', {})
    // the server has answered them: they were executed
    await until(() => proxy.counts.down > before)
    const view = await quick.beat(member, 60_000)
    assert.deepEqual([...view.leases.values()], [{ partition: 0, owner: 'a', epoch: 1 }])
    assert.equal(view.members.length, 1)
  })

  it('go on over SCRIPT FLUSH', async () => {
    const server = await startServer()
    const metadata = await connectMetadata(server)
    await metadata.beat(memberNamed('a'), 60_000)
    await server.admin.script('FLUSH')
    const request = { partition: 0, member: 'a', epochFloor: 0, requestId: 'one' }
    assert.deepEqual(await metadata.acquire(request), { kind: 'acquired', epoch: 1 })
  })
})

describe('owners before a Redis in trouble', { concurrency: 3 }, () => {
  it('are left alone while nobody reaches it, and after', async () => {
    const server = await startServer()
    const { a, b } = await ownerAndRival(server)
    const [failuresOfA, failuresOfB] = [a.failures, b.failures]
    server.pause()
    await sleep(3 * TIMING.memberTimeToLiveMs)
    assert.ok(a.failures > failuresOfA && b.failures > failuresOfB)
    server.resume()
    const metadata = await connectMetadata(server, { timeoutMs: 5000 })
    for (let look = 0; look < 20; look++) {
      const { leases } = await metadata.view()
      assert.deepEqual(leases.get(0), { partition: 0, owner: 'a', epoch: a.given[0] })
      await sleep(TIMING.beatIntervalMs)
    }
    assert.deepEqual(a.given.length, 1)
    assert.equal(b.owned.size, 0)
  })

  it('keep what they own when it restarts with its data', async () => {
    const server = await startServer()
    const { a, b } = await ownerAndRival(server)
    await server.kill()
    await sleep(2 * TIMING.memberTimeToLiveMs)
    await server.restart()
    const turns = b.turns
    await until(() => b.turns > turns && a.owned.has(0))
    await sleep(2 * TIMING.memberTimeToLiveMs)
    assert.equal(a.given.length, 1)
    assert.equal(a.incarnations.size, 1)
    assert.equal(b.owned.size, 0)
  })

  it('claim again what they own after FLUSHALL, above their epoch, and nobody else does', async () => {
    const server = await startServer()
    const { a, b } = await ownerAndRival(server)
    for (let time = 1; time <= 3; time++) {
      await server.admin.flushall()
      await until(() => a.given.length === 1 + time)
      await until(() => b.incarnations.size >= 1 + time)
    }
    await sleep(2 * TIMING.memberTimeToLiveMs)
    assert.deepEqual(
      a.given,
      a.given.toSorted((x, y) => x - y),
    )
    assert.equal(a.given.length, 4)
    assert.equal(b.given.length, 0)
  })

  it('win over the owners of an old backup', async () => {
    const server = await startServer()
    const { a, b } = await ownerAndRival(server)
    const backup = await server.backup()
    await a.die()
    await until(() => b.owned.has(0))
    const rival = new Party('c', await connectMetadata(server))
    rival.wanted.add(0)
    await until(() => rival.incarnations.size > 0)
    const incarnations = b.incarnations.size
    await server.restartFrom(backup)
    await until(() => b.incarnations.size > incarnations && b.given.length > 1)
    await sleep(2 * TIMING.memberTimeToLiveMs)
    assert.ok(b.owned.has(0))
    assert.ok(b.given.at(-1)! > b.given[0]!)
    assert.equal(rival.given.length, 0)
  })

  it('hand over to a rival when they die, not before', async () => {
    const server = await startServer()
    const { a, b } = await ownerAndRival(server)
    await a.die()
    const diedAtMs = performance.now()
    await until(() => b.owned.has(0))
    assert.ok(performance.now() - diedAtMs > TIMING.memberTimeToLiveMs / 2)
    assert.equal(b.given[0], a.given[0]! + 1)
  })

  it('keep what a failover made it forget', async () => {
    const set = await RedisSentinels.start()
    after(() => set.stop())
    const sentinels = set.addresses.map((address) => {
      const [host, port] = address.split(':')
      return { host: host!, port: Number(port) }
    })
    const address = { ...plainRedisAddress('', 0), sentinels, sentinelMaster: set.masterName }
    const connect = () => connectMetadata({ host: '', port: 0 }, { address, timeoutMs: 1000 })
    const a = new Party('a', await connect())
    const b = new Party('b', await connect())
    b.wanted.add(0)
    await until(() => b.owned.has(0))
    await set.untilReplicated()
    const master = await set.master()
    await set.cutReplication()
    // b gives the partition away and a takes it: the replica never hears of it
    b.wanted.clear()
    const [epoch] = b.owned.values()
    b.owned.clear()
    await b.metadata.release(0, 'b', epoch!)
    a.wanted.add(0)
    await until(() => a.owned.has(0))
    await master.kill()
    b.wanted.add(0)
    await set.untilMasterIsNot(master)
    await until(() => a.incarnations.size > 1 && a.given.length > 1)
    await sleep(3 * TIMING.memberTimeToLiveMs)
    assert.ok(a.owned.has(0))
    assert.ok(a.given.at(-1)! > a.given[0]!)
    assert.deepEqual([...b.owned], [])
    assert.equal(b.given.length, 1)
  })
})

describe('cluster metadata that Redis refuses', () => {
  it('reads while there is no memory, and says so for writes', async () => {
    const server = await startServer()
    const metadata = await connectMetadata(server)
    await metadata.beat(memberNamed('a'), 60_000)
    await server.admin.config('SET', 'maxmemory', '1')
    const request = { partition: 0, member: 'a', epochFloor: 0, requestId: 'one' }
    await assert.rejects(metadata.acquire(request), failsWith('out_of_memory'))
    await assert.rejects(metadata.beat(memberNamed('a'), 60_000), failsWith('out_of_memory'))
    assert.equal((await metadata.view()).members.length, 1)
    await server.admin.config('SET', 'maxmemory', '0')
    assert.deepEqual(await metadata.acquire(request), { kind: 'acquired', epoch: 1 })
  })

  it('takes a replica for none, and goes on when it is the master again', async () => {
    const [first, second] = [await startServer(), await startServer()]
    const metadata = await connectMetadata(first)
    await metadata.beat(memberNamed('a'), 60_000)
    await first.admin.replicaof(second.host, second.port)
    await assert.rejects(metadata.beat(memberNamed('a'), 60_000), failsWith('read_only'))
    await first.admin.replicaof('NO', 'ONE')
    const view = await eventually(() => metadata.beat(memberNamed('a'), 60_000))
    assert.equal(view.members.length, 1)
  })

  it('refuses a member too many', async () => {
    const server = await startServer()
    const metadata = await connectMetadata(server, { timeoutMs: 5000 })
    for (let count = 0; count < 1000; count++) {
      await server.admin.hset('{faults}:lives', `m${count}`, '99999999999 5000 0 0 x 1')
    }
    await assert.rejects(metadata.beat(memberNamed('a'), 60_000), failsWith('full'))
  })

  it('reads past what others wrote into its hashes', async () => {
    const server = await startServer()
    const metadata = await connectMetadata(server)
    await metadata.beat(memberNamed('a'), 60_000)
    const life = '99999999999 5000 0 0 x 1'
    await server.admin.hset('{faults}:lives', 'x', 'nonsense', 'y', life, 'z', life)
    await server.admin.hset('{faults}:members', 'y', '{"id":1}', 'w', 'nonsense')
    await server.admin.hset('{faults}:leases', 'x', '1 a r', '0', 'nonsense', '1', '7 nobody r')
    const view = await metadata.beat(memberNamed('a'), 60_000)
    assert.deepEqual(view.members, [memberNamed('a')])
    assert.deepEqual([...view.leases.values()], [{ partition: 1, owner: '', epoch: 7 }])
    const request = { partition: 0, member: 'a', epochFloor: 3, requestId: 'one' }
    assert.deepEqual(await metadata.acquire(request), { kind: 'acquired', epoch: 4 })
    await server.admin.set('{faults}:leases', 'a text')
    await assert.rejects(metadata.view(), failsWith('wrong_type'))
  })
})
