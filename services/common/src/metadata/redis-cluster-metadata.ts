/**
 * Cluster metadata in Redis: every call is one script (cluster-scripts.ts), so one atomic step and one
 * round trip. Only this connection writes for its process, so its calls arrive in the order in which
 * they were made, and a late one of an old connection is known by its number (call-ledger.ts).
 */
import type { AcquireOutcome, AcquireRequest } from './cluster-metadata.ts'
import type { ClusterMetadata, ClusterView, Lease, Member } from './cluster-metadata.ts'
import type { CallStamp } from './call-ledger.ts'
import type { RedisArgument, RedisConnection } from './redis-connection.ts'
import type { RedisReply, RedisScript } from './redis-connection.ts'
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
  readonly #clock: Pick<Clock, 'nowUnixMs'> | undefined
  readonly #ledger: CallLedger

  constructor(options: RedisClusterMetadataOptions) {
    const { connection, prefix } = options
    this.#connection = connection
    this.#clock = options.clock
    this.#ledger = options.ledger ?? new CallLedger()
    const { cluster, members, leases } = RedisKeyKind
    this.#keys = [cluster, members, leases].map((kind) => redisKey(prefix, kind))
  }

  async beat(member: Member, timeToLiveMs: number): Promise<ClusterView> {
    checkMember(member, timeToLiveMs)
    const args = [timeToLiveMs, MEMBERS_MAX, JSON.stringify(member)]
    const reply = await this.#write(member.id, BEAT_SCRIPT, args)
    if (reply[2] === 'full') throw metadataUnavailable('full')
    return readView(reply)
  }

  async view(): Promise<ClusterView> {
    const stamp = this.#ledger.blank()
    return readView(asList(await this.#run('', stamp, VIEW_SCRIPT, [])))
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
    const reply = asList(await this.#run(member, stamp, script, args))
    this.#ledger.note(member, stamp, String(reply[0]), Number(reply[1]))
    return reply
  }

  #run(
    member: string,
    stamp: CallStamp,
    script: RedisScript,
    args: readonly RedisArgument[],
  ): Promise<RedisReply> {
    const { sender, sequence, answered, incarnation, revision, freshId } = stamp
    const clock = this.#clock?.nowUnixMs() ?? ''
    const head = [member, sender, sequence, answered, incarnation, revision, freshId, clock]
    return this.#connection.run(script, this.#keys, [...head, ...args])
  }
}

/** The answer of view_at: incarnation, revision, age, JSON of those who live, leases. */
function readView(reply: readonly RedisReply[]): ClusterView {
  const [incarnation, , age, memberTexts, leaseTexts] = reply
  const members = asList(memberTexts).flatMap((text) => readMember(String(text)))
  const ids = new Set(members.map(({ id }) => id))
  const leases = new Map<number, Lease>()
  const flat = asList(leaseTexts)
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const partition = Number(flat[index])
    const match = /^(\d+) (\S*) \S*$/.exec(String(flat[index + 1]))
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
function readMember(text: string): Member[] {
  try {
    const { id, name, role, address, isDraining, status } = JSON.parse(text) as Partial<Member>
    const isMember =
      typeof id === 'string' &&
      typeof name === 'string' &&
      (role === 'router' || role === 'ingester') &&
      typeof address === 'string' &&
      typeof status === 'string'
    return isMember ? [{ id, name, role, address, isDraining: isDraining === true, status }] : []
  } catch {
    return []
  }
}

function asList(reply: RedisReply | undefined): readonly RedisReply[] {
  return Array.isArray(reply) ? (reply as readonly RedisReply[]) : []
}
