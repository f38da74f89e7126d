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
import type { CommitRecord } from './commit-record.ts'
import { systemClock } from '../clock.ts'
import { AppError } from '../errors.ts'
import { failpoint } from '../failpoint.ts'
import { commitKey, commitPrefix, parseCommitKey } from '../paths.ts'
import { mapOrdered } from './ordered-map.ts'
import { COMMIT_BYTES_MAX, parseCommitRecord, serializeCommitRecord } from './commit-record.ts'

/** Commits that `open` reads back and checks: 1,000 gets of 5 ms, 16 at a time, are 0.3 s. */
export const COMMITS_CHECKED_AT_OPEN_MAX = 1000
const READS_IN_FLIGHT_MAX = 16
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
  /** Starts of the newest commits, ascending, at most COMMITS_CHECKED_AT_OPEN_MAX. */
  #starts: bigint[] = []
  #end = 0n
  #count = 0
  #lastEpoch = 0
  #lastWriter: string | undefined

  readonly #clock: Clock
  readonly #retryPauseMs: number

  private constructor(store: ObjectStore, id: PartitionId, options: ChainOptions) {
    this.#store = store
    this.#id = id
    this.#clock = options.clock ?? systemClock
    this.#retryPauseMs = options.retryPauseMs ?? APPEND_PAUSE_MS
  }

  /**
   * Finds the chain's end and checks that its newest commits tile (`verify` checks all).
   * @throws AppError chain_broken with the place; commit_damaged
   */
  static async open(
    store: ObjectStore,
    id: PartitionId,
    options: ChainOptions = {},
  ): Promise<CommitChain> {
    const chain = new CommitChain(store, id, options)
    const prefix = commitPrefix(id)
    // the process before us may have died between naming its last commit and syncing the name
    await store.settle(prefix)
    for await (const { key } of store.list(prefix)) {
      chain.#remember(startOfKey(key))
      chain.#count++
    }
    const listed = chain.#starts
    chain.#starts = []
    chain.#end = chain.#count === listed.length ? 0n : listed[0]!
    chain.#count -= listed.length
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
   * out), at most COMMITS_CHECKED_AT_OPEN_MAX: for loading the window of chunk hashes.
   */
  async recent(sinceUnixMs: number): Promise<CommitRecord[]> {
    const found: CommitRecord[] = []
    const newestFirst = this.#starts.toReversed()
    for await (const record of readCommits(this.#store, this.#id, newestFirst)) {
      if (Date.parse(record.committedAt) < sinceUnixMs) break
      found.push(record)
    }
    return found.reverse()
  }

  /** All commits in order, checked to tile. @throws AppError chain_broken, commit_damaged */
  async *records(): AsyncGenerator<CommitRecord> {
    yield* followCommits(this.#store, this.#id, this.#listStarts(), 0n)
  }

  async *#listStarts(): AsyncGenerator<bigint> {
    for await (const { key } of this.#store.list(commitPrefix(this.#id))) yield startOfKey(key)
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

  #advance(record: CommitRecord): void {
    this.#remember(BigInt(record.start))
    this.#count++
    this.#end = BigInt(record.end)
    this.#lastEpoch = record.epoch
    this.#lastWriter = record.writer
  }

  #remember(start: bigint): void {
    this.#starts.push(start)
    if (this.#starts.length >= 2 * COMMITS_CHECKED_AT_OPEN_MAX) {
      this.#starts = this.#starts.slice(-COMMITS_CHECKED_AT_OPEN_MAX)
    }
  }
}

/**
 * The commits from `end` on, each where the one before ended: those at the listed starts, and those
 * that an old listing left out, before, between and behind them. Correctness never rests on a listing.
 * @throws AppError chain_broken, commit_damaged, object_missing
 */
async function* followCommits(
  store: ObjectStore,
  id: PartitionId,
  listed: Iterable<bigint> | AsyncIterable<bigint>,
  end: bigint,
): AsyncGenerator<CommitRecord> {
  let expected = end
  for await (const record of readCommits(store, id, listed)) {
    while (BigInt(record.start) > expected) {
      const missed = await readCommitAt(store, id, expected)
      if (missed === undefined) break
      expected = BigInt(missed.end)
      yield missed
    }
    checkTiles(id, record, expected)
    expected = BigInt(record.end)
    yield record
  }
  for (;;) {
    const next = await readCommitAt(store, id, expected)
    if (next === undefined) return
    expected = BigInt(next.end)
    yield next
  }
}

/** undefined where the chain has no commit of this start. */
async function readCommitAt(
  store: ObjectStore,
  id: PartitionId,
  start: bigint,
): Promise<CommitRecord | undefined> {
  const key = commitKey(id, start)
  const bytes = await readBytes(store, key)
  if (bytes === undefined) return undefined
  const record = parseCommit(key, bytes)
  checkTiles(id, record, start)
  return record
}

async function readBytes(store: ObjectStore, key: string): Promise<Uint8Array | undefined> {
  try {
    return await store.get(key, { bytesMax: COMMIT_BYTES_MAX })
  } catch (error) {
    if (error instanceof AppError && error.code === 'object_missing') return undefined
    throw error
  }
}

/** Reads the commits at these starts, in their order, some ahead. */
async function* readCommits(
  store: ObjectStore,
  id: PartitionId,
  starts: Iterable<bigint> | AsyncIterable<bigint>,
): AsyncGenerator<CommitRecord> {
  yield* mapOrdered(starts, READS_IN_FLIGHT_MAX, async (start) => {
    const key = commitKey(id, start)
    return parseCommit(key, await store.get(key, { bytesMax: COMMIT_BYTES_MAX }))
  })
}

function parseCommit(key: string, bytes: Uint8Array): CommitRecord {
  try {
    return parseCommitRecord(bytes)
  } catch (error) {
    throw new AppError('commit_damaged', 'commit cannot be read', {
      cause: error,
      details: { key },
    })
  }
}

function vanished(key: string, cause: unknown): AppError {
  return new AppError('store_unavailable', 'a commit is taken and cannot be read', {
    cause,
    details: { key },
  })
}

/** @throws AppError chain_broken unless the commit belongs to the chain and starts at `expected` */
function checkTiles(id: PartitionId, record: CommitRecord, expected: bigint): void {
  const { logId, topic, partition, start, end } = record
  if (logId !== id.logId || topic !== id.topic || partition !== id.partition) {
    throw brokenChain(id, 'a commit belongs to another partition', { logId, topic, partition })
  }
  if (BigInt(start) === expected) return
  const problem = BigInt(start) > expected ? 'a gap between commits' : 'commits overlap'
  throw brokenChain(id, problem, { expected: String(expected), start, end })
}

/** Whether an earlier try of the same writer made it: everything but the time of the try. */
function isSameCommit(a: CommitRecord, b: CommitRecord): boolean {
  const sameTime: CommitRecord = { ...a, committedAt: b.committedAt }
  return Buffer.from(serializeCommitRecord(sameTime)).equals(serializeCommitRecord(b))
}

function startOfKey(key: string): bigint {
  const parsed = parseCommitKey(key)
  if (parsed !== undefined) return parsed.start
  throw new AppError('chain_broken', 'an object among the commits is none', { details: { key } })
}

function brokenChain(
  id: PartitionId,
  problem: string,
  details: Readonly<Record<string, unknown>>,
): AppError {
  return new AppError('chain_broken', problem, { details: { chain: commitPrefix(id), ...details } })
}
