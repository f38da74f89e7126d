/**
 * The scripts and their twin in memory do the same: random sequences of calls, with late and repeated
 * ones, lost answers, clocks that jump, FLUSHALL and old backups, are given to both; after each call
 * both hold the same and have answered the same. FUZZ_SEED and FUZZ_SECONDS as everywhere.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import type { CallStamp } from '@tributary/common/metadata/call-ledger'
import type {
  RedisArgument,
  RedisConnection,
  RedisReply,
} from '@tributary/common/metadata/redis-connection'
import type { RedisScript } from '@tributary/common/metadata/redis-connection'
import * as scripts from '@tributary/common/metadata/cluster-scripts'
import { CallLedger } from '@tributary/common/metadata/call-ledger'
import { LEFT_MEMBER_KEPT_MS, MEMBERS_MAX } from '@tributary/common/metadata/cluster-metadata'
import { RedisKeyKind, redisKey } from '@tributary/common/metadata/redis-keys'
import { fuzzAsync } from '@tributary/common/testing/fuzz-run'
import { MemoryClusterState } from '@tributary/common/testing/memory-cluster-state'
import { redisForTests } from '@tributary/common/testing/redis-server'
import type { SharedRedis } from '@tributary/common/testing/redis-server'
import { SeededRandom } from '@tributary/common/testing/seeded-random'
import { connectTo } from './redis-parties.ts'
import { memberNamed } from './cluster-metadata-contract.ts'

const CALLS_PER_CASE = 80
const MEMBERS = ['a', 'b', 'c', 'd']
const PARTITIONS = 3

/** One call as both sides take it; it may be executed later than made, or twice. */
interface Call {
  readonly what: string
  readonly member: string
  readonly stamp: CallStamp
  readonly script: RedisScript
  readonly args: readonly RedisArgument[]
  /** What the twin answers, in the words of the script. */
  readonly inMemory: (state: MemoryClusterState, nowMs: number) => readonly unknown[]
}

class Twins {
  readonly state = new MemoryClusterState()
  readonly random: SeededRandom
  readonly #connection: RedisConnection
  readonly #keys: readonly string[]
  readonly #ledgers = new Map<string, CallLedger>()
  #backups: { memory: ReturnType<MemoryClusterState['snapshot']>; redis: readonly RedisReply[] }[] =
    []
  #late: Call[] = []
  #nowMs = 1_800_000_000_000

  constructor(connection: RedisConnection, prefix: string, seed: number) {
    this.#connection = connection
    this.#keys = Object.values(RedisKeyKind)
      .filter((kind) => ['cluster', 'lives', 'members', 'leases'].includes(kind))
      .map((kind) => redisKey(prefix, kind))
    this.random = new SeededRandom(seed)
  }

  async step(): Promise<void> {
    const { random } = this
    this.#nowMs += random.pick([0, 1, 300, 300, 1000, 1000, 1000, 3000, 20_000, -5000, 3_600_000])
    const dice = random.fraction()
    if (dice < 0.03) await this.#flushAll()
    else if (dice < 0.06) await this.#backup()
    else if (dice < 0.09) await this.#restore()
    else if (dice < 0.2 && this.#late.length > 0)
      await this.#execute(random.pick(this.#late), false)
    else {
      const call = this.#makeCall()
      if (random.chance(0.15)) this.#late.push(call)
      else await this.#execute(call, random.chance(0.85))
    }
    await this.#compareStates()
  }

  async clear(): Promise<void> {
    await this.#connection.command('DEL', ...this.#keys)
  }

  #makeCall(): Call {
    const { random } = this
    const member = random.pick(MEMBERS)
    if (random.chance(0.02)) this.#ledgers.delete(member)
    const stamp = this.#ledgerOf(member).stamp(member)
    const partition = random.below(PARTITIONS)
    const epoch = random.below(6)
    const dice = random.fraction()
    if (dice < 0.45) return this.#beat(member, stamp)
    if (dice < 0.8) return this.#acquire(member, stamp, partition, random.pick([0, 0, epoch]))
    if (dice < 0.95) return this.#release(member, stamp, partition)
    return {
      ...{ what: `leave ${member}`, member, stamp, script: scripts.LEAVE_SCRIPT },
      args: [LEFT_MEMBER_KEPT_MS],
      inMemory: (state, nowMs) => {
        const { incarnation, revision, isOvertaken } = state.leave(stamp, member, nowMs)
        return [incarnation, String(revision), isOvertaken ? 'overtaken' : 'done']
      },
    }
  }

