/** Commits of a store by partition and offset, for those who read chains and write none. */
import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import type { CommitRecord } from './commit-record.ts'
import { AppError } from '../errors.ts'
import { COMMITS_PREFIX, commitPrefix, parseCommitKey } from '../paths.ts'
import { listCheckpoints, readCheckpoint } from './checkpoint.ts'
import { READS_IN_FLIGHT_MAX, checkTiles, followCommits, listStarts } from './commit-follow.ts'
import { mapOrdered } from './ordered-map.ts'

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
 * The commits of a chain from the one that starts at `from` on, in order, checked to tile: by
 * checkpoints as far as they go, then one by one. A checkpoint that is damaged is passed over.
 * @throws AppError chain_broken where none starts there and later ones do; commit_damaged
 */
export async function* readChainFrom(
  store: ObjectStore,
  id: PartitionId,
  from: bigint,
): AsyncGenerator<CommitRecord> {
  let expected = from
  for (const end of await listCheckpoints(store, id, from)) {
    try {
      for await (const { record } of readCheckpoint(store, id, end)) {
        // one that begins behind the place is of no use; before it lie commits that nobody wants
        if (BigInt(record.start) > expected) break
        if (BigInt(record.start) < expected) continue
        checkTiles(id, record, expected)
        expected = BigInt(record.end)
        yield record
      }
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'commit_damaged') throw error
    }
  }
  yield* followCommits(store, id, listStarts(store, id, expected), expected)
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
