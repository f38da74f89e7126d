/**
 * Cluster metadata in memory for tests and the simulation: one MemoryClusterStore stands for
 * Redis, `connect()` gives each process its own connection. It does wrong what Redis does wrong, on
 * purpose and under a seed (faulty-calls.ts), and can be emptied or set back to an old state.
 */
import type { AcquireOutcome, AcquireRequest } from '../metadata/cluster-metadata.ts'
import type { ClusterMetadata, ClusterView, Member } from '../metadata/cluster-metadata.ts'
import type { CallLine, FaultyCallsOptions } from './faulty-calls.ts'
import { AppError } from '../errors.ts'
import { CallLedger } from '../metadata/call-ledger.ts'
import { checkAcquire, checkMember } from '../metadata/cluster-metadata.ts'
import { FaultyCalls } from './faulty-calls.ts'
import { MemoryClusterState } from './memory-cluster-state.ts'

export class MemoryClusterStore {
  /** Faults of the way to the store; stores of other ports may share it. */
  readonly calls: FaultyCalls
  readonly state = new MemoryClusterState()
  readonly #newId: () => string

  /** Ids come from `options.random`, so that a run is a function of its seed. */
  constructor(options: FaultyCallsOptions) {
    this.calls = new FaultyCalls(options)
    this.#newId = () => options.random.uint64().toString(16).padStart(16, '0')
  }

  /** A process's connection; another one for each start of a process. */
  connect(): MemoryClusterMetadata {
    return new MemoryClusterMetadata(this.state, this.calls.line(), this.#newId)
  }
}

export class MemoryClusterMetadata implements ClusterMetadata {
  /** `isCut` makes this process alone unable to reach the store. */
  readonly line: CallLine
  readonly #state: MemoryClusterState
  readonly #ledger: CallLedger
  #isClosed = false

  constructor(state: MemoryClusterState, line: CallLine, newId: () => string) {
    this.#state = state
    this.line = line
    this.#ledger = new CallLedger(newId)
  }

  async beat(member: Member, timeToLiveMs: number): Promise<ClusterView> {
    checkMember(member, timeToLiveMs)
    const stamp = this.#ledger.stamp(member.id)
    const answer = await this.#call((nowMs) => {
      return this.#state.beat(stamp, { ...member }, timeToLiveMs, nowMs)
    })
    this.#ledger.note(member.id, stamp, answer.incarnation, answer.revision)
    return answer.view
  }

  async view(): Promise<ClusterView> {
    return (await this.#call((nowMs) => this.#state.view(nowMs))).view
  }

  async acquire(request: AcquireRequest): Promise<AcquireOutcome> {
    checkAcquire(request)
    const stamp = this.#ledger.stamp(request.member)
    const answer = await this.#call((nowMs) => this.#state.acquire(stamp, request, nowMs))
    this.#ledger.note(request.member, stamp, answer.incarnation, answer.revision)
    if (answer.outcome === 'overtaken') throw overtaken()
    return answer.outcome
  }

  async release(partition: number, member: string, epoch: number): Promise<void> {
    const stamp = this.#ledger.stamp(member)
    const answer = await this.#call((nowMs) => {
      return this.#state.release(stamp, partition, member, epoch, nowMs)
    })
    this.#ledger.note(member, stamp, answer.incarnation, answer.revision)
    if (answer.isOvertaken) throw overtaken()
  }

  async leave(member: string): Promise<void> {
    const stamp = this.#ledger.stamp(member)
    const answer = await this.#call((nowMs) => this.#state.leave(stamp, member, nowMs))
    this.#ledger.note(member, stamp, answer.incarnation, answer.revision)
    if (answer.isOvertaken) throw overtaken()
  }

  close(): Promise<void> {
    this.#isClosed = true
    return Promise.resolve()
  }

  #call<Result>(execute: (nowMs: number) => Result): Promise<Result> {
    if (!this.#isClosed) return this.line.call(execute)
    throw new AppError('metadata_unavailable', 'metadata store does not answer', {
      details: { reason: 'closed' },
    })
  }
}

function overtaken(): AppError {
  return new AppError('metadata_unavailable', 'metadata store does not answer', {
    details: { reason: 'overtaken' },
  })
}
