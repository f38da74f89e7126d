/**
 * The commits of one partition, as one writer sees them.
 *
 *   0 ──commit──> 512 ──commit──> 900 ──commit──> end      the key of a commit is its start
 *
 * Invariant: a commit starts where the one before ended and its object is create-only, so whatever
 * two writers believe, their commits tile the log without gap or overlap. The chain starts at 0: what
 * a log no longer has is a hole of the first commit. Commits are never deleted or overwritten.
 * Who may write (leases) and what is written (flush) are not known here.
 */
import assert from 'node:assert/strict'

import type { Clock } from '../clock.ts'
import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import type { CheckpointHeader, FoldedTo } from './checkpoint.ts'
import type { CommitRecord } from './commit-record.ts'
import { systemClock } from '../clock.ts'
import { AppError } from '../errors.ts'
import { failpoint } from '../failpoint.ts'
import { commitKey, commitPrefix } from '../paths.ts'
import { readChainFrom } from './chain-range.ts'
import { listCheckpoints, readCheckpointHeader } from './checkpoint.ts'
import {
  checkTiles,
  followCommits,
  listStarts,
  parseCommit,
  readBytes,
  readCommits,
} from './commit-follow.ts'
import { serializeCommitRecord } from './commit-record.ts'

/** Commits that `open` reads back and checks: 64 gets of 10 ms, 16 at a time, are 40 ms. */
export const COMMITS_CHECKED_AT_OPEN_MAX = 64
/** Commits that `recent` can go back: ten minutes of more than one a second. */
export const RECENT_COMMITS_MAX = 1000
/** Tries of one append before its outcome is left unknown: with the pauses about 3 s. */
const APPEND_ATTEMPTS_MAX = 5
const APPEND_PAUSE_MS = 200

export type AppendOutcome = 'committed' | { readonly conflict: CommitRecord }

export interface ChainOptions {
  readonly clock?: Clock
  /** Between the tries of one append, growing; default 200 ms. */
  readonly retryPauseMs?: number
}

export class CommitChain {
  readonly #store: ObjectStore
  readonly #id: PartitionId
  /** Starts of the newest commits, ascending, at most 2 * RECENT_COMMITS_MAX. */
  #starts: bigint[] = []
  #end = 0n
  #count = 0
  #lastEpoch = 0
  #lastWriter: string | undefined
  #folded: FoldedTo = { end: 0n, commits: 0 }
  readonly #clock: Clock
  readonly #retryPauseMs: number

  private constructor(store: ObjectStore, id: PartitionId, options: ChainOptions) {
    this.#store = store
    this.#id = id
    this.#clock = options.clock ?? systemClock
    this.#retryPauseMs = options.retryPauseMs ?? APPEND_PAUSE_MS
  }