  #beat(id: string, stamp: CallStamp): Call {
    const ttlMs = this.random.pick([5000, 5000, 2000])
    const member = memberNamed(id, { status: `"${this.random.below(10)}"` })
    return {
      ...{ what: `beat ${id}`, member: id, stamp, script: scripts.BEAT_SCRIPT },
      args: [ttlMs, MEMBERS_MAX, JSON.stringify(member)],
      inMemory: (state, nowMs) => {
        const { incarnation, revision, view } = state.beat(stamp, member, ttlMs, nowMs)
        const living = view.members.map((one) => one.id).sort()
        return [incarnation, String(revision), String(view.incarnationAgeMs), living]
      },
    }
  }

  #acquire(member: string, stamp: CallStamp, partition: number, epochFloor: number): Call {
    const requestId = `r${this.random.below(8)}`
    return {
      ...{ what: `acquire ${member} ${partition} ${epochFloor} ${requestId}`, member, stamp },
      script: scripts.ACQUIRE_SCRIPT,
      args: [partition, epochFloor, requestId],
      inMemory: (state, nowMs) => {
        const request = { partition, member, epochFloor, requestId }
        const { incarnation, revision, outcome } = state.acquire(stamp, request, nowMs)
        const head = [incarnation, String(revision)]
        if (outcome === 'overtaken') return [...head, 'overtaken', '0', '']
        if (outcome.kind === 'acquired') return [...head, 'acquired', String(outcome.epoch), member]
        return [...head, 'held', String(outcome.lease.epoch), outcome.lease.owner]
      },
    }
  }

  #release(member: string, stamp: CallStamp, partition: number): Call {
    const lease = this.state.snapshot().leases.find(([known]) => known === partition)
    const epoch = this.random.chance(0.8) ? (lease?.[1].epoch ?? 0) : this.random.below(6)
    return {
      ...{ what: `release ${member} ${partition} ${epoch}`, member, stamp },
      script: scripts.RELEASE_SCRIPT,
      args: [partition, epoch],
      inMemory: (state, nowMs) => {
        const answer = state.release(stamp, partition, member, epoch, nowMs)
        const outcome = answer.isOvertaken ? 'overtaken' : 'done'
        return [answer.incarnation, String(answer.revision), outcome]
      },
    }
  }

  async #execute(call: Call, isAnswerHeard: boolean): Promise<void> {
    const { sender, sequence, answered, incarnation, revision, freshId } = call.stamp
    const head = [
      call.member,
      sender,
      sequence,
      answered,
      incarnation,
      revision,
      freshId,
      this.#nowMs,
    ]
    const reply = await this.#connection.run(call.script, this.#keys, [...head, ...call.args])
    assert.ok(Array.isArray(reply))
    const answer = call.inMemory(this.state, this.#nowMs)
    // the members of a view come in no order; leases are compared with the state
    const heard = reply.slice(0, answer.length)
    if (Array.isArray(heard[3])) heard[3] = heard[3].toSorted()
    assert.deepEqual(heard, answer, call.what)
    if (!isAnswerHeard) return
    this.#ledgerOf(call.member).note(call.member, call.stamp, String(reply[0]), Number(reply[1]))
  }

  async #compareStates(): Promise<void> {
    const { members, leases, ...cluster } = this.state.snapshot()
    const inMemory = [
      cluster.incarnation === ''
        ? {}
        : {
            incarnation: cluster.incarnation,
            age: String(cluster.ageMs),
            touched: String(cluster.touchedMs),
            step: String(cluster.stepMs),
            revision: String(cluster.revision),
          },
      Object.fromEntries(
        members.map(([id, stored]) => {
          const { deadlineMs, timeToLiveMs, isExtended, sender, sequence, member } = stored
          const flags = [isExtended ? 1 : 0, member === undefined ? 1 : 0]
          return [id, [deadlineMs, timeToLiveMs, ...flags, sender, sequence].join(' ')]
        }),
      ),
      Object.fromEntries(
        members.flatMap(([id, { member }]) => {
          return member === undefined ? [] : [[id, JSON.stringify(member)]]
        }),
      ),
      Object.fromEntries(
        leases.map(([partition, stored]) => {
          const { epoch, owner, requestId } = stored
          return [String(partition), `${epoch} ${owner} ${requestId}`]
        }),
      ),
    ]
    const inRedis: Record<string, string>[] = []
    for (const key of this.#keys) {
      const flat = (await this.#connection.command('HGETALL', key)) as readonly string[]
      const entries = flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1]!]] : []))
      inRedis.push(Object.fromEntries(entries) as Record<string, string>)
    }
    assert.deepEqual(inRedis, inMemory)
  }

  async #flushAll(): Promise<void> {
    this.state.flushAll()
    await this.clear()
  }

  async #backup(): Promise<void> {
    const redis: RedisReply[] = []
    for (const key of this.#keys) redis.push(await this.#connection.command('HGETALL', key))
    this.#backups = [...this.#backups.slice(-3), { memory: this.state.snapshot(), redis }]
  }

  async #restore(): Promise<void> {
    if (this.#backups.length === 0) return
    const { memory, redis } = this.random.pick(this.#backups)
    this.state.restore(memory)
    await this.clear()
    for (const [index, key] of this.#keys.entries()) {
      const flat = redis[index] as readonly string[]
      if (flat.length > 0) await this.#connection.command('HSET', key, ...flat)
    }
  }

  #ledgerOf(member: string): CallLedger {
    let ledger = this.#ledgers.get(member)
    if (ledger === undefined) {
      ledger = new CallLedger(() => this.random.uint64().toString(16))
      this.#ledgers.set(member, ledger)
    }
    return ledger
  }
}

describe('the scripts of cluster metadata', () => {
  let redis: SharedRedis
  let connection: RedisConnection
  before(async () => {
    redis = await redisForTests()
    const { hostname, port } = new URL(redis.url)
    connection = await connectTo({ host: hostname, port: Number(port || 6379) })
  })
  after(async () => {
    connection.close()
    await redis.stop()
  })

  it('do what their twin in memory does', async () => {
    await fuzzAsync(async (seed) => {
      const twins = new Twins(connection, redis.prefix, seed)
      try {
        for (let call = 0; call < CALLS_PER_CASE; call++) await twins.step()
      } finally {
        await twins.clear()
      }
    })
  })
})
