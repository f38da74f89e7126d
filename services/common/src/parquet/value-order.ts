/**
 * The order of one column's values for statistics, by position: which of a range is least and
 * greatest, and the bytes that stand for it. One class per type keeps the loops monomorphic.
 */
import { compareBytes } from './byte-order.ts'

/** Positions of the least and the greatest value of a range. */
export interface PageBounds {
  readonly min: number
  readonly max: number
}

export interface ValueOrder {
  /** False where statistics would lie: NaN has no place that all readers agree on. */
  readonly isOrdered: boolean
  /** Below, at or above 0. */
  compare(a: number, b: number): number
  /** Bounds of [from, to), which is not empty. */
  bounds(from: number, to: number): PageBounds
  /** Bounds of the first `count` of some positions, not 0; asked for again and again. */
  boundsAmong(positions: Int32Array, count: number): PageBounds
  /** The PLAIN bytes of a bound, without a length. */
  boundBytes(position: number, isMax: boolean): Uint8Array
}

function boundsAmong(order: ValueOrder, positions: Int32Array, count: number): PageBounds {
  let min = positions[0]!
  let max = min
  for (let index = 1; index < count; index++) {
    const position = positions[index]!
    if (order.compare(position, min) < 0) min = position
    else if (order.compare(position, max) > 0) max = position
  }
  return { min, max }
}

export class Int32Order implements ValueOrder {
  readonly isOrdered = true
  readonly #values: Int32Array

  constructor(values: Int32Array) {
    this.#values = values
  }

  compare(a: number, b: number): number {
    return this.#values[a]! - this.#values[b]!
  }

  bounds(from: number, to: number): PageBounds {
    const values = this.#values
    let min = from
    let max = from
    for (let i = from + 1; i < to; i++) {
      if (values[i]! < values[min]!) min = i
      else if (values[i]! > values[max]!) max = i
    }
    return { min, max }
  }

  boundsAmong(positions: Int32Array, count: number): PageBounds {
    return boundsAmong(this, positions, count)
  }

  boundBytes(position: number): Uint8Array {
    return bytesOf(this.#values, position, 1)
  }
}

export class Int64Order implements ValueOrder {
  readonly isOrdered = true
  readonly #halves: Int32Array

  constructor(halves: Int32Array) {
    this.#halves = halves
  }

  compare(a: number, b: number): number {
    const halves = this.#halves
    const high = halves[2 * a + 1]! - halves[2 * b + 1]!
    return high !== 0 ? high : (halves[2 * a]! >>> 0) - (halves[2 * b]! >>> 0)
  }

  bounds(from: number, to: number): PageBounds {
    return int64Bounds(this.#halves, from, to)
  }

  boundsAmong(positions: Int32Array, count: number): PageBounds {
    return boundsAmong(this, positions, count)
  }

  boundBytes(position: number): Uint8Array {
    return bytesOf(this.#halves, 2 * position, 2)
  }
}

function int64Bounds(halves: Int32Array, from: number, to: number): PageBounds {
  let min = from
  let max = from
  let minLow = halves[2 * from]! >>> 0
  let minHigh = halves[2 * from + 1]!
  let maxLow = minLow
  let maxHigh = minHigh
  for (let i = from + 1; i < to; i++) {
    const low = halves[2 * i]! >>> 0
    const high = halves[2 * i + 1]!
    if (high < minHigh || (high === minHigh && low < minLow)) {
      min = i
      minLow = low
      minHigh = high
    } else if (high > maxHigh || (high === maxHigh && low > maxLow)) {
      max = i
      maxLow = low
      maxHigh = high
    }
  }
  return { min, max }
}

export class DoubleOrder implements ValueOrder {
  readonly isOrdered: boolean
  readonly #values: Float64Array

  constructor(values: Float64Array) {
    this.#values = values
    this.isOrdered = !hasNan(values)
  }

  compare(a: number, b: number): number {
    const left = this.#values[a]!
    const right = this.#values[b]!
    // infinities: their difference would be NaN
    return left < right ? -1 : left > right ? 1 : 0
  }

  bounds(from: number, to: number): PageBounds {
    const values = this.#values
    let min = from
    let max = from
    for (let i = from + 1; i < to; i++) {
      if (values[i]! < values[min]!) min = i
      else if (values[i]! > values[max]!) max = i
    }
    return { min, max }
  }

  boundsAmong(positions: Int32Array, count: number): PageBounds {
    return boundsAmong(this, positions, count)
  }

  /** A zero may stand for both zeros: -0.0 below, +0.0 above (parquet.thrift, ColumnOrder). */
  boundBytes(position: number, isMax: boolean): Uint8Array {
    const value = this.#values[position]!
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setFloat64(0, value === 0 ? (isMax ? 0 : -0) : value, true)
    return bytes
  }
}

function hasNan(values: Float64Array): boolean {
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) return true
  }
  return false
}

export class BooleanOrder implements ValueOrder {
  readonly isOrdered = true
  readonly #values: Uint8Array

