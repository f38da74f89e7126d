/**
 * What the scripts of cluster-scripts.ts do, in memory: the same state, the same rules, so that both
 * give the same outcomes (a property test compares them). Times are given by the caller.
 */
import type { AcquireOutcome, AcquireRequest, ClusterView } from '../metadata/cluster-metadata.ts'
import type { Lease, Member } from '../metadata/cluster-metadata.ts'
import type { CallStamp } from '../metadata/call-ledger.ts'
import { AppError } from '../errors.ts'
import { generationOf, incarnationName } from '../metadata/call-ledger.ts'
import { MEMBERS_MAX } from '../metadata/cluster-metadata.ts'
import { LEFT_MEMBER_KEPT_MS } from '../metadata/cluster-metadata.ts'

interface StoredMember {
  /** By the store's age. */
  deadlineMs: number
  timeToLiveMs: number
  /** Was given more time once since its last beat. */
  isExtended: boolean
  sender: string
  sequence: number
  /** Undefined once it left: kept for a while, so that a late beat does not bring it back. */
  member: Member | undefined
}

interface StoredLease {
  epoch: number
  owner: string
  requestId: string
}

interface Snapshot {
  readonly incarnation: string
  readonly ageMs: number
  readonly touchedMs: number
  readonly stepMs: number
  readonly revision: number
  readonly members: readonly (readonly [string, StoredMember])[]
  readonly leases: readonly (readonly [number, StoredLease])[]
}

/** What every answer carries. */
export interface Answered {
  readonly incarnation: string
  readonly revision: number
}

export type ViewAnswer = Answered & { readonly view: ClusterView }
/** `overtaken`: a later call of the same member was executed before, nothing happened. */
export type AcquireAnswer = Answered & { readonly outcome: AcquireOutcome | 'overtaken' }
export type ReleaseAnswer = Answered & { readonly isOvertaken: boolean }

export class MemoryClusterState {
  #incarnation = ''
  /** Time of this incarnation in which the store was in use: what deadlines are measured by. */
  #ageMs = 0
  #touchedMs = 0
  /** A longer pause between two calls counts as this much only. */
  #stepMs = 0
  #revision = 0
  readonly #members = new Map<string, StoredMember>()
  readonly #leases = new Map<number, StoredLease>()

