/**
 * Deletes what no commit names and none ever will: uploads whose process died, or whose range another
 * writer committed.
 *
 * Invariant: an object is deleted only when the chain has gone past the start of its range, and the
 * commit at that start, read right before, does not name it. Commits never change, so no clock is
 * trusted: a writer that slept for days between upload and commit finds its files, or a conflict.
 * The grace only spares readers that list files by themselves.
 */
import type { Clock } from '../clock.ts'
import type { ObjectStore } from '../object-store/object-store.ts'
import type { UnreferencedObject } from './unreferenced.ts'
import type { CommittedObjects } from './committed-objects.ts'
import type { PlacedHole, Problem } from './verify-report.ts'
import { systemClock } from '../clock.ts'
import { COMMIT_BYTES_MAX, parseCommitRecord } from '../commit/commit-record.ts'
import { AppError } from '../errors.ts'
import { failpoint } from '../failpoint.ts'
import { commitKey } from '../paths.ts'
import { readCommittedObjects } from './committed-objects.ts'
import { listUnreferenced } from './unreferenced.ts'
import { BoundedList } from './verify-report.ts'

/** Longer than any upload and query: a day. */
export const ORPHAN_GRACE_MS = 24 * 3_600_000

export interface SweepOptions {
  readonly graceMs?: number
  /** Tells what would be deleted. */
  readonly isDryRun?: boolean
  readonly clock?: Clock
}

export interface SweepReport {
  /** Keys deleted (dry run: to delete), as far as the list goes. */
  readonly deleted: readonly string[]
  readonly deletedCount: number
  readonly deletedBytes: number
  /** Unreferenced, but younger than the grace or of a commit that may still come. */
  readonly keptCount: number
}

/**
 * Sweeps the whole store.
 * @throws AppError chain_broken where the commits cannot all be read: then nothing is deleted
 */
export async function sweepOrphans(
  store: ObjectStore,
  options: SweepOptions = {},
): Promise<SweepReport> {
  const { graceMs = ORPHAN_GRACE_MS, isDryRun = false, clock = systemClock } = options
  const problems = new BoundedList<Problem>()
  const holes = new BoundedList<PlacedHole>()
  const committed = await readCommittedObjects(
    store,
    { problems, holes },
    { isEveryCommitRead: false },
  )
  if (problems.count > 0) {
    throw new AppError('chain_broken', 'no sweep while commits are damaged', {
      details: { problems: problems.count, first: problems.items[0]?.key },
    })
  }
  const deleted = new BoundedList<string>()
  let deletedBytes = 0
  let keptCount = 0
  for await (const orphan of listUnreferenced(store, committed)) {
    const isOld = clock.nowUnixMs() - orphan.lastModifiedMs > graceMs
    if (!isOld || !(await isAbandoned(store, committed, orphan))) {
      keptCount++
      continue
    }
    if (!isDryRun) {
      await failpoint('sweep:before-delete')
      await store.delete(orphan.key)
    }
    deleted.add(orphan.key)
    deletedBytes += orphan.bytes
  }
  return { deleted: deleted.items, deletedCount: deleted.count, deletedBytes, keptCount }
}

/** Asks the store again, whatever was read before. Keys that are none of ours are left alone. */
async function isAbandoned(
  store: ObjectStore,
  committed: CommittedObjects,
  orphan: UnreferencedObject,
): Promise<boolean> {
  const { slot } = orphan
  const chain = slot === undefined ? undefined : committed.chains.get(slot.chain)
  if (slot?.isDecided !== true || chain === undefined) return false
  try {
    const bytes = await store.get(commitKey(chain.id, slot.start), { bytesMax: COMMIT_BYTES_MAX })
    const record = parseCommitRecord(bytes)
    return record.hashes !== orphan.key && record.files.every(({ key }) => key !== orphan.key)
  } catch (error) {
    // no commit starts there and the chain is past it: none ever will
    if (error instanceof AppError && error.code === 'object_missing') return true
    throw error
  }
}
