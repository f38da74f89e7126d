/**
 * The routing table: which partitions the rows of a tenant and signal go to, as the JSON of
 * docs/format/routing-table.md. What it does not say follows from hashes, so an empty table routes
 * everything. The parser trusts nothing: sizes, ranges and repeats are checked before anything is
 * used; unknown members are left out, so that one version back and forth can read each other.
 */
import assert from 'node:assert/strict'
import { ROUTING_TABLE_BYTES_MAX } from '../metadata/routing-store.ts'
import { JsonReader } from '../object-store/json-reader.ts'
import { isTenantName } from '../paths.ts'
import { SIGNAL_NAMES, Signal, type SignalName } from '../signal.ts'

export const ROUTING_FORMAT_VERSION = 1
/** Kafka clusters of some brokers hold a few thousand partitions of all topics together. */
export const PARTITIONS_MAX = 4096
/** 1,000 tenants of 3 signals. */
export const ENTRIES_MAX = 3000
/** Hot streams of an entry: beyond, a tenant's shard spreads its streams evenly enough. */
export const HOT_STREAMS_MAX = 64
const MADE_BY_LENGTH_MAX = 253

const STREAM = /^[0-9a-f]{16}$/

export interface RoutingEntry {
  readonly tenant: string
  readonly signal: SignalName
  /** The shard, ascending: at least one partition. */
  readonly partitions: readonly number[]
  /** Stream hash (16 hex digits) -> over how many partitions of the shard its chunks spread, 2 or more. */
  readonly hot: ReadonlyMap<string, number>
}

export interface RoutingTable {
  /** Ascends with every change; 0 is the table that nobody made. */
  readonly version: number
  /** Name of the router that made it. */
  readonly madeBy: string
  /** Partitions 0 to partitions - 1 take rows. */
  readonly partitions: number
  /** Left out for new streams. */
  readonly saturated: ReadonlySet<number>
  /** Taking no part: their rows would not become visible. */
  readonly halted: ReadonlySet<number>
  /** By `entryKey`. */
  readonly entries: ReadonlyMap<string, RoutingEntry>
}

export function entryKey(tenant: string, signal: Signal): string {
  return `${tenant}/${String(signal)}`
}

/** What routers go by until somebody made a table. */
export function emptyRoutingTable(partitions: number): RoutingTable {
  const none = new Set<number>()
  return { version: 0, madeBy: '', partitions, saturated: none, halted: none, entries: new Map() }
}

export function serializeRoutingTable(table: RoutingTable): string {
  const { version, madeBy, partitions, saturated, halted, entries } = table
  const text = JSON.stringify({
    formatVersion: ROUTING_FORMAT_VERSION,
    version,
    madeBy,
    partitions,
    saturated: ascending(saturated),
    halted: ascending(halted),
    entries: [...entries.values()].map((entry) => ({
      tenant: entry.tenant,
      signal: entry.signal,
      partitions: entry.partitions,
      hot: [...entry.hot].map(([stream, k]) => ({ stream, k })),
    })),
  })
  assert(text.length <= ROUTING_TABLE_BYTES_MAX, 'the maker bounds entries and shards')
  return text
}

/** @throws AppError routing_table_damaged, with what and where */
export function parseRoutingTable(text: string): RoutingTable {
  const json = JsonReader.parse(
    Buffer.from(text, 'utf8'),
    ROUTING_TABLE_BYTES_MAX,
    'routing_table_damaged',
  )
  const formatVersion = json.integer('formatVersion', 1, Number.MAX_SAFE_INTEGER)
  if (formatVersion > ROUTING_FORMAT_VERSION) {
    throw json.problem('formatVersion', 'was written by a newer version')
  }
  const partitions = json.integer('partitions', 1, PARTITIONS_MAX)
  const entries = new Map<string, RoutingEntry>()
  for (const element of json.list('entries', ENTRIES_MAX)) {
    const entry = readEntry(element, partitions)
    const key = entryKey(entry.tenant, Signal[entry.signal])
    if (entries.has(key)) throw json.problem('entries', `hold ${key} twice`)
    entries.set(key, entry)
  }
  return {
    version: json.integer('version', 1, Number.MAX_SAFE_INTEGER),
    madeBy: json.text('madeBy', MADE_BY_LENGTH_MAX),
    partitions,
    saturated: new Set(readPartitions(json, 'saturated', partitions)),
    halted: new Set(readPartitions(json, 'halted', partitions)),
    entries,
  }
}

function readEntry(json: JsonReader, partitionCount: number): RoutingEntry {
  const tenant = json.text('tenant', 63)
  if (!isTenantName(tenant)) throw json.problem('tenant', 'is no tenant name')
  const signal = json.oneOf('signal', SIGNAL_NAMES)
  const partitions = readPartitions(json, 'partitions', partitionCount)
  if (partitions.length === 0) throw json.problem('partitions', 'of an entry are none')
  const hot = new Map<string, number>()
  for (const stream of json.list('hot', HOT_STREAMS_MAX)) {
    hot.set(stream.matching('stream', STREAM), stream.integer('k', 2, partitions.length))
  }
  return { tenant, signal, partitions, hot }
}

/** Ascending partition numbers, each once. */
function readPartitions(json: JsonReader, name: string, partitionCount: number): number[] {
  const partitions = json.integers(name, partitionCount, 0, partitionCount - 1)
  if (partitions.some((partition, index) => index > 0 && partition <= partitions[index - 1]!)) {
    throw json.problem(name, 'do not ascend')
  }
  return partitions
}

function ascending(partitions: Iterable<number>): number[] {
  return [...partitions].sort((left, right) => left - right)
}
