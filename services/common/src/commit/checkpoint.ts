/**
 * A checkpoint: consecutive commits of a chain in one object, so that a chain of years is read in few
 * calls. It says nothing that the commits do not say; whoever makes it makes the same bytes, and it is
 * create-only. docs/format/checkpoint.md has the same words.
 *
 *   {"formatVersion":1,"logId":"..","topic":"..","partition":0,"start":"0","end":"980","commits":1000,
 *    "commitsBefore":0,"lastEpoch":3,"lastWriter":"..","starts":["0","1",..],"records":[\n     one line
 *   <commit>,\n                                                                     as it lies in the store
 *   <commit>\n
 *   ]}\n
 *
 * The first line alone tells where the chain goes on: it is read without the rest.
 */
import assert from 'node:assert/strict'

import type { ObjectStore } from '../object-store/object-store.ts'
import type { PartitionId } from '../paths.ts'
import type { CommitRecord } from './commit-record.ts'
import { AppError } from '../errors.ts'
import { JsonReader } from '../object-store/json-reader.ts'
import { checkpointKey, checkpointPrefix, parseCheckpointKey, parseOffset } from '../paths.ts'
import { COMMIT_BYTES_MAX, parseCommitRecord } from './commit-record.ts'

export const CHECKPOINT_FORMAT_VERSION = 1
/** Commits of one checkpoint: a day of one a minute and more. */
export const CHECKPOINT_COMMITS_MAX = 1000
/** A checkpoint is full at this size of its commits: what a reader holds in memory. */
export const CHECKPOINT_BYTES_FULL = 8 * 1024 * 1024
/** The commit that makes it full may be the largest. */
const CHECKPOINT_BYTES_MAX = CHECKPOINT_BYTES_FULL + COMMIT_BYTES_MAX + 1024 * 1024
/** 1,000 starts of 23 characters, and names. */
const HEADER_BYTES_MAX = 64 * 1024
const TEXT_LENGTH_MAX = 1024
const NEWLINE = 0x0a
const COMMA = 0x2c

/** What a checkpoint tells without its commits. */
export interface CheckpointHeader extends PartitionId {
  readonly formatVersion: number
  /** Decimal: the first offset of its first commit, and the one behind its last. */
  readonly start: string
  readonly end: string
  readonly commits: number
  /** Commits of the chain before its first. */
  readonly commitsBefore: number
  /** Of its last commit. */
  readonly lastEpoch: number
  readonly lastWriter: string
  /** Of its commits. */
  readonly starts: readonly string[]
}

/** Where the checkpoints of a chain end. */
export interface FoldedTo {
  readonly end: bigint
  /** Commits below. */
  readonly commits: number
}

/** A commit and its bytes as they lie in the store. */
export interface StoredCommit {
  readonly record: CommitRecord
  readonly bytes: Uint8Array
}

export interface Checkpoint {
  readonly header: CheckpointHeader
  readonly commits: Iterable<StoredCommit>
}

/** The bytes of a checkpoint of these commits, which follow each other. */
export function serializeCheckpoint(
  id: PartitionId,
  commitsBefore: number,
  commits: readonly StoredCommit[],
): Uint8Array {
  const last = commits.at(-1)?.record
  assert(last !== undefined && commits.length <= CHECKPOINT_COMMITS_MAX)
  const header: CheckpointHeader = {
    formatVersion: CHECKPOINT_FORMAT_VERSION,
    logId: id.logId,
    topic: id.topic,
    partition: id.partition,
    start: commits[0]!.record.start,
    end: last.end,
    commits: commits.length,
    commitsBefore,
    lastEpoch: last.epoch,
    lastWriter: last.writer,
    starts: commits.map(({ record }) => record.start),
  }
  const parts: Uint8Array[] = [Buffer.from(`${JSON.stringify(header).slice(0, -1)},"records":[\n`)]
  commits.forEach(({ bytes }, index) => {
    const end = index === commits.length - 1 ? '\n' : ',\n'
    parts.push(oneLine(bytes), Buffer.from(end))
  })
  parts.push(Buffer.from(']}\n'))
  return Buffer.concat(parts)
}

/** As a line of a checkpoint: a commit written by hand may have line breaks, ours never has. */
export function oneLine(bytes: Uint8Array): Uint8Array {
  if (!bytes.includes(NEWLINE)) return bytes
  return Buffer.from(JSON.stringify(JSON.parse(Buffer.from(bytes).toString('utf8'))))
}

/** The ends of a chain's checkpoints behind an offset that a listing shows, ascending. */
export async function listCheckpoints(
  store: ObjectStore,
  id: PartitionId,
  behind: bigint,
): Promise<readonly bigint[]> {
  const ends: bigint[] = []
  for await (const { key } of store.list(checkpointPrefix(id), checkpointKey(id, behind))) {
    const parsed = parseCheckpointKey(key)
    if (parsed !== undefined) ends.push(parsed.end)
  }
  return ends
}

