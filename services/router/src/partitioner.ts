/**
 * Which partitions the rows of each tenant and signal go to, by the routing table at hand, and how
 * much comes of each: what a router knows beyond the table is what it chose before.
 *
 * A change of the table takes effect with the next request, except that a tenant whose requests have
 * failed lately keeps its old shard for as long as repeats are removed: its clients send those again,
 * and only where the first try went can a repeat be seen. Routes are bounded by the tenants.
 */
import type { Clock } from '@tributary/common/clock'
import type { ChunkRoute } from '@tributary/common/otlp/chunk-route'
import { entryKey, type RoutingTable } from '@tributary/common/routing/routing-table'
import { chunkPartition, NOT_KNOWN, shardOf, type Shard } from '@tributary/common/routing/shard'
import type { Signal } from '@tributary/common/signal'
import { StreamMemory, StreamTable, type Stream } from './stream-table.ts'

export interface PartitionerOptions {
  readonly table: RoutingTable
  readonly clock: Clock
  /** How long repeats are removed: a shard with failed requests is kept for at most this long. */
  readonly retryWindowMs: number
}

/** How often a change that is put off is looked at again. */
const RECHECK_MS = 1000

export class TenantRoute {
  readonly tenant: string
  readonly signal: Signal
  /** OTLP bytes since somebody last set it to 0. */
  bytes = 0
  readonly #retryWindowMs: number
  readonly #streams: StreamTable
  #shard: Shard
  #hasEntry: boolean
  #generation = 0
  #table: RoutingTable
  #failedAtMs = -Infinity
  /** Since when a change of the shard is put off. */
  #heldSinceMs: number | undefined
  #recheckAtMs = 0

  constructor(
    tenant: string,
    signal: Signal,
    memory: StreamMemory,
    { table, retryWindowMs }: PartitionerOptions,
  ) {
    this.tenant = tenant
    this.signal = signal
    this.#retryWindowMs = retryWindowMs
    this.#streams = new StreamTable(tenant, signal, memory)
    this.#table = table
    this.#shard = shardOf(table, tenant, signal)
    this.#hasEntry = table.entries.has(entryKey(tenant, signal))
  }

  /** The partition of all streams, or NOT_KNOWN where there are several. */
  get only(): number {
    const { partitions } = this.#shard
    return partitions.length === 1 ? partitions[0]! : NOT_KNOWN
  }

  get partitions(): readonly number[] {
    return this.#shard.partitions
  }

  /** Streams that are known; 0 where there is one partition for all. */
  get streams(): StreamTable {
    return this.#streams
  }

  /** Notes that rows of a request went out and may have been stored, and its client was told to retry. */
  failed(nowMs: number): void {
    this.#failedAtMs = nowMs
  }

  isUpToDate(table: RoutingTable): boolean {
    return this.#table === table
  }

  /** Goes by the table from now on, unless that has to wait. */
  follow(table: RoutingTable, nowMs: number): void {
    if (nowMs < this.#recheckAtMs) return
    const known = this.#hasEntry ? NOT_KNOWN : this.#shard.partitions[0]
    const next = shardOf(table, this.tenant, this.signal, known)
    const isSame = sameNumbers(next.partitions, this.#shard.partitions)
    if (!isSame && this.#mustKeep(nowMs)) {
      this.#recheckAtMs = nowMs + RECHECK_MS
      return
    }
    this.#heldSinceMs = undefined
    this.#recheckAtMs = 0
    this.#shard = next
    this.#hasEntry = table.entries.has(entryKey(this.tenant, this.signal))
    this.#table = table
    this.#generation += 1
    if (next.partitions.length === 1) this.#streams.clear()
  }

  /** For the decode of one request, where `only` is NOT_KNOWN. */
  begin(): ChunkRoute {
    return new RequestRoute(this.#streams, this.#shard, this.#generation)
  }

  #mustKeep(nowMs: number): boolean {
    if (nowMs - this.#failedAtMs > this.#retryWindowMs) return false
    this.#heldSinceMs ??= nowMs
    return nowMs - this.#heldSinceMs <= this.#retryWindowMs
  }
}

/** The streams of one request, one after another, in the shard as it was when the request began. */
class RequestRoute implements ChunkRoute {
  isSpread = false
  readonly #streams: StreamTable
  readonly #shard: Shard
  readonly #generation: number
  #spread: readonly number[] = []

  constructor(streams: StreamTable, shard: Shard, generation: number) {
    this.#streams = streams
    this.#shard = shard
    this.#generation = generation
  }

  find(view: DataView, length: number, hash: number, partBytes: number): number {
    const stream = this.#streams.find(this.#shard, this.#generation, view, length, hash)
    return stream === undefined ? NOT_KNOWN : this.#enter(stream, partBytes)
  }

  add(bytes: Uint8Array, view: DataView, length: number, hash: number, partBytes: number): number {
    const stream = this.#streams.add(this.#shard, this.#generation, bytes, view, length, hash)
    return this.#enter(stream, partBytes)
  }

  chunk(body: Uint8Array, from: number, end: number, ordinal: number): number {
    return chunkPartition(this.#spread, body.subarray(from, end), ordinal)
  }

  #enter(stream: Stream, partBytes: number): number {
    stream.bytes += partBytes
    this.#spread = stream.spread
    this.isSpread = stream.spread.length > 1
    return stream.partition
  }
}

export class Partitioner {
  readonly #options: PartitionerOptions
  readonly #routes = new Map<string, TenantRoute>()
  readonly #memory = new StreamMemory()
  #table: RoutingTable

  constructor(options: PartitionerOptions) {
    this.#options = options
    this.#table = options.table
  }

  get table(): RoutingTable {
    return this.#table
  }

  /** All that had a request, for rates and metrics. */
  get routes(): Iterable<TenantRoute> {
    return this.#routes.values()
  }

  /** Bytes of known streams. */
  get streamBytes(): number {
    return this.#memory.bytes
  }

  /** Goes by another table from now on. */
  adopt(table: RoutingTable): void {
    this.#table = table
  }

  /** Where the rows of a tenant and signal go. */
  route(tenant: string, signal: Signal): TenantRoute {
    const key = entryKey(tenant, signal)
    const known = this.#routes.get(key)
    if (known !== undefined) {
      if (!known.isUpToDate(this.#table)) {
        known.follow(this.#table, this.#options.clock.monotonicMs())
      }
      return known
    }
    const route = new TenantRoute(tenant, signal, this.#memory, {
      ...this.#options,
      table: this.#table,
    })
    this.#routes.set(key, route)
    return route
  }
}

function sameNumbers(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((number, index) => number === right[index])
}
