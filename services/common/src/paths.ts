/**
 * Every object key of the store, built here and nowhere else, each with its parser beside it.
 *
 *   store.json                                                  who this store is
 *   data/<tenant>/<signal>/date=YYYY-MM-DD/hour=HH/<file>.parquet
 *   late/<tenant>/<signal>/<file>.parquet
 *   commits/<log id>/<topic>/<partition>/<start>.json           the commit chain
 *   checkpoints/<log id>/<topic>/<partition>/<end>.json         many commits in one object
 *   freshness/<log id>/<topic>/<partition>.json                 through when all that arrived is visible
 *   hashes/<log id>/<topic>/<partition>/<range>-<content>.bin   chunk hashes beside a commit
 *   schemas/<tenant>/<signal>/<version>.json                    the schema chain
 *   quarantine/<log id>/<topic>/<partition>/<range>-<content>.bin
 *   replays/<log id>/<topic>/<partition>/<range>-<content>.<step>.json      who sent one of those again
 *
 * <file> is <log tag>-<partition>-<range>-<content>, <range> is <start>-<end> of the commit that the
 * file belongs to: the sweep and `verify` find the one commit that may name a file from its key.
 * Offsets have 20 digits, so that keys ascend as offsets do. Every part is checked on the way in:
 * no key leaves its folder, and no key is a path prefix of another one.
 */
import { createHash } from 'node:crypto'

import { AppError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { SIGNAL_NAMES } from './signal.ts'
import type { SignalName } from './signal.ts'

/** Offsets are those of Kafka: signed 64 bits, never negative. */
export const OFFSET_MAX = 2n ** 63n - 1n
const OFFSET_DIGITS = 20
const VERSION_DIGITS = 8
export const SCHEMA_VERSION_MAX = 99_999_999
const PARTITION_MAX = 2 ** 31 - 1
/** 64 bits of SHA-256: names differ, the commit holds the whole hash. */
const CONTENT_DIGITS = 16
const LOG_TAG_DIGITS = 12

const TENANT = /^[a-z0-9][a-z0-9_-]*$/
/** Kafka's cluster and topic ids are base64url, a store's is a UUID. */
const LOG_ID = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/
/** Kafka's alphabet, without a leading point or hyphen. */
const TOPIC = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,248}$/
const SHA256 = /^[0-9a-f]{64}$/
const HOUR = /^(\d{4}-\d{2}-\d{2})T(\d{2})$/
/** A part of a key; a leading point is the store's own (temporary files). */
const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9._=-]{0,254}$/
const KEY_LENGTH_MAX = 1024

const FILE_NAME = '([0-9a-f]{12})-(\\d{1,10})-(\\d{20})-(\\d{20})-([0-9a-f]{16})\\.parquet'
const SCOPE = '([a-z0-9][a-z0-9_-]*)/(logs|spans|metrics)'
const DATA_KEY = new RegExp(
  `^data/${SCOPE}/date=(\\d{4}-\\d{2}-\\d{2})/hour=(\\d{2})/${FILE_NAME}$`,
)
const LATE_KEY = new RegExp(`^late/${SCOPE}/${FILE_NAME}$`)
const SCHEMA_KEY = new RegExp(`^schemas/${SCOPE}/(\\d{8})\\.json$`)
const CHECKPOINT_KEY = /^checkpoints\/([^/]+)\/([^/]+)\/(\d{1,10})\/(\d{20})\.json$/
const FRESHNESS_KEY = /^freshness\/([^/]+)\/([^/]+)\/(\d{1,10})\.json$/
const COMMIT_KEY = /^commits\/([^/]+)\/([^/]+)\/(\d{1,10})\/(\d{20})\.json$/
const RANGE_KEY =
  /^(hashes|quarantine)\/([^/]+)\/([^/]+)\/(\d{1,10})\/(\d{20})-(\d{20})-([0-9a-f]{16})\.bin$/

export const STORE_KEY = 'store.json'
export const COMMITS_PREFIX = 'commits/'
export const CHECKPOINTS_PREFIX = 'checkpoints/'
export const FRESHNESS_PREFIX = 'freshness/'
export const DATA_PREFIX = 'data/'
export const LATE_PREFIX = 'late/'
export const HASHES_PREFIX = 'hashes/'
export const SCHEMAS_PREFIX = 'schemas/'
export const QUARANTINE_PREFIX = 'quarantine/'
export const REPLAYS_PREFIX = 'replays/'

