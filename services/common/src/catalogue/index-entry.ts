/**
 * How a file stands in the index (docs/format/redis.md):
 *
 *   table and hour   <tenant>/<signal>/<hour>                       a member of the sorted set of hours
 *   name             the file's key without its folder              a field of the hour's hash
 *   value            <bytes> <rows> <sha256> <time min> <time max>
 *
 * and how far the index has a partition, in the hash of ends:
 *
 *   <log id>/<topic>/<partition>  ->  <end> <start of the last commit>
 */
import type { CommitFile } from '../commit/commit-record.ts'
import type { SignalName } from '../signal.ts'
import type { FileSelection, IndexedChain } from './file-index.ts'
import { dataFolder, hourOf, isTenantName, logTag, parseDataKey } from '../paths.ts'
import { parseOffset, parsePartitionPath } from '../paths.ts'
import { SIGNAL_NAMES } from '../signal.ts'

const VALUE = /^(\d{1,16}) (\d{1,16}) ([0-9a-f]{64}) (\d{1,20}) (\d{1,20})$/
const NANOS_PER_MS = 1_000_000n
/** Sorts behind every character of a tenant, a signal or an hour. */
const BEHIND_ALL = '~'

export function hourMember(file: Pick<CommitFile, 'tenant' | 'signal' | 'hour'>): string {
  return `${file.tenant}/${file.signal}/${file.hour}`
}

export function entryName(file: Pick<CommitFile, 'key'>): string {
  return file.key.slice(file.key.lastIndexOf('/') + 1)
}

export function entryValue(file: CommitFile): string {
  const { bytes, rows, sha256, timeMin, timeMax } = file
  return `${bytes} ${rows} ${sha256} ${timeMin} ${timeMax}`
}

/** The file of an entry; undefined for anything that we did not write. */
export function parseEntry(member: string, name: string, value: string): CommitFile | undefined {
  const table = parseHourMember(member)
  const match = VALUE.exec(value)
  if (table === undefined || match === null) return undefined
  const { tenant, signal, hour } = table
  const key = `${table.folder}${name}`
  const parsed = parseDataKey(key)
  const sha256 = match[3]!
  if (parsed === undefined || !sha256.startsWith(parsed.content)) return undefined
  const [bytes, rows] = [Number(match[1]), Number(match[2])]
  return { key, bytes, sha256, rows, tenant, signal, hour, timeMin: match[4]!, timeMax: match[5]! }
}

function parseHourMember(
  member: string,
): { tenant: string; signal: SignalName; hour: string; folder: string } | undefined {
  const [tenant = '', signalText, hour = '', ...rest] = member.split('/')
  const signal = SIGNAL_NAMES.find((known) => known === signalText)
  const isHour = hour === 'late' || /^\d{4}-\d{2}-\d{2}T\d{2}$/.test(hour)
  if (signal === undefined || !isHour || !isTenantName(tenant) || rest.length > 0) return undefined
  try {
    return { tenant, signal, hour, folder: dataFolder(tenant, signal, hour) }
  } catch {
    return undefined
  }
}

/** Of a partition: `<end> <start of the last commit>`. */
export function parseChain(path: string, value: string): IndexedChain | undefined {
  const id = parsePartitionPath(path)
  const [end, lastStart, ...rest] = value.split(' ').map(parseOffset)
  if (id === undefined || end === undefined || lastStart === undefined) return undefined
  return rest.length === 0 ? { id, end, lastStart } : undefined
}

/** Whether a file counts in an index with these chains. */
export function isIndexed(
  file: Pick<CommitFile, 'key'>,
  endsByTag: ReadonlyMap<string, bigint>,
): boolean {
  const parsed = parseDataKey(file.key)
  if (parsed === undefined) return false
  const end = endsByTag.get(`${parsed.logTag}-${parsed.partition}`)
  return end !== undefined && parsed.end <= end
}

/** What file names tell of their chain -> the end of it. */
export function endsByTag(chains: Iterable<IndexedChain>): ReadonlyMap<string, bigint> {
  return new Map(
    [...chains].map(({ id, end }): [string, bigint] => [`${logTag(id)}-${id.partition}`, end]),
  )
}

/** Closed ranges of hour members, in the order of their bytes, that hold all of a selection. */
export function memberRanges(selection: FileSelection): readonly (readonly [string, string])[] {
  const { tenant, signal, fromHour = '', toHour = BEHIND_ALL } = selection
  if (tenant === undefined) return [['', BEHIND_ALL]]
  const signals = signal === undefined ? SIGNAL_NAMES : [signal]
  return signals.flatMap((name) => [
    [`${tenant}/${name}/${fromHour}`, `${tenant}/${name}/${toHour}`] as const,
    ...(selection.toHour === undefined
      ? []
      : [[`${tenant}/${name}/late`, `${tenant}/${name}/late`] as const]),
  ])
}

/** Whether files of this member may belong to a selection. */
export function isMemberSelected(member: string, selection: FileSelection): boolean {
  const table = parseHourMember(member)
  // what is none of ours is looked at, so that it is found
  return table === undefined || isHourSelected(table, selection)
}

export function isFileSelected(file: CommitFile, selection: FileSelection): boolean {
  if (!isHourSelected(file, selection)) return false
  if (file.hour !== 'late') return true
  const { fromHour = '', toHour = BEHIND_ALL } = selection
  return hourOfNano(file.timeMax) >= fromHour && hourOfNano(file.timeMin) <= toHour
}

function isHourSelected(
  { tenant, signal, hour }: Pick<CommitFile, 'tenant' | 'signal' | 'hour'>,
  selection: FileSelection,
): boolean {
  const { fromHour = '', toHour = BEHIND_ALL } = selection
  if (selection.tenant !== undefined && selection.tenant !== tenant) return false
  if (selection.signal !== undefined && selection.signal !== signal) return false
  return hour === 'late' || (hour >= fromHour && hour <= toHour)
}

/** 64 bits of nanoseconds end in the year 2554: still four digits. */
function hourOfNano(unixNano: string): string {
  return hourOf(Number(BigInt(unixNano) / NANOS_PER_MS))
}
