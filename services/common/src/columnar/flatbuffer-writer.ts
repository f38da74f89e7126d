/**
 * Lays a flatbuffer out front to back: what refers stands before what it refers to. Used for the
 * few, cached, parts of our messages; flatbuffer-reader.ts has the drawing of the format.
 * Invariant: the buffer grows by doubling and stays in memory only until `finish`.
 */
import assert from 'node:assert/strict'

/** A field of a table: its slot, its bytes and its value; a table field is a Reference. */
export interface TableField {
  readonly slot: number
  readonly byteCount: 1 | 2 | 4 | 8
  readonly value: number
}

const INITIAL_BYTES = 4096

export class FlatbufferWriter {
  #view = new DataView(new ArrayBuffer(INITIAL_BYTES))
  #end = 0

  get position(): number {
    return this.#end
  }

  align(byteCount: number): void {
    this.#reserve((byteCount - (this.#end % byteCount)) % byteCount)
  }

  /** Pads so that what follows `byteCount` more bytes is aligned to `alignment`. */
  alignAfter(byteCount: number, alignment: number): void {
    while ((this.#end + byteCount) % alignment !== 0) this.#reserve(1)
  }

  uint32(value: number): void {
    const at = this.#reserve(4)
    this.#view.setUint32(at, value, true)
  }

  uint16(value: number): void {
    const at = this.#reserve(2)
    this.#view.setUint16(at, value, true)
  }

  /** Makes the reference that stands at `at` point to here. */
  point(at: number): void {
    this.#view.setUint32(at, this.#end - at, true)
  }

  /** Makes the reference at `at` point to `target`, which stands behind it. */
  pointTo(at: number, target: number): void {
    assert.ok(target > at)
    this.#view.setUint32(at, target - at, true)
  }

  /** Writes a vtable: the position of each slot's field in its table, 0 for none. */
  vtable(tableBytes: number, fieldPositions: readonly number[]): number {
    this.align(2)
    const at = this.#end
    this.uint16(4 + 2 * fieldPositions.length)
    this.uint16(tableBytes)
    for (const position of fieldPositions) this.uint16(position)
    return at
  }

  /** Starts a zeroed table of a vtable; its fields are set by `set`, its references by `point`. */
  table(vtable: number, tableBytes: number, alignment: number): number {
    this.align(alignment)
    const at = this.#reserve(tableBytes)
    this.#view.setInt32(at, at - vtable, true)
    return at
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

  /** Reserves the references of a vector of tables and gives the position of the first. */
  referenceVector(length: number): number {
    this.align(4)
    this.uint32(length)
    return this.#reserve(4 * length)
  }

  string(text: string): void {
    const bytes = Buffer.from(text, 'utf8')
    this.align(4)
    this.uint32(bytes.length)
    const at = this.#reserve(bytes.length + 1)
    bytes.copy(new Uint8Array(this.#view.buffer), at)
  }

  /** The bytes so far, zero-padded to a multiple of `alignment`. */
  finish(alignment: number): Uint8Array {
    this.align(alignment)
    return new Uint8Array(this.#view.buffer.slice(0, this.#end))
  }

  /** Takes zeroed bytes and gives their position. */
  #reserve(byteCount: number): number {
    const at = this.#end
    this.#end += byteCount
    if (this.#end > this.#view.byteLength) {
      const grown = new Uint8Array(Math.max(this.#end, 2 * this.#view.byteLength))
      grown.set(new Uint8Array(this.#view.buffer))
      this.#view = new DataView(grown.buffer)
    }
    return at
  }
}
