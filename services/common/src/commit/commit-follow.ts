/** Reading commits one behind the other: those at known starts, and those that no listing shows yet. */
import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import type { CommitRecord } from './commit-record.ts'
import { AppError } from '../errors.ts'
import { commitKey, commitPrefix, parseCommitKey } from '../paths.ts'
import { COMMIT_BYTES_MAX, parseCommitRecord } from './commit-record.ts'
import { mapOrdered } from './ordered-map.ts'

export const READS_IN_FLIGHT_MAX = 16

/**
 * The commits from `end` on, each where the one before ended: those at the listed starts, and those
 * that an old listing left out, before, between and behind them. Correctness never rests on a listing.
 * @throws AppError chain_broken, commit_damaged, object_missing
 */
export async function* followCommits(
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

/** Starts of the commits of a chain that a listing shows, from an offset on, ascending. */
export async function* listStarts(
  store: ObjectStore,
  id: PartitionId,
  from: bigint,
): AsyncGenerator<bigint> {
  const after = from === 0n ? undefined : commitKey(id, from - 1n)
  for await (const { key } of store.list(commitPrefix(id), after)) yield startOfKey(key)
}

/** Reads the commits at these starts, in their order, some ahead. @throws AppError object_missing */
export async function* readCommits(
  store: ObjectStore,
  id: PartitionId,
  starts: Iterable<bigint> | AsyncIterable<bigint>,
): AsyncGenerator<CommitRecord> {
  yield* mapOrdered(starts, READS_IN_FLIGHT_MAX, (start) => readCommit(store, id, start))
}

/** @throws AppError object_missing; commit_damaged, with its key */
export async function readCommit(
  store: ObjectStore,
  id: PartitionId,
  start: bigint,
): Promise<CommitRecord> {
  const key = commitKey(id, start)
  return parseCommit(key, await store.get(key, { bytesMax: COMMIT_BYTES_MAX }))
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

export async function readBytes(store: ObjectStore, key: string): Promise<Uint8Array | undefined> {
  try {
    return await store.get(key, { bytesMax: COMMIT_BYTES_MAX })
  } catch (error) {
    if (error instanceof AppError && error.code === 'object_missing') return undefined
    throw error
  }
}

/** @throws AppError commit_damaged, with the key */
export function parseCommit(key: string, bytes: Uint8Array): CommitRecord {
  try {
    return parseCommitRecord(bytes)
  } catch (error) {
    throw new AppError('commit_damaged', 'commit cannot be read', {
      cause: error,
      details: { key },
    })
  }
}

/** @throws AppError chain_broken unless the commit belongs to the chain and starts at `expected` */
export function checkTiles(id: PartitionId, record: CommitRecord, expected: bigint): void {
  const { logId, topic, partition, start, end } = record
  if (logId !== id.logId || topic !== id.topic || partition !== id.partition) {
    throw brokenChain(id, 'a commit belongs to another partition', { logId, topic, partition })
  }
  if (BigInt(start) === expected) return
  const problem = BigInt(start) > expected ? 'a gap between commits' : 'commits overlap'
  throw brokenChain(id, problem, { expected: String(expected), start, end })
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
