/**
 * The next routing table, from the one before, what routers see come in, and what owners say of their
 * partitions. Every change of a shard costs routers time for a while and makes more, smaller files,
 * so changes are few: upwards soon, downwards only after a while, nothing at all inside a margin. When
 * a change takes effect, and what stays beside it, is table-history.ts's business.
 *
 *   shard of a tenant and signal: as many open partitions as its rate needs, in the order of their
 *                                 scores for the tenant hash, so that it grows and shrinks at its end
 *   k of a stream:                as many of them as keep its share of each below the target
 */
import { Signal } from '../signal.ts'
import { tenantHash } from './key-hash.ts'
import { bestFew, bestOf } from './rendezvous.ts'
import type { Load } from './router-rates.ts'
import {
  emptyRoutingTable,
  ENTRIES_MAX,
  HOT_STREAMS_MAX,
  type RoutingEntry,
  type RoutingTable,
} from './routing-table.ts'
import { nextTable, type WantedEntry } from './table-history.ts'

export interface PlanInput {
  readonly previous: RoutingTable
  readonly madeBy: string
  /** Partitions of the topic. */
  readonly partitionCount: number
  readonly loads: ReadonlyMap<string, Load>
  /** As owners say now. */
  readonly saturated: ReadonlySet<number>
  readonly halted: ReadonlySet<number>
  /** OTLP bytes a second of one tenant and signal that one partition takes. */
  readonly targetRate: number
  /** Monotonic. */
  readonly nowMs: number
  /** What time it is for the senders of items, as well as it is known. */
  readonly nowUnixMs: number
  /** How long repeats are removed: what changes now stays in the table for as long. */
  readonly windowMs: number
}

/** A shard grows when its open partitions take this many times the target ... */
const GROW_AT = 1.2
/** ... and shrinks when one less would take less than this share of it, for a while. */
const SHRINK_AT = 0.7
const SHRINK_AFTER_MS = 600_000
/** A stream may take this share of a partition's target, more or less by the same margins. */
const STREAM_SHARE = 0.6
/** A tenant without a shard leaves a saturated partition when it brings this share of the target. */
const NOTABLE_SHARE = 0.25
const SATURATED_AFTER_MS = 5000
const UNSATURATED_AFTER_MS = 60_000
/** Partitions that a topic gained are used when every router must have heard of them. */
const PARTITIONS_AFTER_MS = 60_000
/**
 * Of all shards and hot streams together. At 5 and 39 characters each, 134 for the rest of an entry, 280
 * KiB for what counted before (table-history.ts) and 40 KiB for partitions in trouble, the largest
 * table has 1,020 KiB.
 */
const SHARD_NUMBERS_MAX = 40_000
const HOT_STREAMS_ALL_MAX = 3000

type EntryInput = PlanInput & {
  /** Of the partitions, those that are neither saturated nor halted. */
  readonly open: ReadonlySet<number>
  readonly partitions: number
}

/** Since when something holds without a break; it remembers only what was asked about last. */
class Since {
  #before = new Map<string, number>()
  #now = new Map<string, number>()

  /** For how long `what` holds, counting from the first time it was said. */
  holdsMs(what: string, nowMs: number): number {
    const since = this.#before.get(what) ?? nowMs
    this.#now.set(what, since)
    return nowMs - since
  }

  endRound(): void {
    this.#before = this.#now
    this.#now = new Map()
  }
}

/** What one maker has seen; another one begins anew, which only makes it slower to shrink. */
export class TablePlanner {
  readonly #since = new Since()

  /** The table to go by: `previous` itself where nothing is to be changed. */
  plan(input: PlanInput): RoutingTable {
    const { previous } = input
    const partitions = this.#partitionCount(input)
    const known = previous.partitions > partitions ? emptyRoutingTable(partitions) : previous
    const saturated = this.#states('saturated', known.saturated, input.saturated, partitions, input)
    const halted = this.#states('halted', known.halted, input.halted, partitions, input)
    const isClosed = (partition: number): boolean =>
      saturated.has(partition) || halted.has(partition)
    const open = new Set(range(partitions).filter((partition) => !isClosed(partition)))
    const entries = this.#entries(known, { ...input, open, partitions })
    this.#since.endRound()
    const wanted = { madeBy: input.madeBy, partitions, saturated, halted, entries }
    return nextTable(previous, wanted, input)
  }

