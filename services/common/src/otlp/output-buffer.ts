/**
 * Bytes that grow at the end: protobuf messages or JSON text under construction.
 *
 * Invariant: bytes[0, length) is what was written; the array behind it doubles, so callers must not
 * keep it across a write. Growth is bounded by what callers write: they bound their input.
 */

const CAPACITY_MIN = 256

export class OutputBuffer {
  bytes: Uint8Array
  /** The same bytes, for writing words. */
  view: DataView
  length = 0

  constructor(capacity = CAPACITY_MIN) {
    this.bytes = unfilled(Math.max(capacity, CAPACITY_MIN))
    this.view = new DataView(this.bytes.buffer)
  }

  /** Makes room for `count` more bytes; must precede every direct store into `bytes`. */
  reserve(count: number): void {
    const needed = this.length + count
    if (needed > this.bytes.length) this.#grow(needed)
  }

  #grow(needed: number): void {
    const grown = unfilled(Math.max(needed, 2 * this.bytes.length))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
    this.view = new DataView(grown.buffer)
  }

  /** A copy of what was written. */
  toBytes(): Uint8Array {
    return this.bytes.slice(0, this.length)
  }

  /** Whether all bytes since `start` are 0: how protobuf writes every default value. */
  isZero(start: number): boolean {
    for (let at = start; at < this.length; at++) if (this.bytes[at] !== 0) return false
    return true
  }

  writeByte(byte: number): void {
    this.reserve(1)
    this.bytes[this.length++] = byte
  }

  /** Appends source[start, end). */
  writeSlice(source: Uint8Array, start: number, end: number): void {
    const count = end - start
    this.reserve(count)
    const { bytes } = this
    let at = this.length
    // a loop beats the call of set() below a few dozen bytes
    if (count <= 32) for (let from = start; from < end; from++) bytes[at++] = source[from]!
    else bytes.set(source.subarray(start, end), at)
    this.length += count
  }

  /** Appends text of code units below 0x80. */
  writeAscii(text: string): void {
    this.reserve(text.length)
    const { bytes } = this
    const at = this.length
    for (let index = 0; index < text.length; index++) bytes[at + index] = text.charCodeAt(index)
    this.length = at + text.length
  }

  /** Appends an unsigned 32-bit varint. */
  writeVarint(value: number): void {
    if (value < 0x80 && value >= 0 && this.length < this.bytes.length) {
      this.bytes[this.length++] = value
      return
    }
    this.reserve(5)
    const { bytes } = this
    let at = this.length
    let rest = value >>> 0
    while (rest >= 0x80) {
      bytes[at++] = rest | 0x80
      rest >>>= 7
    }
    bytes[at++] = rest
    this.length = at
  }

  /** Appends a 64-bit varint of two halves. */
  writeVarint64(low: number, high: number): void {
    if (high === 0) {
      this.writeVarint(low)
      return
    }
    this.reserve(10)
    const { bytes } = this
    let at = this.length
    let lowRest = low >>> 0
    let highRest = high >>> 0
    while (highRest !== 0) {
      bytes[at++] = (lowRest & 0x7f) | 0x80
      lowRest = ((lowRest >>> 7) | (highRest << 25)) >>> 0
      highRest >>>= 7
    }
    this.length = at
    this.writeVarint(lowRest)
  }

  /** Appends 64 bits, little-endian. */
  writeFixed64(low: number, high: number): void {
    this.reserve(8)
    const at = this.length
    this.view.setInt32(at, low, true)
    this.view.setInt32(at + 4, high, true)
    this.length = at + 8
  }

  writeFixed32(value: number): void {
    this.reserve(4)
    this.view.setInt32(this.length, value, true)
    this.length += 4
  }

  /** Leaves `lengthBytes` bytes for a length that closeLength() will know; returns where content starts. */
  openLength(lengthBytes: number): number {
    this.reserve(lengthBytes)
    this.length += lengthBytes
    return this.length
  }

  /**
   * Writes the length of the content since `start` before it, in the shortest varint; the content
   * moves when that needs more or fewer bytes than openLength() left. Returns the varint's bytes,
   * the best guess for the next message of its kind.
   */
  closeLength(start: number, lengthBytes: number): number {
    const contentBytes = this.length - start
    if (contentBytes < 0x80 && lengthBytes === 1) {
      this.bytes[start - 1] = contentBytes
      return 1
    }
    const needed = varintBytes(contentBytes)
    if (needed !== lengthBytes) {
      const shift = needed - lengthBytes
      if (shift > 0) this.reserve(shift)
      this.bytes.copyWithin(start + shift, start, start + contentBytes)
      this.length += shift
    }
    const { bytes } = this
    let at = start - lengthBytes
    let rest = contentBytes
    while (rest >= 0x80) {
      bytes[at++] = rest | 0x80
      rest >>>= 7
    }
    bytes[at] = rest
    return needed
  }
}

function varintBytes(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  return value < 0x1000_0000 ? 4 : 5
}

/** Memory that is not cleared first: nothing behind `length` is ever read. */
function unfilled(byteCount: number): Uint8Array<ArrayBuffer> {
  const { buffer } = Buffer.allocUnsafeSlow(byteCount)
  return new Uint8Array(buffer, 0, byteCount)
}
