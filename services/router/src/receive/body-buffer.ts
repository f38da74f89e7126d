/**
 * Collects a body of known or unknown length. Known: one buffer, never grown, and none at
 * all when the body comes in one piece (buffers are the pool's until `release`). Unknown (chunked): doubling, never past what `onGrowth`
 * allows. Bounds are the caller's: it checks lengths before and in `onGrowth`.
 */
import { strict as assert } from 'node:assert'

import type { BodyPool } from './body-pool.ts'

const UNKNOWN_LENGTH_START = 16 * 1024

export class BodyBuffer {
  readonly #pool: BodyPool
  readonly #length: number | undefined
  readonly #onGrowth: (bytes: number) => void
  /** The chunk that is the whole body. */
  #chunk: Uint8Array | undefined
  #buffer: Uint8Array | undefined
  #used = 0

  /** `onGrowth` hears the bytes that a chunked body has so far, and may throw to refuse more. */
  constructor(pool: BodyPool, length: number | undefined, onGrowth: (bytes: number) => void) {
    this.#pool = pool
    this.#length = length
    this.#onGrowth = onGrowth
  }

  add(chunk: Uint8Array): void {
    const needed = this.#used + chunk.length
    if (this.#length === undefined) this.#onGrowth(needed)
    else assert(needed <= this.#length, 'the parser let through more than content-length')
    if (chunk.length === this.#length) this.#chunk = chunk
    else this.#withRoomFor(needed).set(chunk, this.#used)
    this.#used = needed
  }

  finish(): Uint8Array {
    return this.#chunk ?? this.#buffer?.subarray(0, this.#used) ?? new Uint8Array(0)
  }

  /** Gives the body's buffer back: the body must not be looked at any more. */
  release(): void {
    if (this.#buffer !== undefined) this.#pool.give(this.#buffer)
    this.#buffer = undefined
  }

  #withRoomFor(needed: number): Uint8Array {
    const old = this.#buffer
    if (old !== undefined && needed <= old.length) return old
    const size = this.#length ?? Math.max(UNKNOWN_LENGTH_START, needed, (old?.length ?? 0) * 2)
    const buffer = this.#pool.take(size)
    if (old !== undefined) {
      buffer.set(old.subarray(0, this.#used))
      this.#pool.give(old)
    }
    this.#buffer = buffer
    return buffer
  }
}