  #partitionCount({ previous, partitionCount, nowMs }: PlanInput): number {
    if (previous.version === 0 || partitionCount < previous.partitions) return partitionCount
    if (partitionCount === previous.partitions) return partitionCount
    const what = `partitions ${String(partitionCount)}`
    const isHeard = this.#since.holdsMs(what, nowMs) >= PARTITIONS_AFTER_MS
    return isHeard ? partitionCount : previous.partitions
  }

  /** A state begins and ends only after it was told for a while. */
  #states(
    state: string,
    before: ReadonlySet<number>,
    told: ReadonlySet<number>,
    partitions: number,
    { nowMs }: PlanInput,
  ): Set<number> {
    const next = new Set<number>()
    for (const partition of range(partitions)) {
      const isTold = told.has(partition)
      if (isTold === before.has(partition)) {
        if (isTold) next.add(partition)
        continue
      }
      const what = `${state} ${String(partition)} ${String(isTold)}`
      const holdsMs = this.#since.holdsMs(what, nowMs)
      const isOver = holdsMs >= (isTold ? SATURATED_AFTER_MS : UNSATURATED_AFTER_MS)
      if (isOver === isTold) next.add(partition)
    }
    return next
  }

  /** The entries with the greatest rates, as many as a table takes. */
  #entries(previous: RoutingTable, input: EntryInput): Map<string, WantedEntry> {
    const entries = new Map<string, WantedEntry>()
    let numbers = 0
    let hot = 0
    for (const [key, load] of wantedLoads(previous, input)) {
      const entry = this.#entry(key, load, previous.entries.get(key), input)
      if (entry === undefined) continue
      numbers += entry.partitions.length
      hot += entry.hot.size
      const isFull = entries.size === ENTRIES_MAX
      if (isFull || numbers > SHARD_NUMBERS_MAX || hot > HOT_STREAMS_ALL_MAX) break
      entries.set(key, entry)
    }
    return entries
  }

  #entry(
    key: string,
    load: Load,
    before: RoutingEntry | undefined,
    input: EntryInput,
  ): WantedEntry | undefined {
    const { open, partitions: partitionCount } = input
    const hash = tenantHash(load.tenant, Signal[load.signal])
    const home = bestOf(hash, range(partitionCount))
    const shard = before?.partitions ?? [home]
    const openOfShard = shard.filter((partition) => open.has(partition))
    const size = this.#size(key, load.rate, openOfShard.length, before !== undefined, input)
    let partitions = shard
    if (size > openOfShard.length) {
      const others = [...open].filter((partition) => !shard.includes(partition))
      partitions = [...shard, ...bestFew(hash, others, size - openOfShard.length)]
    } else if (size < openOfShard.length) {
      // what was added last goes first; one that is saturated or halted goes with it
      partitions = bestFew(hash, openOfShard, size)
    }
    if (partitions.length === 1 && partitions[0] === home) return undefined
    const hot = this.#hotStreams(key, load, before, partitions.length, input)
    return {
      tenant: load.tenant,
      signal: load.signal,
      partitions: partitions.toSorted((left, right) => left - right),
      hot,
    }
  }

  /** How many open partitions the shard should have. */
  #size(
    key: string,
    rate: number,
    openCount: number,
    hasEntry: boolean,
    { targetRate, nowMs }: PlanInput,
  ): number {
    const needed = Math.max(1, Math.ceil(rate / targetRate))
    if (openCount === 0) {
      const isNotable = hasEntry || rate >= targetRate * NOTABLE_SHARE
      return isNotable ? needed : 0
    }
    if (rate > openCount * targetRate * GROW_AT) return needed
    if (openCount === 1 || rate >= (openCount - 1) * targetRate * SHRINK_AT) return openCount
    const holdsMs = this.#since.holdsMs(`shrink ${key}`, nowMs)
    return holdsMs >= SHRINK_AFTER_MS ? needed : openCount
  }

  #hotStreams(
    key: string,
    { streams }: Load,
    before: RoutingEntry | undefined,
    kMax: number,
    { targetRate, nowMs }: PlanInput,
  ): Map<string, number> {
    const share = targetRate * STREAM_SHARE
    const names = new Set([...streams.keys(), ...(before?.hot.keys() ?? [])])
    const hot: { readonly name: string; readonly k: number; readonly rate: number }[] = []
    for (const name of names) {
      const rate = streams.get(name) ?? 0
      const kBefore = before?.hot.get(name) ?? 1
      let k = kBefore
      if (rate > kBefore * share * GROW_AT) k = Math.ceil(rate / share)
      else if (kBefore > 1 && rate < (kBefore - 1) * share * SHRINK_AT) {
        const holdsMs = this.#since.holdsMs(`cool ${key} ${name}`, nowMs)
        if (holdsMs >= SHRINK_AFTER_MS) k = Math.max(1, Math.ceil(rate / share))
      }
      k = Math.min(k, kMax)
      if (k > 1) hot.push({ name, k, rate })
    }
    const kept = hot.toSorted((left, right) => right.rate - left.rate).slice(0, HOT_STREAMS_MAX)
    return new Map(
      kept
        .toSorted((left, right) => (left.name < right.name ? -1 : 1))
        .map(({ name, k }) => [name, k]),
    )
  }
}

/** Those with an entry, and those whose rate might need one, the greatest first. */
function wantedLoads(previous: RoutingTable, { loads, targetRate }: PlanInput): [string, Load][] {
  const wanted = new Map<string, Load>()
  for (const [key, load] of loads) {
    if (load.rate >= targetRate * NOTABLE_SHARE) wanted.set(key, load)
  }
  for (const [key, { tenant, signal }] of previous.entries) {
    if (wanted.has(key)) continue
    wanted.set(key, loads.get(key) ?? { tenant, signal, rate: 0, streams: new Map() })
  }
  return [...wanted].sort(([, left], [, right]) => right.rate - left.rate)
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
