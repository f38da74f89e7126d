/**
 * How a table that somebody wants becomes the next one: what changes begins a little later, when all
 * routers have read of it, for items of that time on; what counted before stays beside it for the
 * items of before, as long as clients may send them again. So routers with tables of different
 * versions choose the same for the same item.
 *
 *      made              since                                       forgotten
 *   -----|-----------------|---------------- ... ----------------------|-----> time of the maker
 *         routers read it   items of then go by the new shard;          since + window
 *                           those of before by the old one
 */
import { ROUTING_TABLE_BYTES_MAX } from '../metadata/routing-store.ts'
import { Signal } from '../signal.ts'
import { tenantHash } from './key-hash.ts'
import { bestOf } from './rendezvous.ts'
import {
  EARLIER_MAX,
  emptyRoutingTable,
  ENTRIES_MAX,
  routingTableText,
  type PartitionsState,
  type RoutingEntry,
  type RoutingTable,
  type ShardSize,
  type Until,
} from './routing-table.ts'
import { isSameShard, shardOf } from './shard.ts'

/** Routers look for a new table every second: ten looks, or a store that is away for some seconds. */
export const HEARD_AFTER_MS = 10_000
/** However long repeats are removed: a shard that changed is dearer, and may change EARLIER_MAX times. */
const WINDOW_MS_MAX = 3_600_000
/** Of all entries together: some 200 KiB of a table, see table-plan.ts. */
const EARLIER_ALL_MAX = 1500
const EARLIER_NUMBERS_MAX = 20_000
const EARLIER_HOT_MAX = 1000
/** Saturated and halted partitions of earlier times: 40 KiB. */
const EARLIER_STATE_NUMBERS_MAX = 8000

export interface WantedTable extends PartitionsState {
  readonly madeBy: string
  /** By `entryKey`. */
  readonly entries: ReadonlyMap<string, WantedEntry>
}

export type WantedEntry = Omit<RoutingEntry, 'earlier'>

export interface ChangeTime {
  /** What time it is for the senders of items, as well as it is known. */
  readonly nowUnixMs: number
  /** For how long repeats are removed. */
  readonly windowMs: number
}

const NO_STREAMS: ReadonlyMap<string, number> = new Map()

/**
 * The table to follow `previous`: `previous` itself where nothing is to be changed or forgotten. What
 * has changed too often lately, or has no room, stays as it is, and so does a table that would be too long. A topic that lost partitions is another
 * one: nothing of before counts for it.
 */
export function nextTable(
  previous: RoutingTable,
  wanted: WantedTable,
  { nowUnixMs, windowMs }: ChangeTime,
): RoutingTable {
  const known =
    previous.partitions > wanted.partitions ? emptyRoutingTable(wanted.partitions) : previous
  const forgottenUnixMs = nowUnixMs - Math.min(windowMs, WINDOW_MS_MAX)
  const sinceUnixMs = Math.max(Math.ceil(nowUnixMs) + HEARD_AFTER_MS, lastUntil(known) + 1)
  const table: RoutingTable = {
    version: previous.version + 1,
    madeBy: wanted.madeBy,
    ...nextState(known, wanted, sinceUnixMs, forgottenUnixMs),
    entries: known.entries,
  }
  const entries = new EntryChanges(table, sinceUnixMs, forgottenUnixMs).apply(wanted.entries)
  const next = { ...table, entries }
  return previous.version > 0 && (isSame(previous, next) || isTooLong(next)) ? previous : next
}

function nextState(
  known: RoutingTable,
  wanted: PartitionsState,
  untilUnixMs: number,
  forgottenUnixMs: number,
): PartitionsState & Pick<RoutingTable, 'earlier'> {
  const { partitions, saturated, halted } = known
  const earlier = notForgotten(known.earlier, forgottenUnixMs)
  if (
    partitions === wanted.partitions &&
    isSameSet(saturated, wanted.saturated) &&
    isSameSet(halted, wanted.halted)
  ) {
    return { partitions, saturated, halted, earlier }
  }
  const longer = [...earlier, { untilUnixMs, partitions, saturated, halted }]
  // rows in a halted partition are not seen, and entries may name new partitions: these do not wait
  const canWait =
    partitions === wanted.partitions && [...wanted.halted].every((number) => halted.has(number))
  if (hasStateRoom(longer)) {
    return { ...stateOf(wanted), earlier: longer }
  }
  if (canWait) return { partitions, saturated, halted, earlier }
  while (!hasStateRoom(longer)) longer.shift()
  return { ...stateOf(wanted), earlier: longer }
}

function hasStateRoom(earlier: readonly PartitionsState[]): boolean {
  const numbers = earlier.reduce(
    (sum, { saturated, halted }) => sum + saturated.size + halted.size,
    0,
  )
  return earlier.length <= EARLIER_MAX && numbers <= EARLIER_STATE_NUMBERS_MAX
}