  beat(stamp: CallStamp, member: Member, timeToLiveMs: number, nowMs: number): ViewAnswer {
    this.#touch(stamp, member.id, nowMs)
    this.#stepMs = Math.floor(timeToLiveMs / 2)
    if (!this.#isOvertaken(stamp, member.id)) {
      if (!this.#members.has(member.id) && this.#members.size >= MEMBERS_MAX) {
        throw new AppError('metadata_unavailable', 'metadata store does not answer', {
          details: { reason: 'full' },
        })
      }
      this.#members.set(member.id, {
        deadlineMs: this.#ageMs + timeToLiveMs,
        timeToLiveMs,
        isExtended: false,
        sender: stamp.sender,
        sequence: stamp.sequence,
        member,
      })
    }
    return { ...this.#answered(), view: this.#viewAt(this.#ageMs) }
  }

  view(nowMs: number): ViewAnswer {
    const stepMs = Math.min(Math.max(nowMs - this.#touchedMs, 0), this.#stepMs)
    return { ...this.#answered(), view: this.#viewAt(this.#ageMs + stepMs) }
  }

  acquire(stamp: CallStamp, request: AcquireRequest, nowMs: number): AcquireAnswer {
    const { partition, member, epochFloor, requestId } = request
    this.#touch(stamp, member, nowMs)
    if (this.#isOvertaken(stamp, member)) return { ...this.#answered(), outcome: 'overtaken' }
    const stored = this.#leases.get(partition) ?? { epoch: 0, owner: '', requestId: '' }
    const held: AcquireOutcome = { kind: 'held', lease: this.#leaseOf(partition, stored) }
    if (!this.#isAlive(member)) return { ...this.#answered(), outcome: held }
    this.#keepSequence(stamp, member)
    if (stored.requestId === requestId) {
      if (stored.owner !== member) return { ...this.#answered(), outcome: held }
      return { ...this.#answered(), outcome: { kind: 'acquired', epoch: stored.epoch } }
    }
    const isForeign = stored.owner !== member && this.#isAlive(stored.owner)
    if (isForeign && epochFloor <= stored.epoch) return { ...this.#answered(), outcome: held }
    const epoch = Math.max(stored.epoch, epochFloor) + 1
    this.#leases.set(partition, { epoch, owner: member, requestId })
    return { ...this.#answered(), outcome: { kind: 'acquired', epoch } }
  }

  release(
    stamp: CallStamp,
    partition: number,
    member: string,
    epoch: number,
    nowMs: number,
  ): ReleaseAnswer {
    this.#touch(stamp, member, nowMs)
    const isOvertaken = this.#isOvertaken(stamp, member)
    if (!isOvertaken) {
      this.#keepSequence(stamp, member)
      const stored = this.#leases.get(partition)
      if (stored?.owner === member && stored.epoch === epoch) stored.owner = ''
    }
    return { ...this.#answered(), isOvertaken }
  }

  leave(stamp: CallStamp, member: string, nowMs: number): ReleaseAnswer {
    this.#touch(stamp, member, nowMs)
    const isOvertaken = this.#isOvertaken(stamp, member)
    const stored = this.#members.get(member)
    if (!isOvertaken) {
      for (const lease of this.#leases.values()) if (lease.owner === member) lease.owner = ''
      if (stored !== undefined) {
        stored.deadlineMs = this.#ageMs + LEFT_MEMBER_KEPT_MS
        stored.timeToLiveMs = LEFT_MEMBER_KEPT_MS
        stored.sender = stamp.sender
        stored.sequence = stamp.sequence
        stored.member = undefined
      }
    }
    return { ...this.#answered(), isOvertaken }
  }

  flushAll(): void {
    this.restore(EMPTY)
  }

  snapshot(): Snapshot {
    return {
      incarnation: this.#incarnation,
      ageMs: this.#ageMs,
      touchedMs: this.#touchedMs,
      stepMs: this.#stepMs,
      revision: this.#revision,
      members: [...this.#members].map(([id, stored]) => [id, { ...stored }]),
      leases: [...this.#leases].map(([partition, stored]) => [partition, { ...stored }]),
    }
  }

  restore(snapshot: Snapshot): void {
    this.#incarnation = snapshot.incarnation
    this.#ageMs = snapshot.ageMs
    this.#touchedMs = snapshot.touchedMs
    this.#stepMs = snapshot.stepMs
    this.#revision = snapshot.revision
    this.#members.clear()
    for (const [id, stored] of snapshot.members) this.#members.set(id, { ...stored })
    this.#leases.clear()
    for (const [partition, stored] of snapshot.leases) this.#leases.set(partition, { ...stored })
  }

  /** What every call that writes begins with: the store's time goes on, the dead are taken out. */
  #touch(stamp: CallStamp, member: string, nowMs: number): void {
    if (this.#incarnation === '' || this.#isRewound(stamp, member)) {
      this.#renew(stamp, nowMs)
      return
    }
    const sinceMs = nowMs - this.#touchedMs
    const isSilence = sinceMs < 0 || sinceMs > this.#stepMs
    this.#takeOutDead()
    this.#ageMs += Math.min(Math.max(sinceMs, 0), this.#stepMs)
    if (isSilence) this.#extendAll()
    this.#takeOutDead()
    this.#touchedMs = nowMs
    this.#revision++
  }

  /** A new incarnation: nobody knows who lives, so everybody is given the time to say so. */
  #renew(stamp: CallStamp, nowMs: number): void {
    const generation = Math.max(generationOf(this.#incarnation), generationOf(stamp.incarnation))
    this.#incarnation = incarnationName(generation + 1, stamp.freshId)
    this.#ageMs = 0
    this.#touchedMs = nowMs
    this.#revision = 1
    for (const stored of this.#members.values()) {
      stored.deadlineMs = stored.timeToLiveMs
      stored.isExtended = true
    }
  }

  /** Whether the caller knows of writes that the store does not. */
  #isRewound(stamp: CallStamp, member: string): boolean {
    if (stamp.incarnation === '') return false
    if (stamp.incarnation !== this.#incarnation) {
      return generationOf(this.#incarnation) <= generationOf(stamp.incarnation)
    }
    const stored = this.#members.get(member)
    const isOwnLost = stored?.sender === stamp.sender && stored.sequence < stamp.answered
    return isOwnLost || this.#revision < stamp.revision
  }

  #takeOutDead(): void {
    for (const [id, stored] of this.#members) {
      if (stored.deadlineMs <= this.#ageMs) this.#members.delete(id)
    }
  }

  /** Once per beat only: calls that are always far apart must not keep the dead alive for ever. */
  #extendAll(): void {
    for (const stored of this.#members.values()) {
      if (stored.isExtended) continue
      stored.deadlineMs = Math.max(stored.deadlineMs, this.#ageMs + stored.timeToLiveMs)
      stored.isExtended = true
    }
  }

  #isOvertaken(stamp: CallStamp, member: string): boolean {
    const stored = this.#members.get(member)
    return stored?.sender === stamp.sender && stored.sequence >= stamp.sequence
  }

  #keepSequence(stamp: CallStamp, member: string): void {
    const stored = this.#members.get(member)
    if (stored === undefined) return
    stored.sender = stamp.sender
    stored.sequence = stamp.sequence
  }

  #isAlive(member: string): boolean {
    return this.#members.get(member)?.member !== undefined
  }

  #answered(): Answered {
    return { incarnation: this.#incarnation, revision: this.#revision }
  }

  #leaseOf(partition: number, stored: StoredLease): Lease {
    const owner = this.#isAlive(stored.owner) ? stored.owner : ''
    return { partition, owner, epoch: stored.epoch }
  }

  #viewAt(ageMs: number): ClusterView {
    const living = [...this.#members.values()].filter(({ deadlineMs }) => deadlineMs > ageMs)
    const members = living.flatMap(({ member }) => (member === undefined ? [] : [member]))
    const ids = new Set(members.map(({ id }) => id))
    const leases = [...this.#leases].map(([partition, { owner, epoch }]): [number, Lease] => {
      return [partition, { partition, owner: ids.has(owner) ? owner : '', epoch }]
    })
    return {
      incarnation: this.#incarnation,
      incarnationAgeMs: ageMs,
      members,
      leases: new Map(leases),
    }
  }
}

const EMPTY: Snapshot = {
  incarnation: '',
  ageMs: 0,
  touchedMs: 0,
  stepMs: 0,
  revision: 0,
  members: [],
  leases: [],
}