/**
 * Reads the first line.
 * @throws AppError commit_damaged, object_missing
 */
export async function readCheckpointHeader(
  store: ObjectStore,
  id: PartitionId,
  end: bigint,
): Promise<CheckpointHeader> {
  const key = checkpointKey(id, end)
  const bytes = await store.get(key, { range: { offset: 0, length: HEADER_BYTES_MAX } })
  return parseHeader(id, end, key, bytes)
}

/**
 * Reads a whole checkpoint: its commits, in order, with the bytes that lie in the store.
 * @throws AppError commit_damaged, object_missing
 */
export async function* readCheckpoint(
  store: ObjectStore,
  id: PartitionId,
  end: bigint,
): AsyncGenerator<StoredCommit> {
  const bytes = await store.get(checkpointKey(id, end), { bytesMax: CHECKPOINT_BYTES_MAX })
  yield* parseCheckpoint(id, end, bytes).commits
}

/**
 * The bytes of a whole checkpoint; its commits are parsed one by one, as they are asked for.
 * @throws AppError commit_damaged, here and while its commits are read
 */
export function parseCheckpoint(id: PartitionId, end: bigint, bytes: Uint8Array): Checkpoint {
  const key = checkpointKey(id, end)
  const header = parseHeader(id, end, key, bytes)
  return { header, commits: parseCommits(header, key, bytes) }
}

function* parseCommits(
  { starts }: CheckpointHeader,
  key: string,
  bytes: Uint8Array,
): Generator<StoredCommit> {
  let at = bytes.indexOf(NEWLINE) + 1
  for (const [index, start] of starts.entries()) {
    const lineEnd = bytes.indexOf(NEWLINE, at)
    const isLast = index === starts.length - 1
    const textEnd = isLast ? lineEnd : lineEnd - 1
    if (lineEnd < 0 || (!isLast && bytes[textEnd] !== COMMA)) throw damaged(key, 'is cut off')
    const line = bytes.subarray(at, textEnd)
    const record = parseRecord(key, line)
    if (record.start !== start) throw damaged(key, 'has another commit than its first line says')
    yield { record, bytes: line }
    at = lineEnd + 1
  }
}

function parseHeader(
  id: PartitionId,
  end: bigint,
  key: string,
  bytes: Uint8Array,
): CheckpointHeader {
  const lineEnd = bytes.indexOf(NEWLINE)
  if (lineEnd < 0) throw damaged(key, 'has no first line')
  // the list of records is opened in this line and closed in the last one
  const document = Buffer.concat([bytes.subarray(0, lineEnd), Buffer.from(']}')])
  const json = JsonReader.parse(document, HEADER_BYTES_MAX, 'commit_damaged')
  const formatVersion = json.integer('formatVersion', 1, Number.MAX_SAFE_INTEGER)
  if (formatVersion > CHECKPOINT_FORMAT_VERSION) {
    throw json.problem('formatVersion', 'was written by a newer version')
  }
  const header: CheckpointHeader = {
    formatVersion,
    logId: json.text('logId', TEXT_LENGTH_MAX),
    topic: json.text('topic', TEXT_LENGTH_MAX),
    partition: json.integer('partition', 0, 2 ** 31 - 1),
    start: json.offset('start'),
    end: json.offset('end'),
    commits: json.integer('commits', 1, CHECKPOINT_COMMITS_MAX),
    commitsBefore: json.integer('commitsBefore', 0, Number.MAX_SAFE_INTEGER),
    lastEpoch: json.integer('lastEpoch', 0, Number.MAX_SAFE_INTEGER),
    lastWriter: json.text('lastWriter', TEXT_LENGTH_MAX),
    starts: json.texts('starts', CHECKPOINT_COMMITS_MAX, TEXT_LENGTH_MAX),
  }
  const isOwn =
    header.logId === id.logId && header.topic === id.topic && header.partition === id.partition
  if (!isOwn || header.end !== String(end)) throw damaged(key, 'is that of another key')
  const isWhole =
    header.starts.length === header.commits &&
    header.starts[0] === header.start &&
    areAscending(header.starts, end)
  if (!isWhole) throw damaged(key, 'has commits that do not follow each other')
  return header
}

function areAscending(starts: readonly string[], end: bigint): boolean {
  let before = -1n
  for (const text of starts) {
    const start = parseOffset(text)
    if (start === undefined || start <= before) return false
    before = start
  }
  return before < end
}

function parseRecord(key: string, line: Uint8Array): CommitRecord {
  try {
    return parseCommitRecord(line)
  } catch (error) {
    throw new AppError('commit_damaged', 'a commit of a checkpoint cannot be read', {
      cause: error,
      details: { key },
    })
  }
}

function damaged(key: string, problem: string): AppError {
  return new AppError('commit_damaged', `checkpoint ${problem}`, { details: { key } })
}
