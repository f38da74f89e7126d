/**
 * Shared memory in which unflushed batches lie. A batch is copied in once; flush workers and readers
 * see the same bytes. Slabs of a flushed memtable come back and are used again, up to a bound, so
 * that a steady load allocates nothing.
 */

export class SlabPool {
  readonly #slabBytes: number
  readonly #freeMax: number
  readonly #free: SharedArrayBuffer[] = []

  constructor(slabBytes: number, freeMax: number) {
    this.#slabBytes = slabBytes
    this.#freeMax = freeMax
  }

  /** A slab of the usual size, or one of its own for a batch that does not fit. */
  take(bytesMin: number): SharedArrayBuffer {
    if (bytesMin > this.#slabBytes) return new SharedArrayBuffer(bytesMin)
    return this.#free.pop() ?? new SharedArrayBuffer(this.#slabBytes)
  }

  /** Takes slabs back; odd sizes and what is past the bound are left to the garbage collector. */
  give(slabs: readonly SharedArrayBuffer[]): void {
    for (const slab of slabs) {
      if (slab.byteLength === this.#slabBytes && this.#free.length < this.#freeMax) {
        this.#free.push(slab)
      }
    }
  }
}
