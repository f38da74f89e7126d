/**
 * The files of a store, each once, whatever is committed meanwhile: what the index has up to its ends,
 * and the chains from exactly there on. Without an index the chains alone.
 */
import type { CommitFile } from '../commit/commit-record.ts'
import type { ObjectStore } from '../object-store/object-store.ts'
import type { FileIndex, FileSelection, IndexState, IndexedChain } from './file-index.ts'
import type { PartitionId } from '../paths.ts'
import { listChains, readChainFrom } from '../commit/chain-range.ts'
import { mapOrdered } from '../commit/ordered-map.ts'
import { AppError } from '../errors.ts'
import { metadataUnavailable } from '../metadata/redis-errors.ts'
import { partitionPath } from '../paths.ts'
import { endsByTag, isFileSelected, isIndexed } from './index-entry.ts'

/** Files of one answer: at 400 B each 200 MB. */
export const CATALOGUE_FILES_MAX = 500_000
/** Chains that are read at the same time, each with some commits ahead. */
const CHAINS_IN_FLIGHT_MAX = 8
/** A generation that is replaced while it is read is read again, this often. */
const READS_MAX = 3

export interface Catalogue {
  readonly files: readonly CommitFile[]
  /** By partition path: up to which offset all commits are in `files`. */
  readonly ends: ReadonlyMap<string, bigint>
  /** Files that came from the index; the rest was read from chains. */
  readonly indexedFiles: number
}

/**
 * Reads the catalogue.
 * @param index undefined, or unreachable: the chains are read from their beginning
 * @throws AppError store_unavailable, chain_broken, commit_damaged;
 *   invalid_query where more than CATALOGUE_FILES_MAX files are selected
 */
export async function readCatalogue(
  store: ObjectStore,
  index: FileIndex | undefined,
  selection: FileSelection,
): Promise<Catalogue> {
  const indexed = index === undefined ? NOTHING : await readIndexOrNothing(index, selection)
  const files = [...indexed.files]
  const ends = new Map<string, bigint>()
  const known = [...indexed.chains.values()].map(({ id }) => id)
  const tails = mapOrdered(listChains(store, known), CHAINS_IN_FLIGHT_MAX, (id) => {
    return readTail(store, id, indexed.chains.get(partitionPath(id))?.end ?? 0n, selection)
  })
  for await (const tail of tails) {
    for (const file of tail.files) files.push(file)
    checkCount(files)
    ends.set(partitionPath(tail.id), tail.end)
  }
  return { files, ends, indexedFiles: indexed.files.length }
}

async function readTail(
  store: ObjectStore,
  id: PartitionId,
  from: bigint,
  selection: FileSelection,
): Promise<{ id: PartitionId; files: CommitFile[]; end: bigint }> {
  const files: CommitFile[] = []
  let end = from
  for await (const record of readChainFrom(store, id, from)) {
    files.push(...record.files.filter((file) => isFileSelected(file, selection)))
    checkCount(files)
    end = BigInt(record.end)
  }
  return { id, files, end }
}

interface IndexedFiles {
  readonly chains: IndexState['chains']
  readonly files: readonly CommitFile[]
}

const NOTHING: IndexedFiles = { chains: new Map(), files: [] }

async function readIndexOrNothing(
  index: FileIndex,
  selection: FileSelection,
): Promise<IndexedFiles> {
  try {
    return await readIndex(index, selection)
  } catch (error) {
    // the index only saves work: without it there is more of it
    if (error instanceof AppError && error.code === 'metadata_unavailable') return NOTHING
    throw error
  }
}

/**
 * The selected files of the index that count, with the ends up to which they are complete.
 * @throws AppError metadata_unavailable
 */
export async function readIndex(index: FileIndex, selection: FileSelection): Promise<IndexedFiles> {
  for (let tries = 1; tries <= READS_MAX; tries++) {
    const state = await index.state()
    const tags = endsByTag(state.chains.values())
    const files: CommitFile[] = []
    for await (const page of index.scan(state.generation, selection)) {
      for (const file of page.files) {
        if (isIndexed(file, tags) && isFileSelected(file, selection)) files.push(file)
      }
      checkCount(files)
    }
    if (isGrownFrom(state, await index.state())) return { chains: state.chains, files }
  }
  throw metadataUnavailable('overtaken')
}

/** Whether nothing was taken away between the two: the same generation, no end went back. */
export function isGrownFrom(before: IndexState, after: IndexState): boolean {
  if (before.generation !== after.generation) return false
  return [...before.chains].every(([path, chain]: [string, IndexedChain]) => {
    return (after.chains.get(path)?.end ?? 0n) >= chain.end
  })
}

function checkCount(files: readonly CommitFile[]): void {
  if (files.length <= CATALOGUE_FILES_MAX) return
  throw new AppError('invalid_query', 'too many files: name a tenant, a signal or fewer hours', {
    details: { filesMax: CATALOGUE_FILES_MAX },
  })
}
