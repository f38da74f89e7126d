/**
 * A small protobuf writer that runs in k6 and in Node: just what OTLP requests need. No private
 * fields: k6 turns them into WeakMaps, and a payload of 1 MB then takes a minute.
 */

/** Grows by doubling; `written` is a view that is valid until the next write. */
export class Writer {
  private bytes: Uint8Array
  length = 0

  constructor(capacity = 1024) {
    this.bytes = new Uint8Array(capacity)
  }

  get written(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  /** A copy that may be kept. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.length)
  }

  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  /** Values up to 2^53. */
  varint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.byte(rest)
  }

  /** A length-delimited field. */
  bytesField(field: number, bytes: Uint8Array): void {
    this.varint(field * 8 + 2)
    this.varint(bytes.length)
    this.raw(bytes)
  }

  textField(field: number, text: string): void {
    this.bytesField(field, utf8(text))
  }

  varintField(field: number, value: number): void {
    this.varint(field * 8)
    this.varint(value)
  }

  /** Nanoseconds, given as milliseconds and the nanoseconds below: a number can't hold both. */
  timeField(field: number, unixMs: number, nanos: number): void {
    this.varint(field * 8 + 1)
    const value = BigInt(unixMs) * 1_000_000n + BigInt(nanos)
    for (let shift = 0n; shift < 64n; shift += 8n) this.byte(Number((value >> shift) & 0xffn))
  }

  doubleField(field: number, value: number): void {
    this.varint(field * 8 + 1)
    const view = new DataView(new ArrayBuffer(8))
    view.setFloat64(0, value, true)
    this.raw(new Uint8Array(view.buffer))
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more))
    grown.set(this.written)
    this.bytes = grown
  }
}

/** k6 has no TextEncoder. What is encoded here is ASCII. */
function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}