/** One partition of one log: the owner of one commit chain. */
export interface PartitionId {
  /** Kafka: cluster id + topic id; standalone: the id of the store. */
  readonly logId: string
  readonly topic: string
  readonly partition: number
}

/** Offsets of a commit: start is stored, end is the next one. */
export interface OffsetRange {
  readonly start: bigint
  readonly end: bigint
}

export interface DataKeyParts extends PartitionId, OffsetRange {
  readonly tenant: string
  readonly signal: SignalName
  /** `2026-11-21T03` (event time, UTC) or `late`. */
  readonly hour: string
  /** SHA-256 of the file, lower-case hex. */
  readonly sha256: string
}

/** What a key of a data file tells; the log is only known by its tag. */
export interface ParsedDataKey extends OffsetRange {
  readonly tenant: string
  readonly signal: SignalName
  readonly hour: string
  readonly logTag: string
  readonly partition: number
  /** The first 16 digits of the SHA-256. */
  readonly content: string
}

export interface ParsedRangeKey extends PartitionId, OffsetRange {
  readonly content: string
}

/** `^[a-z0-9][a-z0-9_-]{0,62}$` (docs/format/commit.md). */
export function isTenantName(name: string): boolean {
  return name.length <= LIMITS.tenantNameBytesMax && TENANT.test(name)
}

/** @throws AppError invalid_tenant */
export function checkTenantName(name: string): string {
  if (isTenantName(name)) return name
  throw new AppError('invalid_tenant', 'tenant name not understood', {
    details: { tenant: name.slice(0, 100), expected: '^[a-z0-9][a-z0-9_-]{0,62}$' },
  })
}

/** The hour of an event time, as keys and commits write it. */
export function hourOf(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 13)
}

/** Twelve hex digits that stand for a log and topic in file names. */
export function logTag(id: Pick<PartitionId, 'logId' | 'topic'>): string {
  return createHash('sha256')
    .update(`${id.logId}/${id.topic}`)
    .digest('hex')
    .slice(0, LOG_TAG_DIGITS)
}

/** The key of a data file. @throws AppError invalid_key for any part that is not one */
export function dataKey(parts: DataKeyParts): string {
  checkPartition(parts)
  const name = `${logTag(parts)}-${parts.partition}-${rangeName(parts, parts.sha256)}.parquet`
  return `${dataFolder(parts.tenant, parts.signal, parts.hour)}${name}`
}

/** Ends in `/`: the folder of the data files of one table and hour. @throws AppError invalid_key */
export function dataFolder(tenant: string, signal: SignalName, hourName: string): string {
  const scope = `${checkTenantName(tenant)}/${signal}`
  if (hourName === 'late') return `late/${scope}/`
  const hour = HOUR.exec(hourName)
  if (hour === null || !isHour(hourName)) throw invalidKey('hour', hourName)
  return `data/${scope}/date=${hour[1]}/hour=${hour[2]}/`
}

/** What the key of a data or late file tells; undefined for any other key. */
export function parseDataKey(key: string): ParsedDataKey | undefined {
  const data = DATA_KEY.exec(key)
  if (data !== null) {
    const [, tenant, signal, date, hourOfDay, ...file] = data
    const hour = `${date}T${hourOfDay}`
    return isHour(hour) ? parsedFile(tenant!, signal!, hour, file) : undefined
  }
  const late = LATE_KEY.exec(key)
  if (late === null) return undefined
  const [, tenant, signal, ...file] = late
  return parsedFile(tenant!, signal!, 'late', file)
}

function parsedFile(
  tenant: string,
  signal: string,
  hour: string,
  file: readonly (string | undefined)[],
): ParsedDataKey | undefined {
  const [tag, partitionText, startText, endText, content] = file
  const range = parseRange(startText!, endText!)
  const partition = parsePartition(partitionText!)
  if (range === undefined || partition === undefined || !isTenantName(tenant)) return undefined
  return {
    tenant,
    signal: signal as SignalName,
    hour,
    logTag: tag!,
    partition,
    content: content!,
    ...range,
  }
}

/** Ends in `/`: the folder of a partition's commits. */
export function commitPrefix(id: PartitionId): string {
  return `${COMMITS_PREFIX}${partitionPath(id)}/`
}

export function commitKey(id: PartitionId, start: bigint): string {
  return `${commitPrefix(id)}${offsetName(start)}.json`
}

