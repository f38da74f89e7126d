/** Commits of a store by partition and offset, for those who read chains and write none. */
import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import type { CommitRecord } from './commit-record.ts'
import { AppError } from '../errors.ts'
import { COMMITS_PREFIX, commitKey, commitPrefix, parseCommitKey } from '../paths.ts'
import { COMMIT_BYTES_MAX, parseCommitRecord } from './commit-record.ts'
import { mapOrdered } from './ordered-map.ts'

const READS_IN_FLIGHT_MAX = 16

/** Sorts behind every key of a folder: digits are all that follows its slash. */
const BEHIND_DIGITS = '~'

/**
 * The partitions that have commits: what lies between two is jumped over, one listing each.
 * @param known partitions that may have some: what lies between those is looked at side by side
 * @throws AppError chain_broken for an object that is no commit
 */
export async function* listChains(
  store: ObjectStore,
  known: Iterable<PartitionId> = [],
): AsyncGenerator<PartitionId> {
  const prefixes = [...known].map(commitPrefix).sort()
  const gaps = ['', ...prefixes].map((prefix, at) => ({ prefix, until: prefixes[at] }))
  const found = mapOrdered(gaps, READS_IN_FLIGHT_MAX, ({ prefix, until }) => {
    return chainsBetween(store, prefix, until)
  })
  for await (const ids of found) yield* ids
}

/** Chains behind the one of `prefix`, up to and with the one of `until`. */
async function chainsBetween(
  store: ObjectStore,
  prefix: string,
  until: string | undefined,
): Promise<PartitionId[]> {
  const ids: PartitionId[] = []
  let after = prefix === '' ? undefined : `${prefix}${BEHIND_DIGITS}`
  for (;;) {
    const key = await firstKey(store, COMMITS_PREFIX, after)
    if (key === undefined) return ids
    const { start: _start, ...id } = parseKey(key)
    const found = commitPrefix(id)
    if (until !== undefined && found > until) return ids
    ids.push(id)
    if (found === until) return ids
    after = `${found}${BEHIND_DIGITS}`
  }
}

/**
 * The commits of a chain from the one that starts at `from` on, in order, checked to tile.
 * @throws AppError chain_broken where none starts there and later ones do; commit_damaged
 */
export async function* readChainFrom(
  store: ObjectStore,
  id: PartitionId,
  from: bigint,
): AsyncGenerator<CommitRecord> {
  let expected = from
  const records = mapOrdered(listStarts(store, id, from), READS_IN_FLIGHT_MAX, async (start) => {
    return readCommit(store, id, start)
  })
  for await (const record of records) {
    const { start, end } = record
    const isOwn = record.logId === id.logId && record.topic === id.topic
    if (!isOwn || record.partition !== id.partition || BigInt(start) !== expected) {
      throw new AppError('chain_broken', 'commits do not follow each other', {
        details: { chain: commitPrefix(id), expected: String(expected), start, end },
      })
    }
    expected = BigInt(end)
    yield record
  }
}

async function* listStarts(
  store: ObjectStore,
  id: PartitionId,
  from: bigint,
): AsyncGenerator<bigint> {
  const after = from === 0n ? undefined : commitKey(id, from - 1n)
  for await (const { key } of store.list(commitPrefix(id), after)) yield parseKey(key).start
}

/** @throws AppError object_missing; commit_damaged, with its key */
export async function readCommit(
  store: ObjectStore,
  id: PartitionId,
  start: bigint,
): Promise<CommitRecord> {
  const key = commitKey(id, start)
  const bytes = await store.get(key, { bytesMax: COMMIT_BYTES_MAX })
  try {
    return parseCommitRecord(bytes)
  } catch (error) {
    const details = { key }
    throw new AppError('commit_damaged', 'commit cannot be read', { cause: error, details })
  }
}

async function firstKey(
  store: ObjectStore,
  prefix: string,
  after: string | undefined,
): Promise<string | undefined> {
  for await (const { key } of store.list(prefix, after)) return key
  return undefined
}

function parseKey(key: string): PartitionId & { start: bigint } {
  const parsed = parseCommitKey(key)
  if (parsed !== undefined) return parsed
  throw new AppError('chain_broken', 'an object among the commits is none', { details: { key } })
}
