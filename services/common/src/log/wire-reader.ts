/**
 * Reads an answer of Kafka's protocol; the counterpart of wire-writer.ts. Lengths are checked against
 * the bytes that are there before anything is made of them; what does not fit throws a RangeError.
 */

/** Elements of an array that an answer may claim: 10 times the partitions of a large topic. */
const ARRAY_LENGTH_MAX = 1_000_000
const TWO_TO_7 = 0x80
const VARINT_BITS_MAX = 35

export class WireReader {
  readonly #buffer: Buffer
  #at: number
  readonly #end: number

  constructor(buffer: Buffer, at = 0, end = buffer.length) {
    this.#buffer = buffer
    this.#at = at
    this.#end = end
  }

  get remaining(): number {
    return this.#end - this.#at
  }

  int8(): number {
    return this.#buffer.readInt8(this.#advance(1))
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#advance(2))
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#advance(4))
  }

  uint32(): number {
    return this.#buffer.readUInt32BE(this.#advance(4))
  }

  int64(): bigint {
    return this.#buffer.readBigInt64BE(this.#advance(8))
  }

  boolean(): boolean {
    return this.int8() !== 0
  }

  unsignedVarint(): number {
    let value = 0
    for (let bits = 0; bits < VARINT_BITS_MAX; bits += 7) {
      const byte = this.#buffer[this.#advance(1)]!
      value += (byte & 0x7f) * 2 ** bits
      if (byte < TWO_TO_7) return value
    }
    throw new RangeError('varint too long')
  }

  /** A signed varint in zigzag form. */
  varint(): number {
    const value = this.unsignedVarint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** A signed varint of up to 64 bits that nobody needs. */
  skipVarlong(): void {
    for (let length = 0; length < 10; length++) {
      if (this.#buffer[this.#advance(1)]! < TWO_TO_7) return
    }
    throw new RangeError('varlong too long')
  }

  /** An id of 16 bytes, as Kafka writes it in text. */
  uuid(): string {
    return this.bytes(16).toString('base64url')
  }

  string(): string | null {
    const length = this.int16()
    return length < 0 ? null : this.bytes(length).toString()
  }

  compactString(): string | null {
    const length = this.unsignedVarint() - 1
    return length < 0 ? null : this.bytes(length).toString()
  }

  /** A view of so many bytes. */
  bytes(length: number): Buffer {
    const start = this.#advance(length)
    return this.#buffer.subarray(start, start + length)
  }

  /** Bytes of a flexible version; null is the same as none. */
  compactBytes(): Buffer {
    return this.bytes(Math.max(0, this.unsignedVarint() - 1))
  }

  array<T>(element: (reader: this) => T): T[] {
    return this.#elements(this.int32(), element)
  }

  compactArray<T>(element: (reader: this) => T): T[] {
    return this.#elements(this.unsignedVarint() - 1, element)
  }

  /** Tagged fields: calls back for each, with a reader of its bytes. */
  tags(field?: (tag: number, reader: WireReader) => void): void {
    for (let left = this.unsignedVarint(); left > 0; left--) {
      const tag = this.unsignedVarint()
      const length = this.unsignedVarint()
      const start = this.#advance(length)
      field?.(tag, new WireReader(this.#buffer, start, start + length))
    }
  }

  #elements<T>(count: number, element: (reader: this) => T): T[] {
    if (count > Math.min(ARRAY_LENGTH_MAX, this.remaining)) throw new RangeError('array too long')
    const elements: T[] = []
    for (let index = 0; index < count; index++) elements.push(element(this))
    return elements
  }

  #advance(bytes: number): number {
    const at = this.#at
    if (bytes < 0 || at + bytes > this.#end) throw new RangeError('the answer ends too early')
    this.#at = at + bytes
    return at
  }
}
