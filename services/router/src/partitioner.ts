/**
 * Which partitions the rows of each tenant and signal go to, by the routing table at hand, and how
 * much comes of each. A router knows nothing beyond the table: two routers, or one before and after
 * its restart, choose the same for the same bytes.
 *
 * A table takes effect with the next request. Where it changed a shard lately it holds the old one
 * too, and the time of a chunk's first item tells by which of them the chunk goes, so that what
 * clients send again lands where its first try went: only there can a repeat be seen. Routes of quiet
 * tenants are forgotten (`RateMeter`), so that names of tenants that come and go take no memory.
 */
import type { ChunkRoute } from '@tributary/common/otlp/chunk-route'
import { entryKey, type RoutingTable } from '@tributary/common/routing/routing-table'
import {
  chunkPartition,
  NOT_KNOWN,
  shardSteps,
  type ShardStep,
  type StreamStep,
} from '@tributary/common/routing/shard'
import type { Signal } from '@tributary/common/signal'
import { StreamMemory, StreamTable, type Stream } from './stream-table.ts'

export class TenantRoute {
  readonly tenant: string
  readonly signal: Signal
  /** OTLP bytes since somebody last set it to 0. */
  bytes = 0
  readonly #streams: StreamTable
  #steps: readonly ShardStep[]
  #only: number
  #generation = 0
  #table: RoutingTable

  constructor(tenant: string, signal: Signal, memory: StreamMemory, table: RoutingTable) {
    this.tenant = tenant
    this.signal = signal
    this.#streams = new StreamTable(tenant, signal, memory)
    this.#table = table
    this.#steps = shardSteps(table, tenant, signal)
    this.#only = onlyPartition(this.#steps)
  }

  /** The partition of all streams at all times, or NOT_KNOWN where there are several. */
  get only(): number {
    return this.#only
  }

  /** Streams that are known; 0 where there is one partition for all. */
  get streams(): StreamTable {
    return this.#streams
  }

  /** Goes by the table from now on. */
  follow(table: RoutingTable): void {
    if (this.#table === table) return
    this.#table = table
    this.#steps = shardSteps(table, this.tenant, this.signal)
    this.#only = onlyPartition(this.#steps)
    this.#generation += 1
    if (this.#only !== NOT_KNOWN) this.#streams.clear()
  }

  /** For the decode of one request, where `only` is NOT_KNOWN. */
  begin(): ChunkRoute {
    return new RequestRoute(this.#streams, this.#steps, this.#generation)
  }
}

/** The streams of one request, one after another, in the shard as it was when the request began. */
class RequestRoute implements ChunkRoute {
  isSpread = false
  isTimed = false
  readonly #streams: StreamTable
  readonly #shards: readonly ShardStep[]
  readonly #generation: number
  #steps: readonly StreamStep[] = []

  constructor(streams: StreamTable, shards: readonly ShardStep[], generation: number) {
    this.#streams = streams
    this.#shards = shards
    this.#generation = generation
  }

  find(view: DataView, length: number, hash: number, partBytes: number): number {
    const stream = this.#streams.find(this.#shards, this.#generation, view, length, hash)
    return stream === undefined ? NOT_KNOWN : this.#enter(stream, partBytes)
  }

  add(bytes: Uint8Array, view: DataView, length: number, hash: number, partBytes: number): number {
    const stream = this.#streams.add(this.#shards, this.#generation, bytes, view, length, hash)
    return this.#enter(stream, partBytes)
  }

  chunk(
    body: Uint8Array,
    from: number,
    end: number,
    ordinal: number,
    timeUnixNano: bigint,
  ): number {
    return chunkPartition(this.#steps, body.subarray(from, end), ordinal, timeUnixNano)
  }

  /** @returns its partition; of a stream that spreads any of them, as nobody goes by it */
  #enter(stream: Stream, partBytes: number): number {
    const { steps } = stream
    const [first] = steps
    stream.bytes += partBytes
    this.#steps = steps
    this.isTimed = steps.length > 1
    this.isSpread = this.isTimed || first!.spread.length > 1
    return first!.spread[0] ?? first!.partition
  }
}

export class Partitioner {
  readonly #routes = new Map<string, TenantRoute>()
  readonly #memory = new StreamMemory()
  #table: RoutingTable

  constructor(table: RoutingTable) {
    this.#table = table
  }

  get table(): RoutingTable {
    return this.#table
  }

  /** All that had a request lately, for rates and metrics. */
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
    let route = this.#routes.get(key)
    if (route === undefined) {
      route = new TenantRoute(tenant, signal, this.#memory, this.#table)
      this.#routes.set(key, route)
    }
    route.follow(this.#table)
    return route
  }

  /** Drops a route that had no request for minutes, with its streams; the next request makes it anew. */
  forget(route: TenantRoute): void {
    route.streams.clear()
    this.#routes.delete(entryKey(route.tenant, route.signal))
  }
}

function onlyPartition(steps: readonly ShardStep[]): number {
  const partitions = new Set(steps.flatMap(({ shard }) => shard.partitions))
  return partitions.size === 1 ? [...partitions][0]! : NOT_KNOWN
}
