/**
 * Collects a body of known or unknown length. Known: one buffer of exactly that size, and none at
 * all when the body comes in one piece. Unknown (chunked): doubling, never past what `onGrowth`
 * allows. Bounds are the caller's: it checks lengths before and in `onGrowth`.
 */
import { strict as assert } from 'node:assert'

const UNKNOWN_LENGTH_START = 16 * 1024

export class BodyBuffer {
  readonly #length: number | undefined
  readonly #onGrowth: (bytes: number) => void
  #buffer: Uint8Array | undefined
  #used = 0

  /** `onGrowth` hears the bytes that a chunked body has so far, and may throw to refuse more. */
  constructor(length: number | undefined, onGrowth: (bytes: number) => void) {
    this.#length = length
    this.#onGrowth = onGrowth
  }

  get usedBytes(): number {
    return this.#used
  }

  add(chunk: Uint8Array): void {
    const needed = this.#used + chunk.length
    if (this.#length === undefined) this.#onGrowth(needed)
    else assert(needed <= this.#length, 'the parser let through more than content-length')
    if (this.#buffer === undefined && chunk.length === this.#length) {
      this.#buffer = chunk
      this.#used = needed
      return
    }
    const buffer = this.#withRoomFor(needed)
    buffer.set(chunk, this.#used)
    this.#used = needed
  }

  finish(): Uint8Array {
    return this.#buffer?.subarray(0, this.#used) ?? new Uint8Array(0)
  }

  #withRoomFor(needed: number): Uint8Array {
    const old = this.#buffer
    if (old !== undefined && needed <= old.length) return old
    const size = this.#length ?? Math.max(UNKNOWN_LENGTH_START, needed, (old?.length ?? 0) * 2)
    const buffer = Buffer.allocUnsafeSlow(size)
    if (old !== undefined) buffer.set(old.subarray(0, this.#used))
    this.#buffer = buffer
    return buffer
  }
}