export function parseCommitKey(key: string): (PartitionId & { start: bigint }) | undefined {
  const parsed = parseOffsetKey(COMMIT_KEY, key)
  return parsed === undefined ? undefined : { ...parsed.id, start: parsed.offset }
}

/** Ends in `/`: the folder of a partition's checkpoints. */
export function checkpointPrefix(id: PartitionId): string {
  return `${CHECKPOINTS_PREFIX}${partitionPath(id)}/`
}

/** The checkpoint of commits that end at `end`. */
export function checkpointKey(id: PartitionId, end: bigint): string {
  return `${checkpointPrefix(id)}${offsetName(end)}.json`
}

export function parseCheckpointKey(key: string): (PartitionId & { end: bigint }) | undefined {
  const parsed = parseOffsetKey(CHECKPOINT_KEY, key)
  return parsed === undefined ? undefined : { ...parsed.id, end: parsed.offset }
}

/** Overwritten: how far the partition is. */
export function freshnessKey(id: PartitionId): string {
  return `${FRESHNESS_PREFIX}${partitionPath(id)}.json`
}

export function parseFreshnessKey(key: string): PartitionId | undefined {
  const match = FRESHNESS_KEY.exec(key)
  return match === null ? undefined : parseId(match[1]!, match[2]!, match[3]!)
}

function parseOffsetKey(
  pattern: RegExp,
  key: string,
): { readonly id: PartitionId; readonly offset: bigint } | undefined {
  const match = pattern.exec(key)
  if (match === null) return undefined
  const id = parseId(match[1]!, match[2]!, match[3]!)
  const offset = BigInt(match[4]!)
  return id === undefined || offset > OFFSET_MAX ? undefined : { id, offset }
}

function parseId(logId: string, topic: string, partitionText: string): PartitionId | undefined {
  const partition = parsePartition(partitionText)
  if (!LOG_ID.test(logId) || !TOPIC.test(topic) || partition === undefined) return undefined
  return { logId, topic, partition }
}

/** The sidecar of a commit: the hashes of the chunks that it stored. */
export function hashesKey(id: PartitionId, range: OffsetRange, sha256: string): string {
  return `${HASHES_PREFIX}${partitionPath(id)}/${rangeName(range, sha256)}.bin`
}

export function parseHashesKey(key: string): ParsedRangeKey | undefined {
  return parseRangeKey('hashes', key)
}

/** Bytes of the log that could not be read or stored, kept for a person to look at. */
export function quarantineKey(id: PartitionId, range: OffsetRange, sha256: string): string {
  return `${QUARANTINE_PREFIX}${partitionPath(id)}/${rangeName(range, sha256)}.bin`
}

export function parseQuarantineKey(key: string): ParsedRangeKey | undefined {
  return parseRangeKey('quarantine', key)
}

function parseRangeKey(folder: string, key: string): ParsedRangeKey | undefined {
  const match = RANGE_KEY.exec(key)
  if (match === null || match[1] !== folder) return undefined
  const [, , logId, topic, partitionText, startText, endText, content] = match
  const id = parseId(logId!, topic!, partitionText!)
  const range = parseRange(startText!, endText!)
  if (id === undefined || range === undefined) return undefined
  return { ...id, content: content!, ...range }
}

/** claim: somebody sends it; done: it was sent. */
export const REPLAY_STEPS = ['claim', 'done'] as const
export type ReplayStep = (typeof REPLAY_STEPS)[number]

/** Beside what lies in quarantine, how far sending it again has come. */
export function replayKey(quarantined: string, step: ReplayStep): string {
  const parsed = parseQuarantineKey(quarantined)
  if (parsed === undefined) throw invalidKey('key of quarantine', quarantined)
  const path = quarantined.slice(QUARANTINE_PREFIX.length, -'.bin'.length)
  return `${REPLAYS_PREFIX}${path}.${step}.json`
}

/** The key of quarantine and the step. */
export function parseReplayKey(
  key: string,
): { readonly quarantined: string; readonly step: ReplayStep } | undefined {
  const match = /^replays\/(.+)\.(claim|done)\.json$/.exec(key)
  const quarantined = `${QUARANTINE_PREFIX}${match?.[1] ?? ''}.bin`
  const step = REPLAY_STEPS.find((known) => known === match?.[2])
  if (step === undefined || parseQuarantineKey(quarantined) === undefined) return undefined
  return { quarantined, step }
}

