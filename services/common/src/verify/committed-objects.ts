/**
 * What the commits of a store name, read from the commits alone. Damage is collected, not thrown: a
 * broken commit hides only itself, the walk goes on behind it.
 */
import type { CommitFile, CommitRecord } from '../commit/commit-record.ts'
import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import type {
  BoundedList,
  ChainSummary,
  PlacedHole,
  Problem,
  ProblemKind,
} from './verify-report.ts'
import { AppError } from '../errors.ts'
import { COMMIT_BYTES_MAX, countsProblem, parseCommitRecord } from '../commit/commit-record.ts'
import { mapOrdered } from '../commit/ordered-map.ts'
import { COMMITS_PREFIX, commitKey, commitPrefix, logTag, parseCommitKey } from '../paths.ts'

const READS_IN_FLIGHT_MAX = 16

export interface CommittedFile extends CommitFile {
  readonly topic: string
  readonly partition: number
  readonly start: string
  readonly end: string
  readonly schemaVersion: number
}

export interface CommittedChain {
  readonly id: PartitionId
  /** Where the last readable commit ends: nothing below can be committed any more. */
  readonly end: bigint
}

export interface CommittedObjects {
  /** By key. */
  readonly files: ReadonlyMap<string, CommittedFile>
  /** Key of a sidecar -> its commit. */
  readonly sidecars: ReadonlyMap<string, CommitRecord>
  /** `<log tag>-<partition>` -> chain: what file names tell of their log. */
  readonly chains: ReadonlyMap<string, CommittedChain>
  readonly summaries: readonly ChainSummary[]
}

export interface CommitFindings {
  readonly problems: BoundedList<Problem>
  readonly holes: BoundedList<PlacedHole>
}

interface Walk {
  readonly files: Map<string, CommittedFile>
  readonly sidecars: Map<string, CommitRecord>
  readonly findings: CommitFindings
}

/** Walks all chains of the store. */
export async function readCommittedObjects(
  store: ObjectStore,
  findings: CommitFindings,
): Promise<CommittedObjects> {
  const walk: Walk = { files: new Map(), sidecars: new Map(), findings }
  const chains = new Map<string, CommittedChain>()
  const summaries: ChainSummary[] = []
  for (const { id, starts } of await listChains(store, findings.problems)) {
    const summary = await walkChain(store, id, starts, walk)
    summaries.push(summary)
    chains.set(chainName(logTag(id), id.partition), { id, end: BigInt(summary.end) })
  }
  return { files: walk.files, sidecars: walk.sidecars, chains, summaries }
}

export function chainName(tag: string, partition: number): string {
  return `${tag}-${partition}`
}

async function listChains(
  store: ObjectStore,
  problems: BoundedList<Problem>,
): Promise<{ id: PartitionId; starts: bigint[] }[]> {
  const chains = new Map<string, { id: PartitionId; starts: bigint[] }>()
  for await (const { key } of store.list(COMMITS_PREFIX)) {
    const parsed = parseCommitKey(key)
    if (parsed === undefined) {
      problems.add({ kind: 'commit_foreign', key, message: 'an object among the commits is none' })
      continue
    }
    const { start, ...id } = parsed
    const prefix = commitPrefix(id)
    const chain = chains.get(prefix)
    if (chain === undefined) chains.set(prefix, { id, starts: [start] })
    else chain.starts.push(start)
  }
  return [...chains.values()]
}

async function walkChain(
  store: ObjectStore,
  id: PartitionId,
  starts: readonly bigint[],
  walk: Walk,
): Promise<ChainSummary> {
  const counts = { rowsIn: 0, rowsStored: 0, rowsSuppressed: 0, rowsQuarantined: 0 }
  let end = 0n
  // unknown behind a commit that cannot be read: then the next start cannot be judged
  let expected: bigint | undefined = 0n
  const records = mapOrdered(starts, READS_IN_FLIGHT_MAX, async (start) => ({
    start,
    record: await readCommit(store, id, start),
  }))
  for await (const { start, record } of records) {
    const key = commitKey(id, start)
    if (record instanceof AppError) {
      const reason = record.cause instanceof Error ? `: ${record.cause.message}` : ''
      problem(walk, 'commit_damaged', key, `${record.message}${reason}`)
      expected = undefined
      continue
    }
    checkPlace(walk, id, start, expected, record)
    expected = BigInt(record.end)
    if (expected > end) end = expected
    const wrong = countsProblem(record)
    if (wrong !== undefined) problem(walk, 'counts_wrong', key, wrong)
    counts.rowsIn += record.counts.rowsIn
    counts.rowsStored += record.counts.rowsStored
    counts.rowsSuppressed += record.counts.rowsSuppressed
    counts.rowsQuarantined += record.counts.rowsQuarantined
    collect(walk, id, record)
  }
  return { ...id, commits: starts.length, end: String(end), ...counts }
}

async function readCommit(
  store: ObjectStore,
  id: PartitionId,
  start: bigint,
): Promise<CommitRecord | AppError> {
  try {
    return parseCommitRecord(await store.get(commitKey(id, start), { bytesMax: COMMIT_BYTES_MAX }))
  } catch (error) {
    const isDamage =
      error instanceof AppError &&
      ['commit_damaged', 'object_too_large', 'object_missing'].includes(error.code)
    if (isDamage) return error
    throw error
  }
}

function checkPlace(
  walk: Walk,
  id: PartitionId,
  start: bigint,
  expected: bigint | undefined,
  record: CommitRecord,
): void {
  const key = commitKey(id, start)
  const isOwn =
    record.logId === id.logId &&
    record.topic === id.topic &&
    record.partition === id.partition &&
    record.start === String(start)
  if (!isOwn) problem(walk, 'commit_foreign', key, 'a commit lies under the key of another one')
  if (expected === undefined || expected === start) return
  const kind = start > expected ? 'gap' : 'overlap'
  problem(walk, kind, key, `commit starts at ${start}, the one before ended at ${expected}`)
}

function collect(walk: Walk, id: PartitionId, record: CommitRecord): void {
  const { topic, partition, start, end, schemaVersions } = record
  for (const file of record.files) {
    if (walk.files.has(file.key)) {
      problem(walk, 'file_twice', file.key, 'two commits name the same file')
      continue
    }
    const schemaVersion = schemaVersions[`${file.tenant}/${file.signal}`] ?? 0
    walk.files.set(file.key, { ...file, topic, partition, start, end, schemaVersion })
  }
  for (const hole of record.holes) walk.findings.holes.add({ ...id, ...hole })
  // the files of a record are in the map: no second copy of each
  if (record.hashes !== null) walk.sidecars.set(record.hashes, { ...record, files: [] })
}

function problem(walk: Walk, kind: ProblemKind, key: string, message: string): void {
  walk.findings.problems.add({ kind, key, message })
}
