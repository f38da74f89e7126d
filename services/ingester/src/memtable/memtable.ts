/**
 * The batches of one partition that are durable in the log but not yet in the store, in log order.
 *
 *   active (takes batches) --freeze()--> frozen (being flushed) --release()--> slabs go back
 *
 * Invariant: `bytes` is what the slabs really hold, envelope by envelope; offsets ascend. When to
 * flush and when to refuse is the partition's business.
 */
import type { EnvelopeHeader } from '@tributary/common/columnar/envelope'
import type { Signal } from '@tributary/common/signal'
import assert from 'node:assert/strict'
import { SlabCutter, type SlabPool, type SlabSpace } from './slab-pool.ts'

/** What of a batch was stored before, and what its commit adds to the window of repeats. */
export interface BatchRepeats {
  /** Row ranges [start, end) in pairs that were stored before. */
  readonly suppressed: Int32Array
  readonly suppressedRows: number
  /** 16 bytes each, one behind the other: what can come again. */
  readonly storedHashes: Uint8Array
}

export interface MemtableEntry {
  readonly offset: bigint
  readonly tenant: string
  readonly signal: Signal
  readonly rowCount: number
  /** Where the envelope lies. */
  readonly space: SlabSpace
  /** When the log took it, by the log's clock. */
  readonly appendUnixMs: number
  /** Of a traced batch: where its flush goes on. */
  readonly traceparent: string | undefined
  /** Found anew where a batch before it turned out never to be stored. */
  repeats: BatchRepeats
}

export type NewMemtableEntry = Pick<
  MemtableEntry,
  'offset' | 'space' | 'appendUnixMs' | 'repeats'
> & {
  readonly traceparent?: string | undefined
  readonly header: EnvelopeHeader
  /** Monotonic. */
  readonly nowMs: number
}

/** What a flush works on. */
export interface FrozenMemtable {
  readonly entries: readonly MemtableEntry[]
  /** First offset of the range and the one behind its last. */
  readonly start: bigint
  readonly end: bigint
  readonly rows: number
  readonly bytes: number
}

export class Memtable {
  readonly #pool: SlabPool
  readonly #cutter: SlabCutter
  #entries: MemtableEntry[] = []
  #start: bigint
  #end: bigint
  #rows = 0
  #bytes = 0
  #oldestMs: number | undefined
  #frozen: (FrozenMemtable & { readonly oldestMs: number | undefined }) | undefined

  /** @param start the first offset that is not yet committed */
  constructor(pool: SlabPool, start: bigint) {
    this.#pool = pool
    this.#cutter = new SlabCutter(pool)
    this.#start = start
    this.#end = start
  }

  /** The first offset that is not known to be committed. */
  get start(): bigint {
    return this.#frozen?.start ?? this.#start
  }

  /** The offset behind the last one taken. */
  get end(): bigint {
    return this.#end
  }

  /** Bytes of active and frozen batches. */
  get bytes(): number {
    return this.#bytes + (this.#frozen?.bytes ?? 0)
  }

  get activeBytes(): number {
    return this.#bytes
  }

  /** Nothing came in since the last freeze. */
  get isActiveEmpty(): boolean {
    return this.#start === this.#end
  }

  get rows(): number {
    return this.#rows + (this.#frozen?.rows ?? 0)
  }

  /** Monotonic time at which the oldest active batch or hole came in; undefined when there is none. */
  get oldestActiveMs(): number | undefined {
    return this.#oldestMs
  }

  /** The same of all that is not committed. */
  get oldestMs(): number | undefined {
    return this.#frozen?.oldestMs ?? this.#oldestMs
  }

  /** All unflushed batches from an offset on, in order. */
  *unflushed(fromOffset: bigint): Iterable<MemtableEntry> {
    for (const entries of [this.#frozen?.entries ?? [], this.#entries]) {
      for (const entry of entries) {
        if (entry.offset >= fromOffset) yield entry
      }
    }
  }

  /** Space for an envelope, to be filled and then inserted or given up. */
  reserve(byteCount: number): SlabSpace {
    return this.#cutter.cut(byteCount)
  }

  /** Gives up a space that was not inserted. */
  giveUp(space: SlabSpace): void {
    this.#pool.release(space)
  }

  /** Takes a durable envelope. Offsets ascend; a gap is a hole that the log reported. */
  insert(entry: NewMemtableEntry): void {
    const { offset, header, space, appendUnixMs, repeats, nowMs, traceparent } = entry
    assert(offset >= this.#end, 'offsets of a memtable ascend')
    const { tenant, signal, rowCount } = header
    this.#entries.push({
      offset,
      tenant,
      signal,
      rowCount,
      space,
      appendUnixMs,
      traceparent,
      repeats,
    })
    this.#end = offset + 1n
    this.#rows += rowCount
    this.#bytes += space.bytes.length
    this.#oldestMs ??= nowMs
  }

  /** Moves the end past offsets that hold no rows (a hole), so that the chain covers them. */
  skipTo(offset: bigint, nowMs: number): void {
    assert(offset >= this.#end, 'a memtable only moves forward')
    this.#end = offset
    this.#oldestMs ??= nowMs
  }

  /** Hands all active batches over to a flush; one at a time. */
  freeze(): FrozenMemtable {
    assert(this.#frozen === undefined, 'one flush of a partition at a time')
    this.#frozen = {
      entries: this.#entries,
      start: this.#start,
      end: this.#end,
      rows: this.#rows,
      bytes: this.#bytes,
      oldestMs: this.#oldestMs,
    }
    this.#entries = []
    this.#start = this.#end
    this.#rows = 0
    this.#bytes = 0
    this.#oldestMs = undefined
    return this.#frozen
  }

  /** After the commit: the frozen batches are in the store. */
  release(): void {
    assert(this.#frozen !== undefined, 'only a frozen memtable is released')
    for (const { space } of this.#frozen.entries) this.#pool.release(space)
    this.#frozen = undefined
  }

  /** Drops all batches; nobody may work on them any more. */
  close(): void {
    if (this.#frozen !== undefined) this.release()
    for (const { space } of this.#entries) this.#pool.release(space)
    this.#entries = []
    this.#bytes = 0
    this.#rows = 0
    this.#oldestMs = undefined
    this.#cutter.close()
  }
}
