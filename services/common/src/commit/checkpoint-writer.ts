/**
 * Folds the commits of a chain into checkpoints, behind the back of whoever commits: nothing waits for
 * it, nothing depends on it, and what fails is tried again after a later commit.
 *
 * Where a checkpoint ends follows from the chain alone (so many commits, or so many bytes), so two
 * writers make the same objects.
 */
import type { Logger } from '../logger.ts'
import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import type { CommitChain } from './commit-chain.ts'
import { AppError } from '../errors.ts'
import { failpoint } from '../failpoint.ts'
import { checkpointKey, commitKey } from '../paths.ts'
import {
  CHECKPOINT_BYTES_FULL,
  CHECKPOINT_COMMITS_MAX,
  serializeCheckpoint,
  type FoldedTo,
  type StoredCommit,
} from './checkpoint.ts'
import { READS_IN_FLIGHT_MAX, checkTiles, listStarts, parseCommit } from './commit-follow.ts'
import { COMMIT_BYTES_MAX } from './commit-record.ts'
import { mapOrdered } from './ordered-map.ts'

export interface CheckpointWriterOptions {
  readonly store: ObjectStore
  readonly id: PartitionId
  readonly chain: CommitChain
  readonly logger: Logger
}

export class CheckpointWriter {
  readonly #options: CheckpointWriterOptions
  #folded: FoldedTo
  #folding: Promise<void> | undefined

  constructor(options: CheckpointWriterOptions) {
    this.#options = options
    this.#folded = options.chain.folded
  }

  /** The chain has grown: folds what is due. */
  committed(): void {
    const { chain, logger, id } = this.#options
    if (chain.count - this.#folded.commits < CHECKPOINT_COMMITS_MAX) return
    this.#folding ??= this.#fold()
      .catch((error: unknown) => {
        logger.warn({ err: error, ...id }, 'checkpoint could not be written')
      })
      .finally(() => {
        this.#folding = undefined
      })
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#folding
  }

  async #fold(): Promise<void> {
    const { store, id } = this.#options
    for (;;) {
      const next = await writeCheckpoint(store, id, this.#folded)
      if (next === undefined) return
      this.#folded = next
    }
  }
}

/**
 * Makes the next checkpoint of a chain, unless its commits do not fill one yet.
 * @returns where it ends
 * @throws AppError store_unavailable, chain_broken, commit_damaged
 */
export async function writeCheckpoint(
  store: ObjectStore,
  id: PartitionId,
  folded: FoldedTo,
): Promise<FoldedTo | undefined> {
  const commits = await nextCommits(store, id, folded.end)
  if (commits === undefined) return undefined
  const end = BigInt(commits.at(-1)!.record.end)
  const body = serializeCheckpoint(id, folded.commits, commits)
  await failpoint('checkpoint:before-put')
  try {
    const key = checkpointKey(id, end)
    await store.put(key, body, { onlyIfAbsent: true, contentType: 'application/json' })
  } catch (error) {
    // another owner made it, or a try of ours whose answer was lost: its bytes are the same
    if (!(error instanceof AppError) || error.code !== 'object_exists') throw error
  }
  await failpoint('checkpoint:after-put')
  return { end, commits: folded.commits + commits.length }
}

/** The commits that fill a checkpoint; undefined where there are not enough. */
async function nextCommits(
  store: ObjectStore,
  id: PartitionId,
  from: bigint,
): Promise<readonly StoredCommit[] | undefined> {
  const commits: StoredCommit[] = []
  let expected = from
  let bytesInAll = 0
  const stored = mapOrdered(listStarts(store, id, from), READS_IN_FLIGHT_MAX, async (start) => {
    const key = commitKey(id, start)
    const bytes = await store.get(key, { bytesMax: COMMIT_BYTES_MAX })
    return { record: parseCommit(key, bytes), bytes }
  })
  for await (const commit of stored) {
    // an old listing may lack one: then it is folded the next time
    if (BigInt(commit.record.start) > expected) return undefined
    checkTiles(id, commit.record, expected)
    expected = BigInt(commit.record.end)
    commits.push(commit)
    bytesInAll += commit.bytes.length
    const isFull = commits.length === CHECKPOINT_COMMITS_MAX || bytesInAll >= CHECKPOINT_BYTES_FULL
    if (isFull) return commits
  }
  return undefined
}