/** Puts the entries that are wanted into a table whose states are those to come. */
class EntryChanges {
  readonly #table: RoutingTable
  readonly #untilUnixMs: number
  readonly #kept = new Map<string, RoutingEntry>()
  #count = 0
  #numbers = 0
  #hot = 0

  constructor(table: RoutingTable, untilUnixMs: number, forgottenUnixMs: number) {
    this.#table = table
    this.#untilUnixMs = untilUnixMs
    for (const [key, entry] of table.entries) {
      const earlier = notForgotten(entry.earlier, forgottenUnixMs)
      this.#kept.set(key, { ...entry, earlier })
      for (const size of earlier) this.#charge(size)
    }
  }

  /** By ascending keys; those that are wanted before those that end, where there are too many. */
  apply(wanted: ReadonlyMap<string, WantedEntry>): Map<string, RoutingEntry> {
    const entries: [string, RoutingEntry][] = []
    for (const [key, entry] of wanted) {
      const before = this.#kept.get(key)
      const next = this.#changed(before, entry) ?? before
      if (next !== undefined) entries.push([key, next])
    }
    for (const [key, entry] of this.#kept) {
      if (wanted.has(key) || entries.length >= ENTRIES_MAX) continue
      const next = this.#ended(entry)
      if (next !== undefined) entries.push([key, next])
    }
    return new Map(entries.sort(([left], [right]) => (left < right ? -1 : 1)))
  }

  /** Undefined where the change has no room. */
  #changed(before: RoutingEntry | undefined, wanted: WantedEntry): RoutingEntry | undefined {
    if (before !== undefined && isSameSize(before, wanted)) return before
    const { partitions, hot } = before ?? { partitions: [], hot: NO_STREAMS }
    const last = { untilUnixMs: this.#untilUnixMs, partitions, hot }
    const earlier = [...(before?.earlier ?? []), last]
    if (earlier.length > EARLIER_MAX || !this.#hasRoom(last)) return undefined
    this.#charge(last)
    return { ...wanted, earlier }
  }

  /** An entry nobody wants has the home of its tenant for a shard, and goes when that says nothing. */
  #ended(before: RoutingEntry): RoutingEntry | undefined {
    const { tenant, signal, earlier } = before
    const { partitions } = this.#table
    const all = Array.from({ length: partitions }, (_, partition) => partition)
    const home = bestOf(tenantHash(tenant, Signal[signal]), all)
    const wanted = { tenant, signal, partitions: [home], hot: NO_STREAMS }
    if (!isSameSize(before, wanted)) return this.#changed(before, wanted) ?? before
    return earlier.length === 0 && this.#saysNothing(before) ? undefined : before
  }

  /** Whether routers would come to the same without it, for items of all times. */
  #saysNothing(entry: RoutingEntry): boolean {
    const signal = Signal[entry.signal]
    return [...this.#table.earlier, this.#table].every((state) => {
      const without = shardOf(state, undefined, entry.tenant, signal)
      return isSameShard(shardOf(state, entry, entry.tenant, signal), without)
    })
  }

  #hasRoom({ partitions, hot }: ShardSize): boolean {
    return (
      this.#count < EARLIER_ALL_MAX &&
      this.#numbers + partitions.length <= EARLIER_NUMBERS_MAX &&
      this.#hot + hot.size <= EARLIER_HOT_MAX
    )
  }

  #charge({ partitions, hot }: ShardSize): void {
    this.#count += 1
    this.#numbers += partitions.length
    this.#hot += hot.size
  }
}

function notForgotten<Value extends Until>(
  earlier: readonly Value[],
  forgottenUnixMs: number,
): Value[] {
  return earlier.filter(({ untilUnixMs }) => untilUnixMs > forgottenUnixMs)
}

/** 0 where nothing changed lately. */
function lastUntil({ earlier, entries }: RoutingTable): number {
  let last = earlier.at(-1)?.untilUnixMs ?? 0
  for (const entry of entries.values()) {
    last = Math.max(last, entry.earlier.at(-1)?.untilUnixMs ?? 0)
  }
  return last
}

/** As the texts say, apart from version and maker. */
function isSame(left: RoutingTable, right: RoutingTable): boolean {
  const { version, madeBy } = left
  return routingTableText(left) === routingTableText({ ...right, version, madeBy })
}

/** What stays although it is not wanted is beyond what bounds the wanted table: it has to go first. */
function isTooLong(table: RoutingTable): boolean {
  return routingTableText(table).length > ROUTING_TABLE_BYTES_MAX
}

function isSameSize(left: ShardSize, right: ShardSize): boolean {
  return (
    left.partitions.length === right.partitions.length &&
    left.partitions.every((number, index) => number === right.partitions[index]) &&
    left.hot.size === right.hot.size &&
    [...left.hot].every(([stream, k]) => right.hot.get(stream) === k)
  )
}

function isSameSet(left: ReadonlySet<number>, right: ReadonlySet<number>): boolean {
  return left.size === right.size && [...left].every((number) => right.has(number))
}

function stateOf({ partitions, saturated, halted }: PartitionsState): PartitionsState {
  return { partitions, saturated, halted }
}
