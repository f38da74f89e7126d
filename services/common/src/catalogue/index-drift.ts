/**
 * Whether the index is what the chains say (C2): every file of every commit below its ends, with the same
 * facts, and nothing else. Reads both once, in bounded memory.
 */
import type { CommitFile, CommitRecord } from '../commit/commit-record.ts'
import type { ObjectStore } from '../object-store/object-store.ts'
import type { FileIndex, IndexState, IndexedChain } from './file-index.ts'
import { listChains, readChainFrom } from '../commit/chain-range.ts'
import { metadataUnavailable } from '../metadata/redis-errors.ts'
import { partitionPath } from '../paths.ts'
import { isGrownFrom } from './file-catalogue.ts'
import { endsByTag, entryValue, isIndexed } from './index-entry.ts'

/** Files that are asked for in one go. */
const LOOKUP_FILES_MAX = 500
/** Keys that are named; more are only counted. */
const NAMED_MAX = 20

export interface IndexDrift {
  readonly isTrue: boolean
  readonly generation: string
  /** Files of commits below the ends, in the chains. */
  readonly files: number
  /** Of these: not in the index; there with other facts. */
  readonly missing: number
  readonly different: number
  /** In the index below its ends, in no commit, or no entry of ours. */
  readonly extra: number
  /** Partitions whose end in the index is not the end of a commit. */
  readonly wrongEnds: readonly string[]
  /** Files of commits behind the ends: not indexed yet, no drift. */
  readonly behind: number
  /** Some keys of what is missing or different. */
  readonly named: readonly string[]
}

/**
 * Compares index and chains.
 * @throws AppError metadata_unavailable, also where the index was replaced meanwhile;
 *   store_unavailable, chain_broken, commit_damaged
 */
export async function checkIndexDrift(index: FileIndex, store: ObjectStore): Promise<IndexDrift> {
  const state = await index.state()
  const comparison = new Comparison(index, state)
  const unseen = new Map(state.chains)
  for await (const id of listChains(store)) {
    const path = partitionPath(id)
    unseen.delete(path)
    await comparison.chain(path, readChainFrom(store, id, 0n))
  }
  // partitions of which the store knows nothing
  for (const path of unseen.keys()) comparison.wrongEnds.push(path)
  const extra = (await countEntries(index, state)) - comparison.found
  if (!isGrownFrom(state, await index.state())) throw metadataUnavailable('overtaken')
  const { files, missing, different, wrongEnds, behind, named } = comparison
  return {
    isTrue: missing + different + extra + wrongEnds.length === 0,
    generation: state.generation,
    ...{ files, missing, different, extra, wrongEnds, behind, named },
  }
}

class Comparison {
  files = 0
  missing = 0
  different = 0
  behind = 0
  /** Entries of the index that are files of a commit below its end. */
  found = 0
  readonly wrongEnds: string[] = []
  readonly named: string[] = []
  readonly #index: FileIndex
  readonly #state: IndexState

  constructor(index: FileIndex, state: IndexState) {
    this.#index = index
    this.#state = state
  }

  async chain(path: string, records: AsyncIterable<CommitRecord>): Promise<void> {
    const indexed = this.#state.chains.get(path)
    const indexEnd = indexed?.end ?? 0n
    let isEndFound = indexEnd === 0n
    let pending: CommitFile[] = []
    for await (const record of records) {
      if (BigInt(record.start) >= indexEnd) {
        this.behind += record.files.length
        continue
      }
      pending.push(...record.files)
      isEndFound ||= isLastOf(record, indexed)
      if (pending.length < LOOKUP_FILES_MAX) continue
      await this.#compare(pending)
      pending = []
    }
    await this.#compare(pending)
    if (!isEndFound) this.wrongEnds.push(path)
  }

  async #compare(files: readonly CommitFile[]): Promise<void> {
    const entries = await this.#index.lookup(this.#state.generation, files)
    for (const [at, file] of files.entries()) {
      const entry = entries[at]
      this.files++
      if (entry !== undefined) this.found++
      if (entry !== undefined && entryValue(entry) === entryValue(file)) continue
      if (entry === undefined) this.missing++
      else this.different++
      if (this.named.length < NAMED_MAX) this.named.push(file.key)
    }
  }
}

function isLastOf(record: CommitRecord, indexed: IndexedChain | undefined): boolean {
  return BigInt(record.end) === indexed?.end && BigInt(record.start) === indexed.lastStart
}

async function countEntries(index: FileIndex, state: IndexState): Promise<number> {
  const tags = endsByTag(state.chains.values())
  let count = 0
  for await (const { files, unreadable } of index.scan(state.generation, {})) {
    count += unreadable + files.filter((file) => isIndexed(file, tags)).length
  }
  return count
}
