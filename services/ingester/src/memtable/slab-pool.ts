/**
 * Shared memory in which unflushed batches lie, from their making to their commit: the batcher
 * writes an envelope into it, the WAL reads it from there, flush workers and readers see the same
 * bytes. Nothing on that way is allocated or copied once the slabs exist, which also keeps the
 * garbage collector quiet: it runs by the bytes that buffers take outside of its heap.
 *
 *   SlabPool (process) ──slabs──> SlabCutter (partition) ──spaces──> memtable, log, workers, readers
 *
 * Invariant: a slab goes back to the pool when its last space is released and no cutter cuts from it
 * any more. Each partition cuts from slabs of its own: a flush of one gives whole slabs back, whatever
 * the others still hold. The pool keeps a bounded number of free slabs.
 */
import assert from 'node:assert/strict'

/** A piece of a slab that belongs to one batch. */
export interface SlabSpace {
  /** 8-byte aligned, in shared memory. */
  readonly bytes: Uint8Array
  readonly slab: Slab
}

export interface Slab {
  readonly memory: Uint8Array
  used: number
  /** Holds on its spaces that are not released. */
  holds: number
  /** A cutter still cuts from it. */
  isOpen: boolean
}

/** Envelopes start aligned, so that Arrow buffers inside them are. */
const ALIGNMENT = 8

export class SlabPool {
  readonly #slabBytes: number
  readonly #freeMax: number
  readonly #free: Slab[] = []

  constructor(slabBytes: number, freeMax: number) {
    this.#slabBytes = slabBytes
    this.#freeMax = freeMax
  }

  /** An open slab with room for a batch; one larger than a slab gets one of its own. */
  take(byteCount: number): Slab {
    const free = byteCount <= this.#slabBytes ? this.#free.pop() : undefined
    if (free !== undefined) {
      free.isOpen = true
      return free
    }
    const memory = new Uint8Array(new SharedArrayBuffer(Math.max(byteCount, this.#slabBytes)))
    return { memory, used: 0, holds: 0, isOpen: true }
  }

  /** Nothing more is cut from the slab. */
  seal(slab: Slab): void {
    slab.isOpen = false
    this.#recycle(slab)
  }

  /** One more holder of a space: it stays as it is until each has released it. */
  hold({ slab }: SlabSpace): void {
    assert(slab.holds > 0, 'only a space that somebody holds can be held')
    slab.holds++
  }

  release({ slab }: SlabSpace): void {
    assert(slab.holds > 0, 'a space is released once by each holder')
    slab.holds--
    this.#recycle(slab)
  }

  #recycle(slab: Slab): void {
    if (slab.holds > 0 || slab.isOpen) return
    slab.used = 0
    if (slab.memory.length === this.#slabBytes && this.#free.length < this.#freeMax) {
      this.#free.push(slab)
    }
  }
}

export class SlabCutter {
  readonly #pool: SlabPool
  #slab: Slab | undefined

  constructor(pool: SlabPool) {
    this.#pool = pool
  }

  /** Cuts a space of `byteCount` bytes, held once. Its content is undefined. */
  cut(byteCount: number): SlabSpace {
    let slab = this.#slab
    let start = slab === undefined ? 0 : Math.ceil(slab.used / ALIGNMENT) * ALIGNMENT
    if (slab === undefined || start + byteCount > slab.memory.length) {
      this.close()
      slab = this.#pool.take(byteCount)
      this.#slab = slab
      start = 0
    }
    slab.used = start + byteCount
    slab.holds++
    return { bytes: slab.memory.subarray(start, slab.used), slab }
  }

  /** Lets go of the slab at hand. */
  close(): void {
    const slab = this.#slab
    this.#slab = undefined
    if (slab !== undefined) this.#pool.seal(slab)
  }
}
