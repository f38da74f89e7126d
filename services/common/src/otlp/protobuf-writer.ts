/** A growing buffer of protobuf fields, for messages that are rewritten; not the hot path. */
import { copyBytes } from '../columnar/byte-kernels.ts'
import { growBytes } from '../columnar/row-numbers.ts'

const NO_BYTES = new Uint8Array(0)
const NO_VIEW = new DataView(NO_BYTES.buffer)
const CAPACITY_MIN = 256

export class ProtobufWriter {
  #bytes: Uint8Array = NO_BYTES
  #view: DataView = NO_VIEW
  #length = 0

  get length(): number {
    return this.#length
  }

  /** What was written, as a view that later writes may overwrite. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** The buffer behind `written`, which starts it; valid until more is written. */
  get buffer(): Uint8Array {
    return this.#bytes
  }

  get view(): DataView {
    return this.#view
  }

  clear(): void {
    this.#length = 0
  }

  /** A copy of what was written. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#grow(this.#length + 1)
    this.#bytes[this.#length++] = value
  }

  raw(bytes: Uint8Array): void {
    const end = this.#length + bytes.length
    if (end > this.#bytes.length) this.#grow(end)
    this.#bytes.set(bytes, this.#length)
    this.#length = end
  }

  /** One byte per character of a text that has none above 255. */
  latin1(text: string): void {
    const stop = this.#length + text.length
    if (stop > this.#bytes.length) this.#grow(stop)
    for (let i = 0; i < text.length; i++) this.#bytes[this.#length + i] = text.charCodeAt(i)
    this.#length = stop
  }

  /** The bytes [start, end) of a buffer with its view, without making a subarray of it. */
  range(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    const stop = this.#length + end - start
    if (stop > this.#bytes.length) this.#grow(stop)
    copyBytes(bytes, view, start, end, this.#bytes, this.#view, this.#length)
    this.#length = stop
  }

  varint(value: number): void {
    let rest = value >>> 0
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    this.byte(rest)
  }

  varint64(lowBits: number, highBits: number): void {
    let low = lowBits >>> 0
    let high = highBits >>> 0
    while (high !== 0 || low >= 0x80) {
      this.byte((low & 0x7f) | 0x80)
      low = ((low >>> 7) | (high << 25)) >>> 0
      high >>>= 7
    }
    this.byte(low)
  }

  fixed32(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.byte((value >>> shift) & 0xff)
  }

  tag(number: number, wireType: number): void {
    this.varint(number * 8 + wireType)
  }

  bytesField(number: number, bytes: Uint8Array): void {
    this.tag(number, 2)
    this.varint(bytes.length)
    this.raw(bytes)
  }

  #grow(needed: number): void {
    this.#bytes = growBytes(this.#bytes, Math.max(CAPACITY_MIN, needed))
    this.#view = new DataView(this.#bytes.buffer)
  }
}