/** Ends in `/`: the folder of a table's schema versions. */
export function schemaPrefix(tenant: string, signal: SignalName): string {
  if (!SIGNAL_NAMES.includes(signal)) throw invalidKey('signal', signal)
  return `${SCHEMAS_PREFIX}${checkTenantName(tenant)}/${signal}/`
}

/** Versions count from 1; version 0 is the table without attribute columns and has no object. */
export function schemaKey(tenant: string, signal: SignalName, version: number): string {
  if (!Number.isInteger(version) || version < 1 || version > SCHEMA_VERSION_MAX) {
    throw invalidKey('schema version', version)
  }
  return `${schemaPrefix(tenant, signal)}${String(version).padStart(VERSION_DIGITS, '0')}.json`
}

export function parseSchemaKey(
  key: string,
): { tenant: string; signal: SignalName; version: number } | undefined {
  const match = SCHEMA_KEY.exec(key)
  if (match === null || !isTenantName(match[1]!) || Number(match[3]) === 0) return undefined
  return { tenant: match[1]!, signal: match[2] as SignalName, version: Number(match[3]) }
}

/** Whether a store takes this key: parts of letters, digits and `._=-`, none hidden. */
export function isObjectKey(key: string): boolean {
  return key.length <= KEY_LENGTH_MAX && key.split('/').every((part) => SEGMENT.test(part))
}

/** @throws AppError invalid_key */
export function checkObjectKey(key: string): string {
  if (isObjectKey(key)) return key
  throw invalidKey('object key', key)
}

/** A decimal offset of a JSON document; undefined where it is none. */
export function parseOffset(text: unknown): bigint | undefined {
  if (typeof text !== 'string' || !/^(0|[1-9]\d{0,18})$/.test(text)) return undefined
  const offset = BigInt(text)
  return offset <= OFFSET_MAX ? offset : undefined
}

/** `<log id>/<topic>/<partition>`: how the keys of a partition's objects begin behind their folder. */
export function partitionPath(id: PartitionId): string {
  checkPartition(id)
  return `${id.logId}/${id.topic}/${id.partition}`
}

export function parsePartitionPath(path: string): PartitionId | undefined {
  const [logId = '', topic = '', partitionText = '', ...rest] = path.split('/')
  const partition = /^\d{1,10}$/.test(partitionText) ? parsePartition(partitionText) : undefined
  if (!LOG_ID.test(logId) || !TOPIC.test(topic) || partition === undefined) return undefined
  return rest.length === 0 ? { logId, topic, partition } : undefined
}

function checkPartition(id: PartitionId): void {
  if (!LOG_ID.test(id.logId)) throw invalidKey('log id', id.logId)
  if (!TOPIC.test(id.topic)) throw invalidKey('topic', id.topic)
  if (!Number.isInteger(id.partition) || id.partition < 0 || id.partition > PARTITION_MAX) {
    throw invalidKey('partition', id.partition)
  }
}

function parsePartition(text: string): number | undefined {
  const partition = Number(text)
  return partition <= PARTITION_MAX && String(partition) === text ? partition : undefined
}

function offsetName(offset: bigint): string {
  if (offset < 0n || offset > OFFSET_MAX) throw invalidKey('offset', offset)
  return String(offset).padStart(OFFSET_DIGITS, '0')
}

function rangeName(range: OffsetRange, sha256: string): string {
  if (range.start >= range.end) throw invalidKey('offset range', `${range.start}-${range.end}`)
  if (!SHA256.test(sha256)) throw invalidKey('sha256', sha256)
  const content = sha256.slice(0, CONTENT_DIGITS)
  return `${offsetName(range.start)}-${offsetName(range.end)}-${content}`
}

function parseRange(startText: string, endText: string): OffsetRange | undefined {
  const start = BigInt(startText)
  const end = BigInt(endText)
  return start < end && end <= OFFSET_MAX ? { start, end } : undefined
}

function isHour(hour: string): boolean {
  const unixMs = Date.parse(`${hour}:00:00Z`)
  return !Number.isNaN(unixMs) && hourOf(unixMs) === hour
}

function invalidKey(part: string, value: unknown): AppError {
  return new AppError('invalid_key', `${part} cannot stand in an object key`, {
    details: { value: String(value).slice(0, 200) },
  })
}
