/**
 * The port to the index of files: which files there are of a tenant, signal and hour, and for each
 * partition up to which offset the index knows its commits. Redis stands behind it. The commit chains
 * are the truth: the index only saves reading them, can be lost at any moment and be made again.
 *
 * A file of a commit counts only once the end of its partition has passed the commit. Until then it may
 * lie in the index already; readers leave it out (file-catalogue.ts) and find it in the chain.
 *
 * All that belongs together has one generation. A generation only ever gains files and its ends only
 * ascend; whatever would take something away makes a new one, so a reader that sees the same generation
 * before and after has missed nothing.
 */
import type { CommitFile } from '../commit/commit-record.ts'
import type { PartitionId } from '../paths.ts'
import type { SignalName } from '../signal.ts'

/** Consecutive commits of one partition, or one. */
export interface IndexSpan {
  readonly id: PartitionId
  readonly start: bigint
  readonly end: bigint
  /** The start of the last of these commits. */
  readonly lastStart: bigint
  /** All files of these commits. */
  readonly files: readonly CommitFile[]
}

export type ApplyOutcome =
  | { readonly kind: 'applied' }
  /** The end lies behind this span already: somebody else, or a call before, applied it. */
  | { readonly kind: 'known' }
  /** What lies between `end` and the span is missing: read it from the chain. */
  | { readonly kind: 'behind'; readonly end: bigint }
  /** Another generation came meanwhile. */
  | { readonly kind: 'replaced' }

export interface IndexedChain {
  readonly id: PartitionId
  /** Commits below are in the index. */
  readonly end: bigint
  /** Where the last of them starts: the chain must have such a commit, or this index is not its own. */
  readonly lastStart: bigint
}

export interface IndexState {
  readonly generation: string
  /** By `partitionPath`. A partition that is missing has the end 0. */
  readonly chains: ReadonlyMap<string, IndexedChain>
}

/** What files to look for; everything that is left out is not a condition. */
export interface FileSelection {
  readonly tenant?: string
  readonly signal?: SignalName
  /** First and last hour, `2026-11-21T03`; files of `late` count by the times of their rows. */
  readonly fromHour?: string
  readonly toHour?: string
}

export interface IndexPage {
  readonly files: readonly CommitFile[]
  /** Entries that are none of ours. */
  readonly unreadable: number
}

/** Where spans go: the index itself, or one that is being built. */
export interface SpanTarget {
  /** May be repeated, come late and cross others: it adds what is true or nothing. */
  apply(span: IndexSpan): Promise<ApplyOutcome>
  /** Spans of any partitions in as few round trips as may be, each partition's in order. */
  applyAll(spans: readonly IndexSpan[]): Promise<readonly ApplyOutcome[]>
}

/** All methods throw AppError metadata_unavailable: the outcome is unknown, read it back. */
export interface FileIndex extends SpanTarget {
  /** Makes the first generation where there is none. */
  state(): Promise<IndexState>
  /** Files of a generation, in no order, also such that do not count yet; none where it is gone. */
  scan(generation: string, selection: FileSelection): AsyncIterable<IndexPage>
  /** What the generation holds under the keys of these files, in their order. */
  lookup(
    generation: string,
    files: readonly CommitFile[],
  ): Promise<readonly (CommitFile | undefined)[]>
  /** Begins again with nothing, where this is still the generation: for an index that is wrong. */
  reset(generation: string): Promise<void>
  /** Begins a generation beside the one that is read. A build begun before ends as `replaced`. */
  build(): Promise<IndexBuild>
}

export interface IndexBuild extends SpanTarget {
  readonly generation: string
  /** What the build has of a partition; undefined: nothing. */
  chainOf(id: PartitionId): Promise<IndexedChain | undefined>
  /** Readers see this generation from now on; false where another build began meanwhile. */
  publish(): Promise<boolean>
}
