/** The raw bytes of one page under construction: grows by doubling, reused from page to page. */

/** After a page of one giant value, more than this is given back. */
const RETAINED_BYTES_MAX = 4 * 1024 * 1024
const INITIAL_BYTES = 64 * 1024

export class PageBuffer {
  bytes = new Uint8Array(INITIAL_BYTES)
  view = new DataView(this.bytes.buffer)
  length = 0

  reset(): void {
    this.length = 0
    if (this.bytes.length > RETAINED_BYTES_MAX) this.#replace(INITIAL_BYTES)
  }

  /** Makes room for `count` more bytes and returns the position where they start. */
  reserve(count: number): number {
    const needed = this.length + count
    if (needed > this.bytes.length) this.#replace(Math.max(needed, 2 * this.bytes.length))
    return this.length
  }

  append(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length)
    this.bytes.set(bytes, at)
    this.length = at + bytes.length
  }

  written(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  #replace(size: number): void {
    const kept = this.bytes.subarray(0, this.length)
    this.bytes = new Uint8Array(size)
    this.bytes.set(kept)
    this.view = new DataView(this.bytes.buffer)
  }
}
