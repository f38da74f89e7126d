/**
 * One commit: what a flush of a partition stored, as the JSON object of docs/format/commit.md.
 * The parser trusts nothing: sizes, types, keys and ranges are checked before anything is used,
 * unknown members are left out, so that one version back and forth can read each other.
 */
import assert from 'node:assert/strict'

import { AppError } from '../errors.ts'
import { isTenantName, logTag, parseDataKey, parseHashesKey, parseOffset } from '../paths.ts'
import { SIGNAL_NAMES } from '../signal.ts'
import type { SignalName } from '../signal.ts'
import { JsonReader } from '../object-store/json-reader.ts'

export const COMMIT_FORMAT_VERSION = 1
/** 48 hours x 3 signals x 100 tenants of a flush at 700 B per file: 10 MiB. */
export const COMMIT_BYTES_MAX = 16 * 1024 * 1024
export const COMMIT_FILES_MAX = 20_000
const COMMIT_HOLES_MAX = 20_000
const TEXT_LENGTH_MAX = 1024

export interface CommitFile {
  readonly key: string
  readonly bytes: number
  /** Lower-case hex. */
  readonly sha256: string
  readonly rows: number
  readonly tenant: string
  readonly signal: SignalName
  /** `2026-11-21T03` (event time, UTC) or `late`. */
  readonly hour: string
  /** Nanoseconds since 1970, decimal: least and greatest event time. */
  readonly timeMin: string
  readonly timeMax: string
}

export interface CommitCounts {
  /** rowsStored + rowsSuppressed + rowsQuarantined; rows of holes are unknown and not counted. */
  readonly rowsIn: number
  readonly rowsStored: number
  readonly rowsSuppressed: number
  readonly rowsQuarantined: number
}

/** Offsets of the commit that gave no rows, and why: never without a reason. */
export interface CommitHole {
  readonly start: string
  readonly end: string
  readonly reason: string
}

export interface CommitRecord {
  readonly formatVersion: number
  readonly logId: string
  readonly topic: string
  readonly partition: number
  /** Decimal offsets: the first of this commit, and the next one to read. */
  readonly start: string
  readonly end: string
  readonly epoch: number
  readonly writer: string
  /** `<tenant>/<signal>` -> the version of the schema chain that its files were written with. */
  readonly schemaVersions: Readonly<Record<string, number>>
  readonly files: readonly CommitFile[]
  readonly counts: CommitCounts
  readonly holes: readonly CommitHole[]
  /** Key of the sidecar with the chunk hashes, null where nothing removable was stored. */
  readonly hashes: string | null
  /** RFC 3339. */
  readonly committedAt: string
}

/**
 * The bytes of a commit: members in a fixed order, so that equal commits are equal bytes.
 * @throws AppError encode_failed where it is larger than a reader takes
 */
export function serializeCommitRecord(record: CommitRecord): Uint8Array {
  const problem = commitProblem(record)
  assert.equal(problem, undefined, `a commit of ours is wrong: ${problem}`)
  const bytes = Buffer.from(JSON.stringify(plainRecord(record)))
  const { files, holes } = record
  const isTooLong = files.length > COMMIT_FILES_MAX || holes.length > COMMIT_HOLES_MAX
  if (bytes.length > COMMIT_BYTES_MAX || isTooLong) {
    throw new AppError('encode_failed', 'commit is too large', {
      details: { bytes: bytes.length, files: files.length, holes: holes.length },
    })
  }
  return bytes
}

/**
 * Reads a commit object.
 * @throws AppError commit_damaged, with what and where
 */
