/**
 * Walks the fields of a normalized protobuf message (docs/format/batch.md): the door has checked
 * and shortened everything, and the envelope's CRC guards it since, so a malformed message here is
 * a broken invariant, not an input error.
 */
import assert from 'node:assert/strict'

export class MessageReader {
  readonly bytes: Uint8Array
  /** Number of the current field. */
  field = 0
  /** Low and high half of a varint, fixed32 or fixed64 field. */
  low = 0
  high = 0
  /** Range of a length-delimited field's content. */
  start = 0
  end = 0
  #at: number
  readonly #limit: number

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes
    this.#at = start
    this.#limit = end
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.#at >= this.#limit) return false
    this.#readVarint()
    const tag = this.low
    this.field = tag >>> 3
    switch (tag & 7) {
      case 0:
        this.#readVarint()
        break
      case 1:
        this.low = this.#readUint32()
        this.high = this.#readUint32()
        break
      case 2:
        this.#readVarint()
        this.start = this.#at
        this.end = this.#at + this.low
        this.#at = this.end
        break
      case 5:
        this.low = this.#readUint32()
        this.high = 0
        break
      default:
        assert.fail(`wire type ${String(tag & 7)} in a normalized message`)
    }
    assert(this.#at <= this.#limit, 'a field of a normalized message ends behind it')
    return true
  }

  /** The current field's content as a message. */
  child(): MessageReader {
    return new MessageReader(this.bytes, this.start, this.end)
  }

  /** The current field's content. */
  content(): Uint8Array {
    return this.bytes.subarray(this.start, this.end)
  }

  #readUint32(): number {
    const { bytes } = this
    const at = this.#at
    this.#at = at + 4
    return (
      (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
    )
  }

  #readVarint(): void {
    const { bytes } = this
    let low = 0
    let high = 0
    let shift = 0
    for (;;) {
      const byte = bytes[this.#at++]!
      const part = byte & 0x7f
      if (shift < 28) low |= part << shift
      else if (shift === 28) {
        low |= part << 28
        high |= part >>> 4
      } else high |= part << (shift - 32)
      if (byte < 0x80) break
      shift += 7
      assert(shift < 70, 'a varint of a normalized message is too long')
    }
    this.low = low >>> 0
    this.high = high >>> 0
  }
}
