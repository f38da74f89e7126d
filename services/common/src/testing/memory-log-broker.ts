/**
 * The log that memory clients (memory-partition-log.ts) share, as processes share a Kafka: partitions
 * of records, and what an operator or a failure does to them. Time and chance come from outside, so
 * that a simulator runs it in virtual time and a seed replays it.
 */
import assert from 'node:assert/strict'

import type { Clock } from '../clock.ts'
import type { OffsetBounds } from '../log/partition-log.ts'
import { HEALTHY_LOG } from './memory-log-faults.ts'
import type { MemoryLogFaults } from './memory-log-faults.ts'
import { SeededRandom } from './seeded-random.ts'

export interface MemoryLogOptions {
  readonly clock: Clock
  readonly seed: number
  readonly partitions: number
  /** Default: healthy. */
  readonly faults?: Partial<MemoryLogFaults>
  readonly topic?: string
  /** Default 1 MiB less 100 bytes of framing. */
  readonly recordBytesMax?: number
}

export interface StoredRecord {
  readonly offset: bigint
  readonly appendUnixMs: number
  readonly value: Uint8Array
}

/** Names of the brokers: partition p is led by the broker of its number modulo three. */
const BROKERS = ['broker-1', 'broker-2', 'broker-3'] as const

class StoredPartition {
  start = 0n
  readonly records: StoredRecord[] = []
  /** Readers that wait for something to happen here. */
  readonly watchers = new Set<() => void>()

  get bounds(): OffsetBounds {
    return { start: this.start, end: this.start + BigInt(this.records.length) }
  }
}

export class MemoryLogBroker {
  readonly topic: string
  readonly recordBytesMax: number
  readonly clock: Clock
  readonly random: SeededRandom
  /** Change at will. */
  readonly faults: MemoryLogFaults
  #generation = 1
  #partitions: StoredPartition[]
  /** Brokers that answer nothing; what was asked of them is refused in the end. */
  readonly #stopped = new Set<string>()

  constructor(options: MemoryLogOptions) {
    this.clock = options.clock
    this.topic = options.topic ?? 'telemetry'
    this.recordBytesMax = options.recordBytesMax ?? 2 ** 20 - 100
    this.random = new SeededRandom(options.seed)
    this.faults = { ...HEALTHY_LOG, ...options.faults }
    this.#partitions = Array.from({ length: options.partitions }, () => new StoredPartition())
  }

  /** Another one after `recreate`. */
  get logId(): string {
    return `memory_${this.#generation}`
  }

  get partitionCount(): number {
    return this.#partitions.length
  }

  leaderOf(partition: number): string {
    return BROKERS[partition % BROKERS.length]!
  }

  isStopped(partition: number): boolean {
    return this.#stopped.has(this.leaderOf(partition))
  }

  bounds(partition: number): OffsetBounds {
    return this.#partition(partition).bounds
  }

  /** All that is stored of a partition: what a test compares with. */
  stored(partition: number): readonly StoredRecord[] {
    return this.#partition(partition).records
  }

  /** Up to `countMax` records from an offset on; the offset lies within the bounds. */
  read(partition: number, from: bigint, countMax: number): readonly StoredRecord[] {
    const { records, bounds } = this.#partition(partition)
    assert.ok(from >= bounds.start && from <= bounds.end)
    const first = Number(from - bounds.start)
    return records.slice(first, first + countMax)
  }

  /** Stores copies as they are now. @returns the offset of the first */
  append(partition: number, values: readonly Uint8Array[]): bigint {
    const stored = this.#partition(partition)
    const first = stored.bounds.end
    const { appendSkewMs } = this.faults
    const skewMs = appendSkewMs === 0 ? 0 : this.random.below(2 * appendSkewMs) - appendSkewMs
    const appendUnixMs = this.clock.nowUnixMs() + skewMs
    values.forEach((value, index) => {
      stored.records.push({
        offset: first + BigInt(index),
        appendUnixMs,
        value: new Uint8Array(value),
      })
    })
    wake(stored)
    return first
  }

  /** Calls back when the partition changes; the answer ends that. */
  watch(partition: number, onChange: () => void): () => void {
    const { watchers } = this.#partition(partition)
    watchers.add(onChange)
    return () => watchers.delete(onChange)
  }

  /** Retention or an operator: records below the offset are gone. */
  deleteBefore(partition: number, offset: bigint): void {
    const stored = this.#partition(partition)
    const count = Number(offset - stored.start)
    assert.ok(count >= 0 && count <= stored.records.length)
    stored.records.splice(0, count)
    stored.start = offset
    wake(stored)
  }

  /** The log lost acknowledged records, as an unclean election does: the end moves back. */
  truncateAt(partition: number, offset: bigint): void {
    const stored = this.#partition(partition)
    assert.ok(offset >= stored.start)
    stored.records.length = Math.min(stored.records.length, Number(offset - stored.start))
    wake(stored)
  }

  addPartitions(count: number): void {
    while (this.#partitions.length < count) this.#partitions.push(new StoredPartition())
  }

  /** Deletes the topic and makes it anew: the same name, another log. */
  recreate(): void {
    this.#generation++
    const old = this.#partitions
    this.#partitions = old.map(() => new StoredPartition())
    for (const stored of old) wake(stored)
  }

  /** One broker, or all of them, answer nothing. */
  stop(broker?: string): void {
    for (const name of broker === undefined ? BROKERS : [broker]) this.#stopped.add(name)
  }

  /** All brokers answer again. */
  start(): void {
    this.#stopped.clear()
    for (const stored of this.#partitions) wake(stored)
  }

  /** How long the next step takes, milliseconds. */
  delayMs(): number {
    const [min, max] = this.faults.delayMs
    return min + this.random.below(max - min + 1)
  }

  #partition(partition: number): StoredPartition {
    const stored = this.#partitions[partition]
    assert.ok(stored !== undefined, `no partition ${partition}`)
    return stored
  }
}

function wake(stored: StoredPartition): void {
  for (const onChange of [...stored.watchers]) onChange()
}
