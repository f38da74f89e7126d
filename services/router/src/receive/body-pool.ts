/**
 * Buffers for request bodies, used again. A fresh buffer of 350 KB costs 100 us of page faults and
 * garbage collection, as much as receiving the bytes. Buffers are powers of two; what is kept for
 * later is bounded, what is handed out is bounded by admission. A body belongs to its call until
 * `give`: nobody may look at it afterwards.
 */
import { strict as assert } from 'node:assert'

const SIZE_BITS_MIN = 14
const SIZE_BITS_MAX = 23
/** Kept for later, all sizes together: a few connections' worth of large batches. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024

export class BodyPool {
  readonly #free: Uint8Array[][] = Array.from({ length: SIZE_BITS_MAX + 1 }, () => [])
  #keptBytes = 0

  /** Bytes kept for later. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  /** A buffer of at least this many bytes, their content left over from whoever had it before. */
  take(bytes: number): Uint8Array {
    const bits = Math.max(SIZE_BITS_MIN, 32 - Math.clz32(bytes - 1))
    if (bits > SIZE_BITS_MAX) return Buffer.allocUnsafeSlow(bytes)
    const buffer = this.#free[bits]!.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(2 ** bits)
    this.#keptBytes -= buffer.length
    return buffer
  }

  /** Takes back what `take` gave out, once. */
  give(buffer: Uint8Array): void {
    const bits = 31 - Math.clz32(buffer.length)
    if (bits > SIZE_BITS_MAX || buffer.length !== 2 ** bits) return
    if (this.#keptBytes + buffer.length > KEPT_BYTES_MAX) return
    const free = this.#free[bits]!
    assert(!free.includes(buffer), 'a body buffer is given back twice')
    free.push(buffer)
    this.#keptBytes += buffer.length
  }
}
