/**
 * Brings an index up to the commit chains, in bounded memory: commits are read some ahead, put
 * together to spans, and sent some spans at a time.
 */
import type { CommitFile, CommitRecord } from '../commit/commit-record.ts'
import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import type { FileIndex, IndexSpan, IndexedChain, SpanTarget } from './file-index.ts'
import { listChains, readChainFrom } from '../commit/chain-range.ts'
import { readCommit } from '../commit/commit-follow.ts'
import { AppError } from '../errors.ts'
import { metadataUnavailable } from '../metadata/redis-errors.ts'

/** Commits are put together up to this many files: one call of the index. */
const SPAN_FILES_MAX = 500
/** Spans in memory: 8 x 500 files of some 400 B are 1.6 MB, beside the commits being read. */
const SPANS_PER_BATCH_MAX = 8

export interface Filled {
  readonly commits: number
  readonly files: number
}

export type FillOutcome =
  /** The index has the chain up to `end`. */
  | ({ readonly kind: 'filled'; readonly end: bigint } & Filled)
  /** The index claims an end that the chain does not have: it is of another past. */
  | { readonly kind: 'wrong'; readonly end: bigint }
  /** Another generation came meanwhile. */
  | { readonly kind: 'replaced' }

/**
 * Adds to the index what the chain of a partition has from the index' end on.
 * @throws AppError metadata_unavailable, store_unavailable: what was added stays, fill again;
 *   chain_broken, commit_damaged: the chain itself
 */
export async function fillPartition(
  target: SpanTarget,
  store: ObjectStore,
  id: PartitionId,
  indexed: IndexedChain | undefined,
): Promise<FillOutcome> {
  let commits = 0
  let files = 0
  let end = indexed?.end ?? 0n
  if (indexed !== undefined && !(await hasCommit(store, indexed))) return { kind: 'wrong', end }
  for await (const spans of inBatches(inSpans(id, readChainFrom(store, id, end)))) {
    const outcomes = await target.applyAll(spans.map(({ span }) => span))
    if (outcomes.some(({ kind }) => kind === 'replaced')) return { kind: 'replaced' }
    // emptied under us: what was sent lies there uncounted, whoever fills next begins at its end
    if (outcomes.some(({ kind }) => kind === 'behind')) return { kind: 'replaced' }
    for (const { span, commitCount } of spans) {
      commits += commitCount
      files += span.files.length
      end = span.end
    }
  }
  return { kind: 'filled', end, commits, files }
}

export interface RebuildReport extends Filled {
  readonly chains: number
  readonly generation: string
}

/**
 * Makes the index anew from all chains of the store, beside the one that is read, and then takes its
 * place. Commits that come meanwhile are read too, as far as they are there at the end; the owners
 * add the rest.
 * @throws AppError metadata_unavailable; store_unavailable; chain_broken; commit_damaged
 */
export async function rebuildIndex(
  index: FileIndex,
  store: ObjectStore,
  onProgress: (done: Filled & { readonly chains: number }) => void = () => undefined,
): Promise<RebuildReport> {
  const build = await index.build()
  const done = { chains: 0, commits: 0, files: 0 }
  const fill = async (id: PartitionId): Promise<void> => {
    const outcome = await fillPartition(build, store, id, await build.chainOf(id))
    if (outcome.kind !== 'filled') throw metadataUnavailable('overtaken')
    done.commits += outcome.commits
    done.files += outcome.files
    onProgress(done)
  }
  for await (const id of listChains(store)) {
    done.chains++
    await fill(id)
  }
  // the first ones may have grown since
  for await (const id of listChains(store)) await fill(id)
  if (!(await build.publish())) throw metadataUnavailable('overtaken')
  return { ...done, generation: build.generation }
}

/** Whether the last commit that the index has is one of the chain. */
async function hasCommit(
  store: ObjectStore,
  { id, end, lastStart }: IndexedChain,
): Promise<boolean> {
  try {
    const record = await readCommit(store, id, lastStart)
    return BigInt(record.end) === end
  } catch (error) {
    if (error instanceof AppError && error.code === 'object_missing') return false
    throw error
  }
}

/** One commit. */
export function spanOf(record: CommitRecord): IndexSpan {
  const { logId, topic, partition, files } = record
  const [start, end] = [BigInt(record.start), BigInt(record.end)]
  return { id: { logId, topic, partition }, start, end, lastStart: start, files }
}

interface CountedSpan {
  readonly span: IndexSpan
  readonly commitCount: number
}

/** Puts consecutive commits together, as long as they have few files. */
async function* inSpans(
  id: PartitionId,
  records: AsyncIterable<CommitRecord>,
): AsyncGenerator<CountedSpan> {
  let start: bigint | undefined
  let end = 0n
  let lastStart = 0n
  let commitCount = 0
  let files: CommitFile[] = []
  for await (const record of records) {
    if (start !== undefined && files.length + record.files.length > SPAN_FILES_MAX) {
      yield { span: { id, start, end, lastStart, files }, commitCount }
      start = undefined
    }
    if (start === undefined) {
      start = BigInt(record.start)
      commitCount = 0
      files = []
    }
    files.push(...record.files)
    commitCount++
    end = BigInt(record.end)
    lastStart = BigInt(record.start)
  }
  if (start !== undefined) yield { span: { id, start, end, lastStart, files }, commitCount }
}

async function* inBatches<Item>(items: AsyncIterable<Item>): AsyncGenerator<Item[]> {
  let batch: Item[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < SPANS_PER_BATCH_MAX) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
