/**
 * What the commits of a store name, read from the commits alone, or from checkpoints as far as they go.
 * Damage is collected, not thrown: a broken commit hides only itself, the walk goes on behind it.
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
import { listCheckpoints, readCheckpoint } from '../commit/checkpoint.ts'
import { COMMIT_BYTES_MAX, countsProblem, parseCommitRecord } from '../commit/commit-record.ts'
import { mapOrdered } from '../commit/ordered-map.ts'
import {
  COMMITS_PREFIX,
  checkpointKey,
  commitKey,
  commitPrefix,
  logTag,
  parseCommitKey,
} from '../paths.ts'
import { CheckpointComparison } from './checkpoint-comparison.ts'

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

export interface CommittedOptions {
  /** Reads each commit and compares checkpoints with them; false: checkpoints are believed. */
  readonly isEveryCommitRead: boolean
}

interface Walk {
  readonly files: Map<string, CommittedFile>
  readonly sidecars: Map<string, CommitRecord>
  readonly findings: CommitFindings
}

/** One commit at its place: as read, or why it could not be. */
interface PlacedCommit {
  readonly start: bigint
  readonly record: CommitRecord | AppError
  readonly bytes?: Uint8Array
}

/** Walks all chains of the store. */
export async function readCommittedObjects(
  store: ObjectStore,
  findings: CommitFindings,
  options: CommittedOptions,
): Promise<CommittedObjects> {
  const walk: Walk = { files: new Map(), sidecars: new Map(), findings }
  const chains = new Map<string, CommittedChain>()
  const summaries: ChainSummary[] = []
  const read = options.isEveryCommitRead ? everyCommit : checkpointedCommits
  for await (const id of listPartitions(store, findings.problems)) {
    const summary = await walkChain(id, read(store, id, walk), walk)
    summaries.push(summary)
    chains.set(chainName(logTag(id), id.partition), { id, end: BigInt(summary.end) })
  }
  return { files: walk.files, sidecars: walk.sidecars, chains, summaries }
}

export function chainName(tag: string, partition: number): string {
  return `${tag}-${partition}`
}

/** The partitions that have commits, one listing each: what lies between is jumped over. */
async function* listPartitions(
  store: ObjectStore,
  problems: BoundedList<Problem>,
): AsyncGenerator<PartitionId> {
  for (let after: string | undefined; ;) {
    const key = await firstKey(store, after)
    if (key === undefined) return
    const parsed = parseCommitKey(key)
    if (parsed === undefined) {
      problems.add(foreign(key))
      after = key
      continue
    }
    const { start: _start, ...id } = parsed
    yield id
    // sorts behind every key of the folder: digits are all that follows its slash
    after = `${commitPrefix(id)}~`
  }
}

async function firstKey(
  store: ObjectStore,
  after: string | undefined,
): Promise<string | undefined> {
  for await (const { key } of store.list(COMMITS_PREFIX, after)) return key
  return undefined
}

/** All commits, each read by itself, and what checkpoints say of them compared. */
async function* everyCommit(
  store: ObjectStore,
  id: PartitionId,
  walk: Walk,
): AsyncGenerator<PlacedCommit> {
  const comparison = new CheckpointComparison(store, id, walk.findings.problems)
  for await (const commit of listedCommits(store, id, 0n, walk)) {
    if (commit.bytes !== undefined) await comparison.commit(commit.start, commit.bytes)
    yield commit
  }
  await comparison.finish()
}

/** Commits by checkpoints as far as they follow each other, then each by itself. */
async function* checkpointedCommits(
  store: ObjectStore,
  id: PartitionId,
  walk: Walk,
): AsyncGenerator<PlacedCommit> {
  let expected = 0n
  for (const end of await listCheckpoints(store, id, 0n)) {
    try {
      for await (const { record } of readCheckpoint(store, id, end)) {
        if (BigInt(record.start) !== expected) break
        expected = BigInt(record.end)
        yield { start: BigInt(record.start), record }
      }
    } catch (error) {
      if (!isDamage(error)) throw error
      problem(walk, 'checkpoint_damaged', checkpointKey(id, end), error.message)
    }
  }
  yield* listedCommits(store, id, expected, walk)
}

async function* listedCommits(
  store: ObjectStore,
  id: PartitionId,
  from: bigint,
  walk: Walk,
): AsyncGenerator<PlacedCommit> {
  const after = from === 0n ? undefined : commitKey(id, from - 1n)
  async function* starts(): AsyncGenerator<bigint> {
    for await (const { key } of store.list(commitPrefix(id), after)) {
      const parsed = parseCommitKey(key)
      if (parsed === undefined) walk.findings.problems.add(foreign(key))
      else yield parsed.start
    }
  }
  yield* mapOrdered(starts(), READS_IN_FLIGHT_MAX, (start) => placedCommit(store, id, start))
}

async function walkChain(
  id: PartitionId,
  commits: AsyncIterable<PlacedCommit>,
  walk: Walk,
): Promise<ChainSummary> {
  const counts = { rowsIn: 0, rowsStored: 0, rowsSuppressed: 0, rowsQuarantined: 0 }
  let end = 0n
  // unknown behind a commit that cannot be read: then the next start cannot be judged
  let expected: bigint | undefined = 0n
  let commitCount = 0
  for await (const { start, record } of commits) {
    commitCount++
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
  return { ...id, commits: commitCount, end: String(end), ...counts }
}

async function placedCommit(
  store: ObjectStore,
  id: PartitionId,
  start: bigint,
): Promise<PlacedCommit> {
  try {
    const bytes = await store.get(commitKey(id, start), { bytesMax: COMMIT_BYTES_MAX })
    return { start, record: parseCommitRecord(bytes), bytes }
  } catch (error) {
    if (isDamage(error)) return { start, record: error }
    throw error
  }
}

function isDamage(error: unknown): error is AppError {
  return (
    error instanceof AppError &&
    ['commit_damaged', 'object_too_large', 'object_missing'].includes(error.code)
  )
}

function foreign(key: string): Problem {
  return { kind: 'commit_foreign', key, message: 'an object among the commits is none' }
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
