/**
 * Shared memory in which unflushed batches lie, from their making to their commit: the batcher
 * writes an envelope into it, the WAL reads it from there, flush workers and readers see the same
 * bytes. Nothing on that way is allocated or copied once the slabs exist, which also keeps the
 * garbage collector quiet: it runs by the bytes that buffers take outside of its heap.
 *
 * Invariant: a slab goes back to the pool when its last space is released and no new one is cut from
 * it. The pool keeps a bounded number of free slabs.
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
  /** Spaces cut and not released. */
  spaces: number
}

/** Envelopes start aligned, so that Arrow buffers inside them are. */
const ALIGNMENT = 8

export class SlabPool {
  readonly #slabBytes: number
  readonly #freeMax: number
  readonly #free: Slab[] = []
  #current: Slab | undefined

  constructor(slabBytes: number, freeMax: number) {
    this.#slabBytes = slabBytes
    this.#freeMax = freeMax
  }

  /** Cuts a space of `byteCount` bytes; `release` gives it back. Its content is undefined. */
  cut(byteCount: number): SlabSpace {
    let slab = this.#current
    let start = slab === undefined ? 0 : Math.ceil(slab.used / ALIGNMENT) * ALIGNMENT
    if (slab === undefined || start + byteCount > slab.memory.length) {
      this.#current = undefined
      if (slab !== undefined) this.#recycle(slab)
      slab = this.#take(byteCount)
      this.#current = slab
      start = 0
    }
    slab.used = start + byteCount
    slab.spaces++
    return { bytes: slab.memory.subarray(start, slab.used), slab }
  }

  release({ slab }: SlabSpace): void {
    assert(slab.spaces > 0, 'a space is released once')
    slab.spaces--
    if (slab !== this.#current) this.#recycle(slab)
  }

  /** A batch larger than a slab gets one of its own. */
  #take(byteCount: number): Slab {
    const free = byteCount <= this.#slabBytes ? this.#free.pop() : undefined
    if (free !== undefined) return free
    const memory = new Uint8Array(new SharedArrayBuffer(Math.max(byteCount, this.#slabBytes)))
    return { memory, used: 0, spaces: 0 }
  }

  #recycle(slab: Slab): void {
    if (slab.spaces > 0) return
    slab.used = 0
    if (slab.memory.length === this.#slabBytes && this.#free.length < this.#freeMax) {
      this.#free.push(slab)
    }
  }
}
