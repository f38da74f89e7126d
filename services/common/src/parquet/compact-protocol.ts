/**
 * Thrift's compact protocol, writing side: the methods that generated classes call, into one
 * buffer that grows by doubling and is reused. Ints go up to 2^52.
 *
 * Field header: 1 byte (id delta << 4 | type), or type byte and zigzag id where the delta is over
 * 15; ints are zigzag varints; binary is a varint length and the bytes; a struct ends with 0.
 * (Apache Thrift, doc/specs/thrift-compact-protocol.md)
 */
import assert from 'node:assert/strict'

/** Thrift's field types, as generated code passes them, to compact types; -1 is never written. */
const COMPACT_TYPES = [0, -1, 1, 3, 7, -1, 4, -1, 5, -1, 6, 8, 12, 11, 10, 9] as const
const THRIFT_BOOL = 2
const COMPACT_TRUE = 1
const COMPACT_FALSE = 2
const INITIAL_BYTES = 4096
/** Doubled by the zigzag, and less one, it is still exact in a double. */
const INTEGER_MAX = 2 ** 52
const DEPTH_MAX = 32

export class CompactProtocol {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  #at = 0
  #lastId = 0
  readonly #lastIds = new Int32Array(DEPTH_MAX)
  #depth = 0
  /** The id of a boolean field whose header waits for its value, or 0. */
  #booleanId = 0

  reset(): void {
    this.#at = 0
    this.#lastId = 0
    this.#depth = 0
    this.#booleanId = 0
  }

  /** A copy of what was written since `reset`. */
  take(): Uint8Array {
    assert(this.#depth === 0, 'every struct is closed')
    return new Uint8Array(this.#bytes.subarray(0, this.#at))
  }

  writeStructBegin(): void {
    this.#lastIds[this.#depth++] = this.#lastId
    this.#lastId = 0
  }

  writeStructEnd(): void {
    this.#lastId = this.#lastIds[--this.#depth]!
  }

  writeFieldBegin(_name: string, type: number, id: number): void {
    if (type === THRIFT_BOOL) this.#booleanId = id
    else this.#fieldHeader(COMPACT_TYPES[type]!, id)
  }

  writeFieldEnd(): void {
    // nothing stands after a field
  }

  writeFieldStop(): void {
    this.#byte(0)
  }

  writeListBegin(type: number, size: number): void {
    const compact = COMPACT_TYPES[type]!
    if (size < 15) {
      this.#byte((size << 4) | compact)
      return
    }
    this.#byte(0xf0 | compact)
    this.#varint(size)
  }

  writeListEnd(): void {
    // a list has its size in front
  }

  writeBool(value: boolean): void {
    const compact = value ? COMPACT_TRUE : COMPACT_FALSE
    if (this.#booleanId === 0) {
      this.#byte(compact)
      return
    }
    this.#fieldHeader(compact, this.#booleanId)
    this.#booleanId = 0
  }

  writeByte(value: number): void {
    this.#byte(value & 0xff)
  }

  writeI16(value: number): void {
    this.#zigzag(value)
  }

  writeI32(value: number): void {
    this.#zigzag(value)
  }

  writeI64(value: number): void {
    this.#zigzag(value)
  }

  writeString(value: string): void {
    const length = Buffer.byteLength(value)
    this.#varint(length)
    this.#reserve(length)
    this.#at += this.#bytes.write(value, this.#at)
  }

  writeBinary(value: Uint8Array): void {
    this.#varint(value.length)
    this.#reserve(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  #fieldHeader(compact: number, id: number): void {
    const delta = id - this.#lastId
    if (delta > 0 && delta <= 15) {
      this.#byte((delta << 4) | compact)
    } else {
      this.#byte(compact)
      this.#zigzag(id)
    }
    this.#lastId = id
  }

  #zigzag(value: number): void {
    assert(Number.isInteger(value) && Math.abs(value) <= INTEGER_MAX, 'an exact integer')
    // doubled without bit operations: file positions pass 2^31
    this.#varint(value < 0 ? -2 * value - 1 : 2 * value)
  }

  #varint(value: number): void {
    let rest = value
    this.#reserve(10)
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#at++] = rest
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = value
  }

  #reserve(count: number): void {
    const needed = this.#at + count
    if (needed <= this.#bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length))
    grown.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = grown
  }
}
