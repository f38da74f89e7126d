/**
 * Cluster metadata in Redis: every call is one script (cluster-scripts.ts), so one atomic step and one
 * round trip. Only this connection writes for its process, so its calls arrive in the order in which
 * they were made, and a late one of an old connection is known by its number (call-ledger.ts).
 */
import type { AcquireOutcome, AcquireRequest } from './cluster-metadata.ts'
import type { ClusterMetadata, ClusterView, Lease, Member } from './cluster-metadata.ts'
import type { CallStamp } from './call-ledger.ts'
import type { RedisArgument, RedisConnection } from './redis-connection.ts'
import type { RedisCommand, RedisReply, RedisScript } from './redis-connection.ts'
import type { Clock } from '../clock.ts'
import { CallLedger } from './call-ledger.ts'
import { checkAcquire, checkMember } from './cluster-metadata.ts'
import { LEFT_MEMBER_KEPT_MS, MEMBERS_MAX } from './cluster-metadata.ts'
import { ACQUIRE_SCRIPT, BEAT_SCRIPT, LEAVE_SCRIPT } from './cluster-scripts.ts'
import { RELEASE_SCRIPT, VIEW_SCRIPT } from './cluster-scripts.ts'
import { metadataUnavailable } from './redis-errors.ts'
import { RedisKeyKind, redisKey } from './redis-keys.ts'

export interface RedisClusterMetadataOptions {
  /** This one's own: it is closed with it. */
  readonly connection: RedisConnection
  readonly prefix: string
  /** Of the store; default its own clock. For tests that let hours pass. */
  readonly clock?: Pick<Clock, 'nowUnixMs'>
  /** For tests with two connections of one process. */
  readonly ledger?: CallLedger
}

export class RedisClusterMetadata implements ClusterMetadata {
  readonly #connection: RedisConnection
  readonly #keys: readonly string[]
  /** What makes a view of the answer of a script. */
  readonly #reads: readonly RedisCommand[]
  readonly #clock: Pick<Clock, 'nowUnixMs'> | undefined
  readonly #ledger: CallLedger

  constructor(options: RedisClusterMetadataOptions) {
    const { connection, prefix } = options
    this.#connection = connection
    this.#clock = options.clock
    this.#ledger = options.ledger ?? new CallLedger()
    const { cluster, lives, members, leases } = RedisKeyKind
    this.#keys = [cluster, lives, members, leases].map((kind) => redisKey(prefix, kind))
    this.#reads = [members, leases].map((kind) => ['HGETALL', redisKey(prefix, kind)])
  }

  async beat(member: Member, timeToLiveMs: number): Promise<ClusterView> {
    checkMember(member, timeToLiveMs)
    const args = [timeToLiveMs, MEMBERS_MAX, JSON.stringify(member)]
    const stamp = this.#ledger.stamp(member.id)
    const argv = this.#argv(member.id, stamp, args)
    const replies = await this.#connection.runThen(BEAT_SCRIPT, this.#keys, argv, this.#reads)
    const head = asList(replies[0])
    this.#ledger.note(member.id, stamp, String(head[0]), Number(head[1]))
    if (head[2] === 'full') throw metadataUnavailable('full')
    return readView(replies)
  }

  async view(): Promise<ClusterView> {
    const argv = this.#argv('', this.#ledger.blank(), [])
    return readView(await this.#connection.runThen(VIEW_SCRIPT, this.#keys, argv, this.#reads))
  }

  async acquire(request: AcquireRequest): Promise<AcquireOutcome> {
    checkAcquire(request)
    const { partition, member, epochFloor, requestId } = request
    const args = [partition, epochFloor, requestId]
    const [, , kind, epochText, owner] = await this.#write(member, ACQUIRE_SCRIPT, args)
    if (kind === 'overtaken') throw metadataUnavailable('overtaken')
    const epoch = Number(epochText)
    if (kind === 'acquired') return { kind, epoch }
    return { kind: 'held', lease: { partition, owner: String(owner), epoch } }
  }

  async release(partition: number, member: string, epoch: number): Promise<void> {
    const [, , outcome] = await this.#write(member, RELEASE_SCRIPT, [partition, epoch])
    if (outcome === 'overtaken') throw metadataUnavailable('overtaken')
  }

  async leave(member: string): Promise<void> {
    const [, , outcome] = await this.#write(member, LEAVE_SCRIPT, [LEFT_MEMBER_KEPT_MS])
    if (outcome === 'overtaken') throw metadataUnavailable('overtaken')
  }

  close(): Promise<void> {
    this.#connection.close()
    return Promise.resolve()
  }

  async #write(
    member: string,
    script: RedisScript,
    args: readonly RedisArgument[],
  ): Promise<readonly RedisReply[]> {
    const stamp = this.#ledger.stamp(member)
    const argv = this.#argv(member, stamp, args)
    const reply = asList(await this.#connection.run(script, this.#keys, argv))
    this.#ledger.note(member, stamp, String(reply[0]), Number(reply[1]))
    return reply
  }

  #argv(member: string, stamp: CallStamp, args: readonly RedisArgument[]): RedisArgument[] {
    const { sender, sequence, answered, incarnation, revision, freshId } = stamp
    const clock = this.#clock?.nowUnixMs() ?? ''
    const head = [member, sender, sequence, answered, incarnation, revision, freshId, clock]
    return [...head, ...args]
  }
}

/** Incarnation, revision, age and ids of those who live; then all members, and all leases. */
function readView([head, memberHash, leaseHash]: readonly RedisReply[]): ClusterView {
  const [incarnation, , age, living] = asList(head)
  const texts = new Map(pairsOf(memberHash))
  const members = asList(living).flatMap((id) => readMember(String(id), texts.get(String(id))))
  const ids = new Set(members.map(({ id }) => id))
  const leases = new Map<number, Lease>()
  for (const [name, text] of pairsOf(leaseHash)) {
    const partition = Number(name)
    const match = /^(\d+) (\S*) \S*$/.exec(text)
    if (match === null || !Number.isInteger(partition)) continue
    const owner = match[2]!
    leases.set(partition, {
      partition,
      owner: ids.has(owner) ? owner : '',
      epoch: Number(match[1]),
    })
  }
  return {
    incarnation: String(incarnation),
    incarnationAgeMs: Number(age),
    members,
    leases,
  }
}

/** Another version may have written it: what is not understood is no member. */
function readMember(id: string, text = ''): Member[] {
  try {
    const { name, role, address, isDraining, status } = JSON.parse(text) as Partial<Member>
    const isMember =
      typeof name === 'string' &&
      (role === 'router' || role === 'ingester') &&
      typeof address === 'string' &&
      typeof status === 'string'
    return isMember ? [{ id, name, role, address, isDraining: isDraining === true, status }] : []
  } catch {
    return []
  }
}

function pairsOf(reply: RedisReply | undefined): (readonly [string, string])[] {
  const flat = asList(reply).map(String)
  return flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1] ?? ''] as const] : []))
}

function asList(reply: RedisReply | undefined): readonly RedisReply[] {
  return Array.isArray(reply) ? (reply as readonly RedisReply[]) : []
}
