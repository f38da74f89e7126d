/**
 * From a routing table to partitions: the shard of a tenant and signal, and in it the partition of a
 * stream or, where the stream is hot, of a chunk. Pure, and without a memory of what was chosen
 * before: a request that comes again, at another router or after a restart, has to land where its
 * first try did.
 *
 *   tenant, signal --entry, or the best of all partitions--> shard
 *   stream         --the best of the shard-->                partition
 *   hot stream     --the k best of the shard--> the best of them for the chunk's lead
 *
 * Where the table changed lately there are several answers, each for the items of before a time. The
 * first item of a chunk tells which one its chunk goes by: it is the same in try and retry.
 *
 * A saturated partition keeps every second stream or tenant of its own: moving all of its load at once
 * would saturate the next.
 */
import type { Signal } from '../signal.ts'
import { keyHashText, leadHash, tenantHash } from './key-hash.ts'
import { bestFew, bestOf, type KeyHash } from './rendezvous.ts'
import {
  entryKey,
  type PartitionsState,
  type RoutingTable,
  type ShardSize,
  type Until,
} from './routing-table.ts'

/** No partition. */
export const NOT_KNOWN = -1

/** Past every time of 64 bits. */
const NO_END_UNIX_NANO = 1n << 64n

export interface Shard {
  /** Partitions that take streams: those of the table less the halted, unless all of them are. */
  readonly partitions: readonly number[]
  /** Those of them that are not saturated. */
  readonly open: readonly number[]
  /** Stream hash -> k, as in the table. */
  readonly hot: ReadonlyMap<string, number>
}

/** A shard for items of before a time, and of after that of the step before. */
export interface ShardStep {
  readonly untilUnixNano: bigint
  readonly shard: Shard
}

/** Where the chunks go of a stream whose first items are of before a time. */
export interface StreamStep {
  readonly untilUnixNano: bigint
  /** Of all chunks, where `spread` has fewer than two. */
  readonly partition: number
  /** The partitions over which the chunks of a hot stream spread. */
  readonly spread: readonly number[]
}

/** By ascending time, at least one; the last is for all items that are later. */
export function shardSteps(
  table: RoutingTable,
  tenant: string,
  signal: Signal,
): readonly ShardStep[] {
  const entry = table.entries.get(entryKey(tenant, signal))
  const times = new Set([...table.earlier, ...(entry?.earlier ?? [])].map(untilOf))
  const ascending = [...times].sort((left, right) => left - right)
  const steps: ShardStep[] = []
  for (const untilUnixMs of [...ascending, undefined]) {
    const state = countsUntil(table.earlier, untilUnixMs) ?? table
    const size = countsUntil(entry?.earlier ?? [], untilUnixMs) ?? entry
    const shard = shardOf(state, size, tenant, signal)
    if (steps.length > 0 && isSameShard(steps.at(-1)!.shard, shard)) steps.pop()
    steps.push({ untilUnixNano: unixNano(untilUnixMs), shard })
  }
  return steps
}

/** The shard in a state of the partitions, with an entry or, as an entry without partitions is, none. */
export function shardOf(
  state: PartitionsState,
  size: ShardSize | undefined,
  tenant: string,
  signal: Signal,
): Shard {
  if (size !== undefined && size.partitions.length > 0) {
    const partitions = withoutHalted(state, size.partitions)
    return { partitions, open: openOf(state, partitions), hot: size.hot }
  }
  const all = withoutHalted(state, allPartitions(state))
  const partition = choose(tenantHash(tenant, signal), all, openOf(state, all))
  return { partitions: [partition], open: openOf(state, [partition]), hot: NO_STREAMS }
}

export function isSameShard(left: Shard, right: Shard): boolean {
  return (
    isSameList(left.partitions, right.partitions) &&
    isSameList(left.open, right.open) &&
    left.hot.size === right.hot.size &&
    [...left.hot].every(([stream, k]) => right.hot.get(stream) === k)
  )
}

/** The partition of a stream that is not hot. */
export function streamPartition({ partitions, open }: Shard, stream: KeyHash): number {
  return partitions.length === 1 ? partitions[0]! : choose(stream, partitions, open)
}

/** The partitions over which the chunks of a stream spread; fewer than two where it is not hot. */
export function spreadOf(shard: Shard, stream: KeyHash): readonly number[] {
  if (shard.hot.size === 0) return NO_PARTITIONS
  const k = shard.hot.get(keyHashText(stream))
  return k === undefined ? NO_PARTITIONS : bestFew(stream, shard.partitions, k)
}

/** What becomes of a stream in the steps of its shard: one step where they make no difference to it. */
export function streamSteps(shards: readonly ShardStep[], stream: KeyHash): readonly StreamStep[] {
  const steps: StreamStep[] = []
  for (const { untilUnixNano, shard } of shards) {
    const spread = spreadOf(shard, stream)
    const partition = spread.length > 1 ? NOT_KNOWN : streamPartition(shard, stream)
    const last = steps.at(-1)
    if (last?.partition === partition && isSameList(last.spread, spread)) steps.pop()
    steps.push({ untilUnixNano, partition, spread })
  }
  return steps
}

/** The partition of the chunk that begins with `item`, of that time (lead-time.ts). */
export function chunkPartition(
  steps: readonly StreamStep[],
  item: Uint8Array,
  ordinal: number,
  timeUnixNano: bigint,
): number {
  const { partition, spread } = steps.find(({ untilUnixNano }) => timeUnixNano < untilUnixNano)!
  return spread.length > 1 ? bestOf(leadHash(item, ordinal), spread) : partition
}

/** A saturated home is left by the keys with an odd hash, as long as there is an open partition. */
function choose(key: KeyHash, partitions: readonly number[], open: readonly number[]): number {
  const home = bestOf(key, partitions)
  const stays = (key.low & 1) === 0 || open.length === 0 || open.includes(home)
  return stays ? home : bestOf(key, open)
}

/** What counts for items right before the time; undefined where that is what counts now. */
function countsUntil<Value extends Until>(
  earlier: readonly Value[],
  untilUnixMs: number | undefined,
): Value | undefined {
  if (untilUnixMs === undefined) return undefined
  return earlier.find((value) => value.untilUnixMs >= untilUnixMs)
}

function unixNano(unixMs: number | undefined): bigint {
  return unixMs === undefined ? NO_END_UNIX_NANO : BigInt(unixMs) * 1_000_000n
}

function untilOf({ untilUnixMs }: Until): number {
  return untilUnixMs
}

function allPartitions({ partitions }: PartitionsState): number[] {
  return Array.from({ length: partitions }, (_, partition) => partition)
}

function withoutHalted(
  { halted }: PartitionsState,
  partitions: readonly number[],
): readonly number[] {
  if (halted.size === 0) return partitions
  const left = partitions.filter((partition) => !halted.has(partition))
  return left.length === 0 ? partitions : left
}

function openOf({ saturated }: PartitionsState, partitions: readonly number[]): readonly number[] {
  return saturated.size === 0
    ? partitions
    : partitions.filter((partition) => !saturated.has(partition))
}

function isSameList(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((number, index) => number === right[index])
}

const NO_STREAMS: ReadonlyMap<string, number> = new Map()
const NO_PARTITIONS: readonly number[] = []