export function parseCommitRecord(bytes: Uint8Array): CommitRecord {
  const json = JsonReader.parse(bytes, COMMIT_BYTES_MAX, 'commit_damaged')
  const formatVersion = json.integer('formatVersion', 1, Number.MAX_SAFE_INTEGER)
  if (formatVersion > COMMIT_FORMAT_VERSION) {
    throw json.problem('formatVersion', 'was written by a newer version')
  }
  const record: CommitRecord = {
    formatVersion,
    logId: json.text('logId', TEXT_LENGTH_MAX),
    topic: json.text('topic', TEXT_LENGTH_MAX),
    partition: json.integer('partition', 0, 2 ** 31 - 1),
    start: json.offset('start'),
    end: json.offset('end'),
    epoch: json.integer('epoch', 0, Number.MAX_SAFE_INTEGER),
    writer: json.text('writer', TEXT_LENGTH_MAX),
    schemaVersions: readSchemaVersions(json),
    files: json.list('files', COMMIT_FILES_MAX).map(readFile),
    counts: readCounts(json.object('counts')),
    holes: json.list('holes', COMMIT_HOLES_MAX).map(readHole),
    hashes: json.isNull('hashes') ? null : json.text('hashes', TEXT_LENGTH_MAX),
    committedAt: readTime(json),
  }
  const problem = layoutProblem(record)
  if (problem !== undefined) throw json.problem('commit', problem)
  return record
}

/**
 * Why the commit cannot be true, or undefined: counts that do not add up beside everything that the
 * parser refuses.
 */
export function commitProblem(record: CommitRecord): string | undefined {
  return layoutProblem(record) ?? countsProblem(record)
}

/** Whether rows in are what was stored, suppressed and quarantined, and files hold what was stored. */
export function countsProblem(record: CommitRecord): string | undefined {
  const { rowsIn, rowsStored, rowsSuppressed, rowsQuarantined } = record.counts
  if (rowsIn !== rowsStored + rowsSuppressed + rowsQuarantined) {
    return 'rows in are not rows stored, suppressed and quarantined'
  }
  const rowsInFiles = record.files.reduce((sum, file) => sum + file.rows, 0)
  return rowsInFiles === rowsStored ? undefined : 'rows of the files are not the rows stored'
}

function layoutProblem(record: CommitRecord): string | undefined {
  const start = parseOffset(record.start)
  const end = parseOffset(record.end)
  if (start === undefined || end === undefined || start >= end) return 'offset range is empty'
  let holeEnd = start
  for (const hole of record.holes) {
    const from = parseOffset(hole.start)
    const to = parseOffset(hole.end)
    if (from === undefined || to === undefined || from >= to) return 'a hole has no offsets'
    if (from < holeEnd || to > end) return 'holes overlap or leave the commit'
    if (hole.reason.trim() === '') return 'a hole has no reason'
    holeEnd = to
  }
  const keys = new Set<string>()
  const tag = logTag(record)
  for (const file of record.files) {
    const problem = fileProblem(record, file, { start, end, tag })
    if (problem !== undefined) return `${problem}: ${file.key.slice(0, 300)}`
    if (keys.has(file.key)) return `a file is named twice: ${file.key}`
    keys.add(file.key)
  }
  return hashesProblem(record, start, end)
}

function fileProblem(
  record: CommitRecord,
  file: CommitFile,
  own: { readonly start: bigint; readonly end: bigint; readonly tag: string },
): string | undefined {
  const key = parseDataKey(file.key)
  if (key === undefined) return 'a file has no key of a data file'
  if (key.tenant !== file.tenant || key.signal !== file.signal || key.hour !== file.hour) {
    return 'a file has the key of another table or hour'
  }
  // the sweep finds the commit of a file from its key: the range must be that of the commit
  if (key.start !== own.start || key.end !== own.end) return 'a file has the key of another range'
  if (key.logTag !== own.tag || key.partition !== record.partition) {
    return 'a file has the key of another log'
  }
  if (!file.sha256.startsWith(key.content)) return 'a file has the key of other content'
  if (BigInt(file.timeMin) > BigInt(file.timeMax)) return 'a file ends before it starts'
  const version = Object.hasOwn(record.schemaVersions, `${file.tenant}/${file.signal}`)
  return version ? undefined : 'a file has no schema version'
}