  constructor(values: Uint8Array) {
    this.#values = values
  }

  compare(a: number, b: number): number {
    return this.#values[a]! - this.#values[b]!
  }

  bounds(from: number, to: number): PageBounds {
    const firstTrue = this.#values.subarray(0, to).indexOf(1, from)
    const firstFalse = this.#values.subarray(0, to).indexOf(0, from)
    return {
      min: firstFalse >= 0 ? firstFalse : firstTrue,
      max: firstTrue >= 0 ? firstTrue : firstFalse,
    }
  }

  boundsAmong(positions: Int32Array, count: number): PageBounds {
    return boundsAmong(this, positions, count)
  }

  boundBytes(position: number): Uint8Array {
    return this.#values.slice(position, position + 1)
  }
}

export class ByteArrayOrder implements ValueOrder {
  readonly isOrdered = true
  readonly #data: Uint8Array
  readonly #offsets: Int32Array
  /** Per value, six bytes behind what all begin with; made when they are first asked for. */
  #prefixes: Float64Array | undefined

  constructor(data: Uint8Array, offsets: Int32Array) {
    this.#data = data
    this.#offsets = offsets
  }

  compare(a: number, b: number): number {
    const offsets = this.#offsets
    return compareBytes(this.#data, offsets[a]!, offsets[a + 1]!, offsets[b]!, offsets[b + 1]!)
  }

  bounds(from: number, to: number): PageBounds {
    return byteArrayBounds(this.#data, this.#offsets, from, to)
  }

  boundsAmong(positions: Int32Array, count: number): PageBounds {
    const data = this.#data
    const offsets = this.#offsets
    const prefixes = (this.#prefixes ??= prefixesOf(data, offsets))
    let min = positions[0]!
    let max = min
    for (let index = 1; index < count; index++) {
      const position = positions[index]!
      const prefix = prefixes[position]!
      if (prefix < prefixes[min]!) min = position
      else if (prefix > prefixes[max]!) max = position
      else if (prefix === prefixes[min]! && this.compare(position, min) < 0) min = position
      else if (prefix === prefixes[max]! && this.compare(position, max) > 0) max = position
    }
    return { min, max }
  }

  boundBytes(position: number): Uint8Array {
    // not slice: that of a Buffer is a view, which would keep all values and change with them
    return new Uint8Array(this.#data.subarray(this.#offsets[position], this.#offsets[position + 1]))
  }
}

function byteArrayBounds(
  data: Uint8Array,
  offsets: Int32Array,
  from: number,
  to: number,
): PageBounds {
  let min = from
  let max = from
  let minPrefix = prefixAt(data, offsets[from]!, offsets[from + 1]!)
  let maxPrefix = minPrefix
  for (let i = from + 1; i < to; i++) {
    const start = offsets[i]!
    const end = offsets[i + 1]!
    const prefix = prefixAt(data, start, end)
    if (
      prefix < minPrefix ||
      (prefix === minPrefix && compareBytes(data, start, end, offsets[min]!, offsets[min + 1]!) < 0)
    ) {
      min = i
      minPrefix = prefix
    }
    if (
      prefix > maxPrefix ||
      (prefix === maxPrefix && compareBytes(data, start, end, offsets[max]!, offsets[max + 1]!) > 0)
    ) {
      max = i
      maxPrefix = prefix
    }
  }
  return { min, max }
}

function prefixesOf(data: Uint8Array, offsets: Int32Array): Float64Array {
  const count = offsets.length - 1
  const first = offsets[0]!
  let common = offsets[1]! - first
  for (let position = 1; position < count; position++) {
    const start = offsets[position]!
    common = Math.min(common, offsets[position + 1]! - start)
    for (let at = 0; at < common; at++) if (data[first + at] !== data[start + at]) common = at
  }
  const prefixes = new Float64Array(count)
  for (let position = 0; position < count; position++) {
    prefixes[position] = prefixAt(data, offsets[position]! + common, offsets[position + 1]!)
  }
  return prefixes
}

/** Six bytes as one number, filled up with zeros: settles nearly every comparison. */
function prefixAt(data: Uint8Array, start: number, end: number): number {
  if (end - start >= 6) {
    const head = (data[start]! << 16) | (data[start + 1]! << 8) | data[start + 2]!
    const tail = (data[start + 3]! << 16) | (data[start + 4]! << 8) | data[start + 5]!
    return head * 0x1000000 + tail
  }
  let prefix = 0
  for (let i = 0; i < 6; i++) prefix = prefix * 256 + (start + i < end ? data[start + i]! : 0)
  return prefix
}

function bytesOf(values: Int32Array, position: number, words: number): Uint8Array {
  return new Uint8Array(values.slice(position, position + words).buffer)
}
