/**
 * Lays a flatbuffer out front to back: what refers stands before what it refers to. Used for the
 * parts of our messages that are built once and kept; flatbuffer-reader.ts draws the format.
 * Invariant: what is not set is zero, so equal content gives equal bytes.
 */
import assert from 'node:assert/strict'

const INITIAL_BYTES = 4096

export class FlatbufferWriter {
  #view = new DataView(new ArrayBuffer(INITIAL_BYTES))
  #end = 0

  /** Takes zeroed bytes and gives their position. */
  reserve(byteCount: number): number {
    const at = this.#end
    this.#end += byteCount
    if (this.#end > this.#view.byteLength) {
      const grown = new Uint8Array(Math.max(this.#end, 2 * this.#view.byteLength))
      grown.set(new Uint8Array(this.#view.buffer))
      this.#view = new DataView(grown.buffer)
    }
    return at
  }

  align(byteCount: number): void {
    this.reserve((byteCount - (this.#end % byteCount)) % byteCount)
  }

  /** Makes the reference at `at` point to what is written next. */
  pointHere(at: number): void {
    this.align(4)
    this.pointTo(at, this.#end)
  }

  /** Makes the reference at `at` point to `target`, which stands behind it. */
  pointTo(at: number, target: number): void {
    assert.ok(target > at)
    this.#view.setUint32(at, target - at, true)
  }

  /** Writes a vtable: the position of each slot's field in its table, 0 for none. */
  vtable(tableBytes: number, fieldPositions: readonly number[]): number {
    const vtableBytes = 4 + 2 * fieldPositions.length
    const at = this.reserve(vtableBytes)
    this.#view.setUint16(at, vtableBytes, true)
    this.#view.setUint16(at + 2, tableBytes, true)
    fieldPositions.forEach((position, slot) => {
      this.#view.setUint16(at + 4 + 2 * slot, position, true)
    })
    return at
  }

  /** Starts a zeroed table at a multiple of 4; its fields are set, its references pointed, later. */
  table(vtable: number, tableBytes: number): number {
    this.align(4)
    const at = this.reserve(tableBytes)
    this.setInt32(at, at - vtable)
    return at
  }

  /** Starts a vector of references and gives the position of the first. */
  referenceVector(length: number): number {
    this.align(4)
    this.setInt32(this.reserve(4), length)
    return this.reserve(4 * length)
  }

  string(text: string): void {
    const bytes = Buffer.from(text, 'utf8')
    this.align(4)
    this.setInt32(this.reserve(4), bytes.length)
    const at = this.reserve(bytes.length + 1)
    new Uint8Array(this.#view.buffer).set(bytes, at)
  }

  setUint8(at: number, value: number): void {
    this.#view.setUint8(at, value)
  }

  setInt16(at: number, value: number): void {
    this.#view.setInt16(at, value, true)
  }

  setInt32(at: number, value: number): void {
    this.#view.setInt32(at, value, true)
  }

  /** The bytes so far, zero-padded to a multiple of `alignment`. */
  finish(alignment: number): Uint8Array {
    this.align(alignment)
    return new Uint8Array(this.#view.buffer.slice(0, this.#end))
  }
}
