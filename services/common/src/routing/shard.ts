/**
 * From a routing table to partitions: the shard of a tenant and signal, and in it the partition of a
 * stream or, where the stream is hot, of a chunk. Pure: routers with the same table, told the same
 * of what was chosen before, choose the same.
 *
 *   tenant, signal --entry, or the best of all partitions--> shard
 *   stream         --the best of the shard-->                partition
 *   hot stream     --the k best of the shard--> the best of them for the chunk's lead
 *
 * A saturated partition is left out for what is new, and kept by what was there before: moving all
 * of its load at once would saturate the next.
 */
import type { Signal } from '../signal.ts'
import { keyHashText, leadHash, tenantHash } from './key-hash.ts'
import { bestFew, bestOf, type KeyHash } from './rendezvous.ts'
import { entryKey, type RoutingTable } from './routing-table.ts'

/** What was chosen before, where nothing was. */
export const NOT_KNOWN = -1

export interface Shard {
  /** Partitions that take streams: those of the table less the halted, unless all of them are. */
  readonly partitions: readonly number[]
  /** Those of them that take new streams; empty where all are saturated. */
  readonly open: readonly number[]
  /** Stream hash -> k, as in the table. */
  readonly hot: ReadonlyMap<string, number>
}

/** `known`: the partition that the tenant and signal went to before where they had no entry. */
export function shardOf(
  table: RoutingTable,
  tenant: string,
  signal: Signal,
  known: number = NOT_KNOWN,
): Shard {
  const entry = table.entries.get(entryKey(tenant, signal))
  if (entry !== undefined) {
    const partitions = withoutHalted(table, entry.partitions)
    return { partitions, open: openOf(table, partitions), hot: entry.hot }
  }
  const all = withoutHalted(table, allPartitions(table))
  const partition = choose(tenantHash(tenant, signal), all, openOf(table, all), known)
  const isOpen = !table.saturated.has(partition)
  return { partitions: [partition], open: isOpen ? [partition] : [], hot: NO_STREAMS }
}

/** The partition of a stream that is not hot; `known` is the one that it had. */
export function streamPartition(shard: Shard, stream: KeyHash, known: number = NOT_KNOWN): number {
  const { partitions, open } = shard
  return partitions.length === 1 ? partitions[0]! : choose(stream, partitions, open, known)
}

/** The partitions over which the chunks of a stream spread; fewer than two where it is not hot. */
export function spreadOf(shard: Shard, stream: KeyHash): readonly number[] {
  if (shard.hot.size === 0) return NO_PARTITIONS
  const k = shard.hot.get(keyHashText(stream))
  return k === undefined ? NO_PARTITIONS : bestFew(stream, shard.partitions, k)
}

/** Of a spread, the partition of the chunk that begins with `item` (key-hash.ts). */
export function chunkPartition(
  spread: readonly number[],
  item: Uint8Array,
  ordinal: number,
): number {
  return bestOf(leadHash(item, ordinal), spread)
}

function choose(
  key: KeyHash,
  partitions: readonly number[],
  open: readonly number[],
  known: number,
): number {
  const home = bestOf(key, partitions)
  if (home === known || open.length === 0 || open.includes(home)) return home
  return bestOf(key, open)
}

function allPartitions({ partitions }: RoutingTable): number[] {
  return Array.from({ length: partitions }, (_, partition) => partition)
}

function withoutHalted({ halted }: RoutingTable, partitions: readonly number[]): readonly number[] {
  if (halted.size === 0) return partitions
  const left = partitions.filter((partition) => !halted.has(partition))
  return left.length === 0 ? partitions : left
}

function openOf({ saturated }: RoutingTable, partitions: readonly number[]): readonly number[] {
  return saturated.size === 0
    ? partitions
    : partitions.filter((partition) => !saturated.has(partition))
}

const NO_STREAMS: ReadonlyMap<string, number> = new Map()
const NO_PARTITIONS: readonly number[] = []
