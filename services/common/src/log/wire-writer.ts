/**
 * Writes a request of Kafka's protocol (kafka.apache.org/protocol): big-endian numbers, strings with
 * their length before them, in flexible versions as compact forms (length + 1 as a varint) with tagged
 * fields behind every structure. Large bytes are taken as they are and never copied.
 */

const INITIAL_BYTES = 256
const TWO_TO_7 = 0x80

export class WireWriter {
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES)
  #length = 0
  /** Finished parts before the buffer. */
  readonly #parts: Buffer[] = []
  #partsBytes = 0

  /** Bytes so far. */
  get bytes(): number {
    return this.#partsBytes + this.#length
  }

  int8(value: number): this {
    this.#length = this.#room(1).writeInt8(value, this.#length)
    return this
  }

  int16(value: number): this {
    this.#length = this.#room(2).writeInt16BE(value, this.#length)
    return this
  }

  int32(value: number): this {
    this.#length = this.#room(4).writeInt32BE(value, this.#length)
    return this
  }

  int64(value: bigint): this {
    this.#length = this.#room(8).writeBigInt64BE(value, this.#length)
    return this
  }

  unsignedVarint(value: number): this {
    const buffer = this.#room(5)
    let rest = value
    while (rest >= TWO_TO_7) {
      buffer[this.#length++] = (rest & 0x7f) | TWO_TO_7
      rest >>>= 7
    }
    buffer[this.#length++] = rest
    return this
  }

  /** An id of 16 bytes, given as Kafka writes it in text. */
  uuid(text: string): this {
    this.#length += Buffer.from(text, 'base64url').copy(this.#room(16), this.#length, 0, 16)
    return this
  }

  /** STRING of versions that are not flexible, or of a header; null is a NULLABLE_STRING. */
  string(text: string | null): this {
    if (text === null) return this.int16(-1)
    const bytes = Buffer.byteLength(text)
    this.int16(bytes)
    return this.#text(text, bytes)
  }

  compactString(text: string): this {
    const bytes = Buffer.byteLength(text)
    this.unsignedVarint(bytes + 1)
    return this.#text(text, bytes)
  }

  /** The length of an ARRAY; its elements follow. */
  arrayLength(count: number): this {
    return this.int32(count)
  }

  compactArrayLength(count: number): this {
    return this.unsignedVarint(count + 1)
  }

  /** No tagged fields: the end of every structure of a flexible version. */
  noTags(): this {
    return this.unsignedVarint(0)
  }

  /** Bytes that must stay as they are until they are sent. */
  shared(bytes: Buffer): this {
    this.#closePart()
    this.#parts.push(bytes)
    this.#partsBytes += bytes.length
    return this
  }

  /** All that was written, in pieces. */
  finish(): readonly Buffer[] {
    this.#closePart()
    return this.#parts
  }

  #text(text: string, bytes: number): this {
    this.#length += this.#room(bytes).write(text, this.#length)
    return this
  }

  #closePart(): void {
    if (this.#length === 0) return
    this.#parts.push(this.#buffer.subarray(0, this.#length))
    this.#partsBytes += this.#length
    this.#buffer = this.#buffer.subarray(this.#length)
    this.#length = 0
  }

  #room(bytes: number): Buffer {
    if (this.#length + bytes > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(INITIAL_BYTES, 2 * (this.#length + bytes)))
      this.#buffer.copy(grown, 0, 0, this.#length)
      this.#buffer = grown
    }
    return this.#buffer
  }
}
