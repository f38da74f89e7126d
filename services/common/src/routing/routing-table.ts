/**
 * The routing table: which partitions the rows of a tenant and signal go to, as the JSON of
 * docs/format/routing-table.md. What it does not say follows from hashes, so an empty table routes
 * everything. The parser trusts nothing: sizes, ranges and repeats are checked before anything is
 * used; unknown members are left out, so that one version back and forth can read each other.
 *
 * Beside what counts now it holds what counted before (`earlier`), for as long as clients may try
 * again: an item goes by what counted at its own time, in every router and at every try.
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
/** A tenant that grows tenfold in a minute changes about so often; further changes wait. */
export const EARLIER_MAX = 8
const MADE_BY_LENGTH_MAX = 253

/** What 64 bits of nanoseconds hold. */
const UNIX_MS_MAX = 18_446_744_073_709

const STREAM = /^[0-9a-f]{16}$/

/** How far a tenant and signal spreads. */
export interface ShardSize {
  /** The shard, ascending: at least one partition; of an earlier one none, where there was no entry. */
  readonly partitions: readonly number[]
  /** Stream hash (16 hex digits) -> over how many partitions of the shard its chunks spread, 2 or more. */
  readonly hot: ReadonlyMap<string, number>
}

/** What counts for items of before a time, milliseconds since 1970. */
export interface Until {
  readonly untilUnixMs: number
}

export interface RoutingEntry extends ShardSize {
  readonly tenant: string
  readonly signal: SignalName
  /** By ascending time: the first whose time an item is before is the one it goes by. */
  readonly earlier: readonly (ShardSize & Until)[]
}

/** What holds for all tenants. */
export interface PartitionsState {
  /** Partitions 0 to partitions - 1 take rows. */
  readonly partitions: number
  /** Left out by half of what would go there. */
  readonly saturated: ReadonlySet<number>
  /** Taking no part: their rows would not become visible. */
  readonly halted: ReadonlySet<number>
}

export interface RoutingTable extends PartitionsState {
  /** Ascends with every change; 0 is the table that nobody made. */
  readonly version: number
  /** Name of the router that made it. */
  readonly madeBy: string
  /** As those of an entry. */
  readonly earlier: readonly (PartitionsState & Until)[]
  /** By `entryKey`. */
  readonly entries: ReadonlyMap<string, RoutingEntry>
}

export function entryKey(tenant: string, signal: Signal): string {
  return `${tenant}/${String(signal)}`
}

/** What routers go by until somebody made a table. */
export function emptyRoutingTable(partitions: number): RoutingTable {
  const none = new Set<number>()
  return {
    version: 0,
    madeBy: '',
    partitions,
    saturated: none,
    halted: none,
    earlier: [],
    entries: new Map(),
  }
}

export function serializeRoutingTable(table: RoutingTable): string {
  const text = routingTableText(table)
  assert(text.length <= ROUTING_TABLE_BYTES_MAX, 'the maker bounds entries and shards')
  return text
}

/** The same of any length, which the maker looks at. */
export function routingTableText(table: RoutingTable): string {
  const { version, madeBy, earlier, entries } = table
  return JSON.stringify({
    formatVersion: ROUTING_FORMAT_VERSION,
    version,
    madeBy,
    ...stateJson(table),
    ...earlierJson(earlier, stateJson),
    entries: [...entries.values()].map((entry) => ({
      tenant: entry.tenant,
      signal: entry.signal,
      ...sizeJson(entry),
      ...earlierJson(entry.earlier, sizeJson),
    })),
  })
}

function stateJson({ partitions, saturated, halted }: PartitionsState): object {
  return { partitions, saturated: ascending(saturated), halted: ascending(halted) }
}

function sizeJson({ partitions, hot }: ShardSize): object {
  return { partitions, hot: [...hot].map(([stream, k]) => ({ stream, k })) }
}

/** Nothing where nothing changed lately, which is nearly always. */
function earlierJson<Value extends Until>(
  earlier: readonly Value[],
  json: (value: Value) => object,
): object {
  if (earlier.length === 0) return {}
  return { earlier: earlier.map((value) => ({ untilUnixMs: value.untilUnixMs, ...json(value) })) }
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
  const state = readState(json, PARTITIONS_MAX)
  const entries = new Map<string, RoutingEntry>()
  for (const element of json.list('entries', ENTRIES_MAX)) {
    const entry = readEntry(element, state.partitions)
    const key = entryKey(entry.tenant, Signal[entry.signal])
    if (entries.has(key)) throw json.problem('entries', `hold ${key} twice`)
    entries.set(key, entry)
  }
  return {
    version: json.integer('version', 1, Number.MAX_SAFE_INTEGER),
    madeBy: json.text('madeBy', MADE_BY_LENGTH_MAX),
    ...state,
    earlier: readEarlier(json, (element) => readState(element, state.partitions)),
    entries,
  }
}

function readState(json: JsonReader, partitionsMax: number): PartitionsState {
  const partitions = json.integer('partitions', 1, partitionsMax)
  return {
    partitions,
    saturated: new Set(readPartitions(json, 'saturated', partitions)),
    halted: new Set(readPartitions(json, 'halted', partitions)),
  }
}

function readEntry(json: JsonReader, partitionCount: number): RoutingEntry {
  const tenant = json.text('tenant', 63)
  if (!isTenantName(tenant)) throw json.problem('tenant', 'is no tenant name')
  const signal = json.oneOf('signal', SIGNAL_NAMES)
  const size = readSize(json, partitionCount)
  if (size.partitions.length === 0) throw json.problem('partitions', 'of an entry are none')
  const earlier = readEarlier(json, (element) => readSize(element, partitionCount))
  return { tenant, signal, ...size, earlier }
}

function readSize(json: JsonReader, partitionCount: number): ShardSize {
  const partitions = readPartitions(json, 'partitions', partitionCount)
  const hot = new Map<string, number>()
  for (const stream of json.list('hot', HOT_STREAMS_MAX)) {
    hot.set(stream.matching('stream', STREAM), stream.integer('k', 2, partitions.length))
  }
  return { partitions, hot }
}

/** None in tables of before there were any. */
function readEarlier<Value>(
  json: JsonReader,
  read: (element: JsonReader) => Value,
): (Value & Until)[] {
  if (!json.has('earlier')) return []
  let last = 0
  return json.list('earlier', EARLIER_MAX).map((element) => {
    const untilUnixMs = element.integer('untilUnixMs', last + 1, UNIX_MS_MAX)
    last = untilUnixMs
    return { untilUnixMs, ...read(element) }
  })
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