  /**
   * Finds the chain's end, from its newest checkpoint on, and checks that its newest commits tile
   * (`verify` checks all).
   * @throws AppError chain_broken with the place; commit_damaged
   */
  static async open(
    store: ObjectStore,
    id: PartitionId,
    options: ChainOptions = {},
  ): Promise<CommitChain> {
    const chain = new CommitChain(store, id, options)
    // the process before us may have died between naming its last commit and syncing the name
    await store.settle(commitPrefix(id))
    const checkpoint = await newestCheckpoint(store, id)
    if (checkpoint !== undefined) chain.#begin(checkpoint)
    const listed: bigint[] = []
    for await (const start of listStarts(store, id, chain.#end)) listed.push(start)
    const unread = listed.splice(0, Math.max(0, listed.length - COMMITS_CHECKED_AT_OPEN_MAX))
    for (const start of unread) chain.#remember(start)
    chain.#count += unread.length
    if (unread.length > 0) chain.#end = listed[0]!
    for await (const record of followCommits(store, id, listed, chain.#end)) chain.#advance(record)
    return chain
  }

  /** The next offset to commit. */
  get end(): bigint {
    return this.#end
  }

  /** Commits of the chain, all of them. */
  get count(): number {
    return this.#count
  }

  /** Where the newest checkpoint that `open` found ends. */
  get folded(): FoldedTo {
    return this.#folded
  }

  /** The epoch of the last commit; 0 for an empty chain. A new owner's must be above it. */
  get lastEpoch(): number {
    return this.#lastEpoch
  }

  /** Who wrote the last commit; undefined for an empty chain. */
  get lastWriter(): string | undefined {
    return this.#lastWriter
  }

  /**
   * Creates the next commit; `record.start` must be `end`. A conflict hands over the commit that
   * another writer (or an earlier try of this one) made there; `end` then lies behind it and all
   * that follow: rows below it are stored, keep the rest and go on if still the owner.
   * @throws AppError store_unavailable where the outcome stays unknown: append the same record again;
   *   fenced where the chain has a commit of a later epoch: its owner is not the one any more
   */
  async append(record: CommitRecord): Promise<AppendOutcome> {
    assert.equal(BigInt(record.start), this.#end, 'a commit starts at the end of the chain')
    assert.ok(
      record.logId === this.#id.logId &&
        record.topic === this.#id.topic &&
        record.partition === this.#id.partition,
      'a commit belongs to its chain',
    )
    if (record.epoch < this.#lastEpoch) {
      throw new AppError('fenced', 'a later owner has committed', {
        details: { epoch: record.epoch, lastEpoch: this.#lastEpoch, winner: this.#lastWriter },
      })
    }
    const body = serializeCommitRecord(record)
    await failpoint('commit:before-put')
    const winner = await this.#create(commitKey(this.#id, this.#end), body)
    await failpoint('commit:after-put')
    if (winner === undefined) {
      this.#advance(record)
      return 'committed'
    }
    const conflict = parseCommit(commitKey(this.#id, this.#end), winner)
    checkTiles(this.#id, conflict, this.#end)
    this.#advance(conflict)
    try {
      await this.refresh()
    } catch (error) {
      // the outcome is known; what follows the winner is found by the next append or refresh
      if (!(error instanceof AppError) || error.code !== 'store_unavailable') throw error
    }
    return isSameCommit(conflict, record) ? 'committed' : { conflict }
  }

  /** Follows commits that others appended since; answers the new end. */
  async refresh(): Promise<bigint> {
    for await (const record of followCommits(this.#store, this.#id, [], this.#end)) {
      this.#advance(record)
    }
    return this.#end
  }

  /**
   * The newest commits, oldest first, back to the first one committed before `sinceUnixMs` (left
   * out), at most RECENT_COMMITS_MAX: for loading the window of chunk hashes.
   */
  async recent(sinceUnixMs: number): Promise<CommitRecord[]> {
    const found: CommitRecord[] = []
    const newestFirst = this.#starts.slice(-RECENT_COMMITS_MAX).reverse()
    for await (const record of readCommits(this.#store, this.#id, newestFirst)) {
      if (Date.parse(record.committedAt) < sinceUnixMs) break
      found.push(record)
    }
    return found.reverse()
  }

  /** All commits in order, checked to tile. @throws AppError chain_broken, commit_damaged */
  records(): AsyncGenerator<CommitRecord> {
    return readChainFrom(this.#store, this.#id, 0n)
  }

  /** undefined when the object is ours; else the bytes of the winner's. */
  async #create(key: string, body: Uint8Array): Promise<Uint8Array | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#store.put(key, body, { onlyIfAbsent: true, contentType: 'application/json' })
        return undefined
      } catch (error) {
        if (!(error instanceof AppError)) throw error
        if (error.code === 'object_exists') {
          const found = await readBytes(this.#store, key)
          if (found !== undefined) return Buffer.from(body).equals(found) ? undefined : found
          // taken and yet not there: a store that answers with old news, so it is asked again
          if (attempt === APPEND_ATTEMPTS_MAX) throw vanished(key, error)
        } else if (error.code !== 'store_unavailable' || attempt === APPEND_ATTEMPTS_MAX) {
          throw error
        }
        // the answer was lost, not the write: the same put again is answered by what is there
        await this.#clock.sleep(this.#retryPauseMs * attempt)
      }
    }
  }

  #begin({ starts, end, commits, commitsBefore, lastEpoch, lastWriter }: CheckpointHeader): void {
    this.#starts = starts.map(BigInt)
    this.#end = BigInt(end)
    this.#count = commitsBefore + commits
    this.#folded = { end: this.#end, commits: this.#count }
    this.#lastEpoch = lastEpoch
    this.#lastWriter = lastWriter
  }

  #advance(record: CommitRecord): void {
    this.#remember(BigInt(record.start))
    this.#count++
    this.#end = BigInt(record.end)
    this.#lastEpoch = record.epoch
    this.#lastWriter = record.writer
  }

  #remember(start: bigint): void {
    this.#starts.push(start)
    if (this.#starts.length > 2 * RECENT_COMMITS_MAX) {
      this.#starts = this.#starts.slice(-RECENT_COMMITS_MAX)
    }
  }
}

/** The first line of the newest checkpoint; one that is damaged is passed over for the one before. */
async function newestCheckpoint(
  store: ObjectStore,
  id: PartitionId,
): Promise<CheckpointHeader | undefined> {
  for (const end of (await listCheckpoints(store, id, 0n)).toReversed()) {
    try {
      return await readCheckpointHeader(store, id, end)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'commit_damaged') throw error
    }
  }
  return undefined
}

function vanished(key: string, cause: unknown): AppError {
  return new AppError('store_unavailable', 'a commit is taken and cannot be read', {
    cause,
    details: { key },
  })
}

/** Whether an earlier try of the same writer made it: everything but the time of the try. */
function isSameCommit(a: CommitRecord, b: CommitRecord): boolean {
  const sameTime: CommitRecord = { ...a, committedAt: b.committedAt }
  return Buffer.from(serializeCommitRecord(sameTime)).equals(serializeCommitRecord(b))
}
