import type { CommitHole } from '../commit/commit-record.ts'
import type { PartitionId } from '../paths.ts'

/** Everything that can be wrong with a store, one word each. */
export const PROBLEM_KINDS = [
  'gap',
  'overlap',
  'commit_damaged',
  'commit_foreign',
  'counts_wrong',
  'checkpoint_damaged',
  'checkpoint_wrong',
  'file_missing',
  'file_size',
  'file_hash',
  'file_unreadable',
  'file_rows',
  'file_footer',
  'file_twice',
  'sidecar_missing',
  'sidecar_damaged',
  'schema_broken',
  'schema_version_missing',
  'orphan',
] as const
export type ProblemKind = (typeof PROBLEM_KINDS)[number]

export interface Problem {
  readonly kind: ProblemKind
  /** The object that is wrong, missing or unreferenced. */
  readonly key: string
  readonly message: string
}

export interface ChainSummary extends PartitionId {
  readonly commits: number
  /** The next offset after the last commit, decimal. */
  readonly end: string
  readonly rowsIn: number
  readonly rowsStored: number
  readonly rowsSuppressed: number
  readonly rowsQuarantined: number
}

export interface PlacedHole extends PartitionId, CommitHole {}

/** An object that no commit names: of a flush under way, or of one that never got to its commit. */
export interface PendingObject {
  readonly key: string
  readonly bytes: number
  readonly ageMs: number
}

/** What `verify` found; plain JSON. */
export interface VerifyReport {
  readonly url: string
  readonly isWhole: boolean
  readonly checkedAt: string
  readonly chains: readonly ChainSummary[]
  readonly files: number
  readonly bytes: number
  readonly rows: number
  readonly holes: readonly PlacedHole[]
  readonly pending: readonly PendingObject[]
  readonly problems: readonly Problem[]
  /** Found beyond the lists' bound of LISTED_MAX each. */
  readonly leftOut: {
    readonly holes: number
    readonly pending: number
    readonly problems: number
  }
}

/** Entries of each list of a report: a store that lost everything must not fill the memory. */
export const LISTED_MAX = 10_000

/** A list that counts what it has no room for. */
export class BoundedList<Item> {
  readonly items: Item[] = []
  leftOut = 0

  add(item: Item): void {
    if (this.items.length < LISTED_MAX) this.items.push(item)
    else this.leftOut++
  }

  get count(): number {
    return this.items.length + this.leftOut
  }
}

/** 0: everything is there and adds up (holes with their reasons are told, not failed); 1: not. */
export function verifyExitStatus(report: VerifyReport): 0 | 1 {
  return report.isWhole ? 0 : 1
}
