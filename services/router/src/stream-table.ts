/**
 * The streams of one tenant and signal whose rows go to several partitions: normalized resource bytes
 * -> partition, so that a known resource costs one look-up and no SHA-256. Also counts each
 * stream's bytes, from which the maker of the routing table sees the hot ones. It is a cache: at its
 * bound it forgets all streams, and they come in again as new ones.
 */
import { ByteDictionary } from '@tributary/common/columnar/byte-dictionary'
import { keyHashText, streamHash } from '@tributary/common/routing/key-hash'
import type { KeyHash } from '@tributary/common/routing/rendezvous'
import { streamSteps, type ShardStep, type StreamStep } from '@tributary/common/routing/shard'
import type { Signal } from '@tributary/common/signal'

/** Resources are 200 to 800 bytes: 16,000 streams and more per table ... */
const TABLE_BYTES_MAX = 16 * 1024 * 1024
/** ... and this for those of all tenants that have several partitions. */
const ALL_TABLES_BYTES_MAX = 64 * 1024 * 1024
/** Hash, steps, counters and table slots of a stream. */
const STREAM_BYTES = 256

/** What the tables of a process take together. */
export class StreamMemory {
  bytes = 0
}

export interface Stream {
  readonly hash: KeyHash
  /** That of the shard for which the steps were made. */
  generation: number
  /** Where its chunks go, by the time of their first item. */
  steps: readonly StreamStep[]
  /** OTLP bytes since the last `takeRates`. */
  bytes: number
}

export class StreamTable {
  readonly #tenant: string
  readonly #signal: Signal
  readonly #memory: StreamMemory
  #resources = new ByteDictionary()
  #streams: Stream[] = []
  #bytes = 0

  constructor(tenant: string, signal: Signal, memory: StreamMemory) {
    this.#tenant = tenant
    this.#signal = signal
    this.#memory = memory
  }

  get size(): number {
    return this.#streams.length
  }

  /** The stream of a resource, with its steps in those of the shard; undefined where it is not known. */
  find(
    shards: readonly ShardStep[],
    generation: number,
    view: DataView,
    length: number,
    hash: number,
  ): Stream | undefined {
    const id = this.#resources.find(view, 0, length, hash)
    if (id < 0) return undefined
    const stream = this.#streams[id]!
    if (stream.generation < generation) {
      stream.steps = streamSteps(shards, stream.hash)
      stream.generation = generation
    }
    return stream
  }

  add(
    shards: readonly ShardStep[],
    generation: number,
    bytes: Uint8Array,
    view: DataView,
    length: number,
    hash: number,
  ): Stream {
    const name = streamHash(this.#tenant, this.#signal, bytes.subarray(0, length))
    const stream = { hash: name, generation, steps: streamSteps(shards, name), bytes: 0 }
    const streamBytes = length + STREAM_BYTES
    if (
      this.#bytes + streamBytes > TABLE_BYTES_MAX ||
      this.#memory.bytes + streamBytes > ALL_TABLES_BYTES_MAX
    ) {
      this.clear()
    }
    this.#resources.add(bytes, view, 0, length, hash, this.#streams.length)
    this.#streams.push(stream)
    this.#bytes += streamBytes
    this.#memory.bytes += streamBytes
    return stream
  }

  /** Forgets everything and its memory. */
  clear(): void {
    this.#resources = new ByteDictionary()
    this.#streams = []
    this.#memory.bytes -= this.#bytes
    this.#bytes = 0
  }

  /** The streams with the most bytes since the last call, most first; starts to count anew. */
  takeLargest(countMax: number): { readonly stream: string; readonly bytes: number }[] {
    const largest: Stream[] = []
    for (const stream of this.#streams) {
      const least = largest.length < countMax ? 0 : largest.at(-1)!.bytes
      if (stream.bytes <= least) continue
      if (largest.length === countMax) largest.pop()
      const at = largest.findIndex((other) => other.bytes < stream.bytes)
      largest.splice(at < 0 ? largest.length : at, 0, stream)
    }
    const taken = largest.map(({ hash, bytes }) => ({ stream: keyHashText(hash), bytes }))
    for (const stream of this.#streams) stream.bytes = 0
    return taken
  }
}
