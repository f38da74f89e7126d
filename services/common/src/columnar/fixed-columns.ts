/**
 * Columns whose values have a fixed width, one class per width so that each stays monomorphic.
 * 64-bit values are pairs of 32-bit halves, low half first: the same bytes as a little-endian
 * 64-bit value, without a BigInt, and NaN payloads survive. All arrays hold `count` values and
 * room; `rows` says which rows they belong to.
 */
import { FIRST_OFFSET, NO_BYTES, NO_INTS, RowNumbers, growBytes, growInt32 } from './row-numbers.ts'

export type Fixed64Type = 'uint64' | 'int64' | 'float64'
export type Fixed32Type = 'int32' | 'uint32'
export type FixedBytesType = 'fixed16' | 'fixed8'
export type ListType = 'list_float64' | 'list_uint64'

export class Fixed64Column {
  readonly kind = 'fixed64'
  readonly name: string
  readonly type: Fixed64Type
  readonly rows = new RowNumbers()
  /** Two entries per value: low half, high half. */
  values: Int32Array = NO_INTS

  constructor(name: string, type: Fixed64Type) {
    this.name = name
    this.type = type
  }

  get count(): number {
    return this.rows.count
  }

  append(row: number, low: number, high: number): void {
    const at = this.rows.count * 2
    if (at === this.values.length) this.values = growInt32(this.values, at + 2)
    this.values[at] = low
    this.values[at + 1] = high
    this.rows.push(row)
  }

  truncateRows(row: number): void {
    this.rows.truncate(this.rows.countBelow(row))
  }

  reset(): void {
    this.rows.truncate(0)
  }

  /** Bytes in an Arrow stream of `rowCount` rows, absent values included; so the others below. */
  byteSize(rowCount: number): number {
    return rowCount * 8
  }
}

export class Fixed32Column {
  readonly kind = 'fixed32'
  readonly name: string
  readonly type: Fixed32Type
  readonly rows = new RowNumbers()
  /** One entry per value; the bits of a uint32 stand in a signed entry. */
  values: Int32Array = NO_INTS

  constructor(name: string, type: Fixed32Type) {
    this.name = name
    this.type = type
  }

  get count(): number {
    return this.rows.count
  }

  append(row: number, value: number): void {
    const at = this.rows.count
    if (at === this.values.length) this.values = growInt32(this.values, at + 1)
    this.values[at] = value
    this.rows.push(row)
  }

  truncateRows(row: number): void {
    this.rows.truncate(this.rows.countBelow(row))
  }

  reset(): void {
    this.rows.truncate(0)
  }

  byteSize(rowCount: number): number {
    return rowCount * 4
  }
}

export class BoolColumn {
  readonly kind = 'bool'
  readonly name: string
  readonly type = 'bool'
  readonly rows = new RowNumbers()
  /** One byte per value, 0 or 1. */
  values: Uint8Array = NO_BYTES

  constructor(name: string) {
    this.name = name
  }

  get count(): number {
    return this.rows.count
  }

  append(row: number, value: 0 | 1): void {
    const at = this.rows.count
    if (at === this.values.length) this.values = growBytes(this.values, at + 1)
    this.values[at] = value
    this.rows.push(row)
  }

  truncateRows(row: number): void {
    this.rows.truncate(this.rows.countBelow(row))
  }

  reset(): void {
    this.rows.truncate(0)
  }

  byteSize(rowCount: number): number {
    return (rowCount + 7) >> 3
  }
}

export class FixedBytesColumn {
  readonly kind = 'fixed_bytes'
  readonly name: string
  readonly type: FixedBytesType
  /** Bytes of a value: 16 or 8. */
  readonly width: number
  readonly rows = new RowNumbers()
  /** width / 4 entries per value, in the order of its bytes. */
  values: Int32Array = NO_INTS

  constructor(name: string, type: FixedBytesType) {
    this.name = name
    this.type = type
    this.width = type === 'fixed16' ? 16 : 8
  }

  get count(): number {
    return this.rows.count
  }

  /** Adds the `width` bytes of `view` from `start`. */
  append(row: number, view: DataView, start: number): void {
    const words = this.width >> 2
    let at = this.rows.count * words
    if (at + words > this.values.length) this.values = growInt32(this.values, at + words)
    for (let i = 0; i < words; i++) {
      this.values[at] = view.getInt32(start + i * 4, true)
      at += 1
    }
    this.rows.push(row)
  }

  truncateRows(row: number): void {
    this.rows.truncate(this.rows.countBelow(row))
  }

  reset(): void {
    this.rows.truncate(0)
  }

  byteSize(rowCount: number): number {
    return rowCount * this.width
  }
}

export class ListColumn {
  readonly kind = 'list'
  readonly name: string
  readonly type: ListType
  readonly rows = new RowNumbers()
  /** Child values of value i: [offsets[i], offsets[i + 1]), each two entries of `values`. */
  offsets: Int32Array = FIRST_OFFSET
  values: Int32Array = NO_INTS

  constructor(name: string, type: ListType) {
    this.name = name
    this.type = type
  }

  get count(): number {
    return this.rows.count
  }

  /** Adds one child value to the list that the next `append` closes. */
  push(index: number, low: number, high: number): void {
    const at = (this.offsets[this.rows.count]! + index) * 2
    if (at === this.values.length) this.values = growInt32(this.values, at + 2)
    this.values[at] = low
    this.values[at + 1] = high
  }

  /** Closes a list of `length` pushed child values, at least one. */
  append(row: number, length: number): void {
    const count = this.rows.count
    if (count + 1 === this.offsets.length) this.offsets = growInt32(this.offsets, count + 2)
    this.offsets[count + 1] = this.offsets[count]! + length
    this.rows.push(row)
  }

  truncateRows(row: number): void {
    this.rows.truncate(this.rows.countBelow(row))
  }

  reset(): void {
    this.rows.truncate(0)
  }

  byteSize(rowCount: number): number {
    return this.offsets[this.count]! * 8 + (rowCount + 1) * 4
  }
}