function hashesProblem(record: CommitRecord, start: bigint, end: bigint): string | undefined {
  if (record.hashes === null) return undefined
  const key = parseHashesKey(record.hashes)
  const isOwn =
    key?.logId === record.logId &&
    key.topic === record.topic &&
    key.partition === record.partition &&
    key.start === start &&
    key.end === end
  return isOwn ? undefined : 'the sidecar has the key of another commit'
}

function readFile(json: JsonReader): CommitFile {
  return {
    key: json.text('key', TEXT_LENGTH_MAX),
    bytes: json.integer('bytes', 1, Number.MAX_SAFE_INTEGER),
    sha256: json.matching('sha256', /^[0-9a-f]{64}$/),
    rows: json.integer('rows', 1, Number.MAX_SAFE_INTEGER),
    tenant: json.text('tenant', TEXT_LENGTH_MAX),
    signal: json.oneOf('signal', SIGNAL_NAMES),
    hour: json.text('hour', TEXT_LENGTH_MAX),
    timeMin: json.matching('timeMin', /^(0|[1-9]\d{0,19})$/),
    timeMax: json.matching('timeMax', /^(0|[1-9]\d{0,19})$/),
  }
}

function readCounts(json: JsonReader): CommitCounts {
  const count = (name: string) => json.integer(name, 0, Number.MAX_SAFE_INTEGER)
  return {
    rowsIn: count('rowsIn'),
    rowsStored: count('rowsStored'),
    rowsSuppressed: count('rowsSuppressed'),
    rowsQuarantined: count('rowsQuarantined'),
  }
}

function readHole(json: JsonReader): CommitHole {
  return {
    start: json.offset('start'),
    end: json.offset('end'),
    reason: json.text('reason', TEXT_LENGTH_MAX),
  }
}

function readSchemaVersions(json: JsonReader): Record<string, number> {
  const versions = json.object('schemaVersions')
  const entries = versions.names(COMMIT_FILES_MAX).map((table): [string, number] => {
    const [tenant, signal, ...rest] = table.split('/')
    const isTable =
      rest.length === 0 && isTenantName(tenant!) && SIGNAL_NAMES.some((name) => name === signal)
    if (!isTable) throw versions.problem(table.slice(0, 100), 'is no table')
    return [table, versions.integer(table, 0, Number.MAX_SAFE_INTEGER)]
  })
  return Object.fromEntries(entries)
}

function readTime(json: JsonReader): string {
  const time = json.text('committedAt', TEXT_LENGTH_MAX)
  if (Number.isNaN(Date.parse(time))) throw json.problem('committedAt', 'is no time')
  return time
}

/** Exactly the members of the format, in its order. */
function plainRecord(record: CommitRecord): CommitRecord {
  const { counts } = record
  const tables = Object.entries(record.schemaVersions).sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    formatVersion: record.formatVersion,
    logId: record.logId,
    topic: record.topic,
    partition: record.partition,
    start: record.start,
    end: record.end,
    epoch: record.epoch,
    writer: record.writer,
    schemaVersions: Object.fromEntries(tables),
    files: record.files.map(plainFile),
    counts: {
      rowsIn: counts.rowsIn,
      rowsStored: counts.rowsStored,
      rowsSuppressed: counts.rowsSuppressed,
      rowsQuarantined: counts.rowsQuarantined,
    },
    holes: record.holes.map(({ start, end, reason }) => ({ start, end, reason })),
    hashes: record.hashes,
    committedAt: record.committedAt,
  }
}

function plainFile(file: CommitFile): CommitFile {
  return {
    key: file.key,
    bytes: file.bytes,
    sha256: file.sha256,
    rows: file.rows,
    tenant: file.tenant,
    signal: file.signal,
    hour: file.hour,
    timeMin: file.timeMin,
    timeMax: file.timeMax,
  }
}
