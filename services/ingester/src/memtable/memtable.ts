/**
 * The batches of one partition that are durable in the log but not yet in the store, in log order.
 *
 *   active (takes batches) --freeze()--> frozen (being flushed) --release()--> slabs go back
 *
 * Invariant: `bytes` is what the slabs really hold, envelope by envelope; offsets ascend. When to
 * flush and when to refuse is the ingester's business.
 */
import type { EnvelopeChunk, EnvelopeHeader } from '@tributary/common/columnar/envelope'
import type { Signal } from '@tributary/common/signal'
import assert from 'node:assert/strict'
import type { SlabPool, SlabSpace } from './slab-pool.ts'

export interface MemtableEntry {
  readonly offset: bigint
  readonly tenant: string
  readonly signal: Signal
  readonly rowCount: number
  /** Where the envelope lies. */
  readonly space: SlabSpace
  /** Row ranges [start, end) in pairs that were stored before. */
  readonly suppressed: Int32Array
  /** Chunks that are stored by this entry and could be sent again. */
  readonly stored: readonly EnvelopeChunk[]
  readonly arrivalUnixNano: bigint
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
  #entries: MemtableEntry[] = []
  #start: bigint
  #end: bigint
  #rows = 0
  #bytes = 0
  #oldestMs: number | undefined
  #frozen: FrozenMemtable | undefined

  /** @param start the first offset that is not yet committed */
  constructor(pool: SlabPool, start: bigint) {
    this.#pool = pool
    this.#start = start
    this.#end = start
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

  get rows(): number {
    return this.#rows + (this.#frozen?.rows ?? 0)
  }

  /** Monotonic time at which the oldest active batch came in; undefined when there is none. */
  get oldestMs(): number | undefined {
    return this.#oldestMs
  }

  /** All unflushed envelopes from an offset on, in order. */
  *unflushed(fromOffset: bigint): Iterable<{ offset: bigint; payload: Uint8Array }> {
    for (const entries of [this.#frozen?.entries ?? [], this.#entries]) {
      for (const { offset, space } of entries) {
        if (offset >= fromOffset) yield { offset, payload: space.bytes }
      }
    }
  }

  /** Space for an envelope, to be filled and then inserted or given up. */
  reserve(byteCount: number): SlabSpace {
    return this.#pool.cut(byteCount)
  }

  /** Gives up a space that was not inserted. */
  giveUp(space: SlabSpace): void {
    this.#pool.release(space)
  }

  /** Takes a durable envelope. Offsets ascend; a gap is a hole that the log reported. */
  insert(
    offset: bigint,
    space: SlabSpace,
    header: EnvelopeHeader,
    suppressed: Int32Array,
    stored: readonly EnvelopeChunk[],
    nowMs: number,
  ): void {
    assert(offset >= this.#end, 'offsets of a memtable ascend')
    this.#entries.push({
      offset,
      tenant: header.tenant,
      signal: header.signal,
      rowCount: header.rowCount,
      space,
      suppressed,
      stored,
      arrivalUnixNano: header.arrivalUnixNano,
    })
    this.#end = offset + 1n
    this.#rows += header.rowCount
    this.#bytes += space.bytes.length
    this.#oldestMs ??= nowMs
  }

  /** Moves the end past offsets that hold no rows (a hole), so that the chain covers them. */
  skipTo(offset: bigint): void {
    assert(offset >= this.#end, 'a memtable only moves forward')
    this.#end = offset
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
}
