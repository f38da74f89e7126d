/** What the commits of a partition say: how far they go, what they left out and when they were made. */
import { readChainFrom } from '@tributary/common/commit/chain-range'
import type { CommitRecord } from '@tributary/common/commit/commit-record'
import { readSidecar } from '@tributary/common/commit/chunk-sidecar'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { partitionPath } from '@tributary/common/paths'
import type { PartitionId } from '@tributary/common/paths'

/** A commit as far as it is of interest here: chains have many. */
export type CommitOutline = Pick<
  CommitRecord,
  'logId' | 'topic' | 'partition' | 'start' | 'end' | 'hashes' | 'holes'
> & { readonly committedUnixMs: number }

export interface ChainOutline {
  readonly end: bigint
  readonly commits: readonly CommitOutline[]
}

/** Reads each chain once, when it is first asked for. */
export class ChainOutlines {
  readonly #store: ObjectStore
  readonly #outlines = new Map<string, Promise<ChainOutline>>()

  constructor(store: ObjectStore) {
    this.#store = store
  }

  /** @throws AppError chain_broken, commit_damaged, store_unavailable */
  of(id: PartitionId): Promise<ChainOutline> {
    const path = partitionPath(id)
    const known = this.#outlines.get(path)
    if (known !== undefined) return known
    const read = this.#read(id)
    this.#outlines.set(path, read)
    return read
  }

  /** Forgets what was read: commits go on. */
  clear(): void {
    this.#outlines.clear()
  }

  /** Batch ids and chunk hashes, as hex, that these commits stored. */
  async storedHashes(commits: readonly CommitOutline[]): Promise<ReadonlySet<string>> {
    const hashes = new Set<string>()
    for (const commit of commits) {
      if (commit.hashes === null) continue
      for (const { hash } of await readSidecar(this.#store, commit)) {
        hashes.add(Buffer.from(hash).toString('hex'))
      }
    }
    return hashes
  }

  async #read(id: PartitionId): Promise<ChainOutline> {
    const commits: CommitOutline[] = []
    for await (const record of readChainFrom(this.#store, id, 0n)) {
      const { logId, topic, partition, start, end, hashes, holes } = record
      const committedUnixMs = Date.parse(record.committedAt)
      commits.push({ logId, topic, partition, start, end, hashes, holes, committedUnixMs })
    }
    const last = commits.at(-1)
    return { end: last === undefined ? 0n : BigInt(last.end), commits }
  }
}

/** The commit that holds an offset. */
export function commitOf({ commits }: ChainOutline, offset: bigint): CommitOutline | undefined {
  return commits.find(({ start, end }) => BigInt(start) <= offset && offset < BigInt(end))
}

/** Why a commit has no rows of an offset; undefined where it has them. */
export function holeReason(commit: CommitOutline, offset: bigint): string | undefined {
  const hole = commit.holes.find(
    ({ start, end }) => BigInt(start) <= offset && offset < BigInt(end),
  )
  return hole?.reason
}
