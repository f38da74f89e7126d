/** Values that go to pages without a dictionary: PLAIN, or a delta encoding where it is smaller. */
import type { BloomInput } from './bloom-filter.ts'
import type { ChunkValues } from './chunk-values.ts'
import { writeDeltaInt32, writeDeltaInt64 } from './delta-encoder.ts'
import { takeIds } from './id-scratch.ts'
import type { PageBuffer } from './page-buffer.ts'
import { Encoding } from './thrift.ts'
import {
  BooleanOrder,
  ByteArrayOrder,
  DoubleOrder,
  Int32Order,
  Int64Order,
  type PageBounds,
  type ValueOrder,
} from './value-order.ts'

const PLAIN: readonly Encoding[] = [Encoding.PLAIN]
const DELTA_OR_PLAIN: readonly Encoding[] = [Encoding.DELTA_BINARY_PACKED, Encoding.PLAIN]
const DELTA_LENGTH: readonly Encoding[] = [Encoding.DELTA_LENGTH_BYTE_ARRAY]

abstract class OrderedValues {
  readonly dictionary = undefined
  readonly distinctCount = undefined
  readonly #order: ValueOrder

  constructor(order: ValueOrder) {
    this.#order = order
  }

  get isOrdered(): boolean {
    return this.#order.isOrdered
  }

  bounds(from: number, to: number): PageBounds {
    return this.#order.bounds(from, to)
  }

  compare(a: number, b: number): number {
    return this.#order.compare(a, b)
  }

  boundBytes(position: number, isMax: boolean): Uint8Array {
    return this.#order.boundBytes(position, isMax)
  }
}

export class PlainInt32Values extends OrderedValues implements ChunkValues {
  readonly encodings = DELTA_OR_PLAIN
  readonly #values: Int32Array

  constructor(values: Int32Array) {
    super(new Int32Order(values))
    this.#values = values
  }

  bloomInput(): BloomInput {
    return fixedInput(this.#values)
  }

  encodedBytes(from: number, to: number): number {
    return 4 * (to - from)
  }

  encode(encoding: Encoding, from: number, to: number, page: PageBuffer): void {
    if (encoding === Encoding.PLAIN) appendWords(page, this.#values, from, to)
    else writeDeltaInt32(page, this.#values, from, to)
  }
}

export class PlainInt64Values extends OrderedValues implements ChunkValues {
  readonly encodings = DELTA_OR_PLAIN
  readonly #halves: Int32Array

  constructor(halves: Int32Array) {
    super(new Int64Order(halves))
    this.#halves = halves
  }

  bloomInput(): BloomInput {
    return { ...fixedInput(this.#halves), width: 8, count: this.#halves.length / 2 }
  }

  encodedBytes(from: number, to: number): number {
    return 8 * (to - from)
  }

  encode(encoding: Encoding, from: number, to: number, page: PageBuffer): void {
    if (encoding === Encoding.PLAIN) appendWords(page, this.#halves, 2 * from, 2 * to)
    else writeDeltaInt64(page, this.#halves, from, to)
  }
}

export class PlainDoubleValues extends OrderedValues implements ChunkValues {
  readonly encodings = PLAIN
  readonly #values: Float64Array

  constructor(values: Float64Array) {
    super(new DoubleOrder(values))
    this.#values = values
  }

  bloomInput(): BloomInput {
    return fixedInput(this.#values)
  }

  encodedBytes(from: number, to: number): number {
    return 8 * (to - from)
  }

  encode(_encoding: Encoding, from: number, to: number, page: PageBuffer): void {
    appendWords(page, this.#values, from, to)
  }
}

function fixedInput(values: Int32Array | Float64Array): BloomInput {
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return { data, offsets: undefined, width: values.BYTES_PER_ELEMENT, count: values.length }
}

/** The bytes themselves: a double read and written as a number might lose the payload of a NaN. */
function appendWords(
  page: PageBuffer,
  values: Int32Array | Float64Array,
  from: number,
  to: number,
): void {
  const width = values.BYTES_PER_ELEMENT
  page.append(new Uint8Array(values.buffer, values.byteOffset + from * width, (to - from) * width))
}

export class BooleanValues extends OrderedValues implements ChunkValues {
  readonly encodings = PLAIN
  readonly #values: Uint8Array

  constructor(values: Uint8Array) {
    super(new BooleanOrder(values))
    this.#values = values
  }

  bloomInput(): BloomInput {
    return { data: this.#values, offsets: undefined, width: 1, count: this.#values.length }
  }

  encodedBytes(from: number, to: number): number {
    return (to - from + 7) >>> 3
  }

  encode(_encoding: Encoding, from: number, to: number, page: PageBuffer): void {
    packBits(page, this.#values, from, to)
  }
}

function packBits(page: PageBuffer, values: Uint8Array, from: number, to: number): void {
  let at = page.reserve(((to - from) >>> 3) + 1)
  const { bytes } = page
  let byte = 0
  let bit = 0
  for (let i = from; i < to; i++) {
    byte |= values[i]! << bit
    if (++bit === 8) {
      bytes[at++] = byte
      byte = 0
      bit = 0
    }
  }
  if (bit > 0) bytes[at++] = byte
  page.length = at
}

export class PlainByteArrayValues extends OrderedValues implements ChunkValues {
  readonly encodings: readonly Encoding[]
  readonly #data: Uint8Array
  readonly #offsets: Int32Array
  readonly #count: number

  constructor(data: Uint8Array, offsets: Int32Array, count: number) {
    super(new ByteArrayOrder(data, offsets))
    this.#count = count
    this.#data = data
    this.#offsets = offsets
    // lengths that are all the same cost nothing in delta form; else PLAIN compresses better
    this.encodings = haveOneLength(offsets, count) ? DELTA_LENGTH : PLAIN
  }

  bloomInput(): BloomInput {
    return { data: this.#data, offsets: this.#offsets, width: 0, count: this.#count }
  }

  encodedBytes(from: number, to: number): number {
    return this.#offsets[to]! - this.#offsets[from]! + 4 * (to - from)
  }

  encode(encoding: Encoding, from: number, to: number, page: PageBuffer): void {
    if (encoding === Encoding.PLAIN) appendByteArrays(page, this.#data, this.#offsets, from, to)
    else this.#encodeDeltaLength(from, to, page)
  }

  #encodeDeltaLength(from: number, to: number, page: PageBuffer): void {
    const offsets = this.#offsets
    // no chunk of plain values holds ids
    const lengths = takeIds(to - from)
    for (let i = from; i < to; i++) lengths[i - from] = offsets[i + 1]! - offsets[i]!
    writeDeltaInt32(page, lengths, 0, to - from)
    page.append(this.#data.subarray(offsets[from], offsets[to]))
  }
}

/** Whether all values are as long as the first; false for none. */
export function haveOneLength(offsets: Int32Array, count: number): boolean {
  const length = count > 0 ? offsets[1]! - offsets[0]! : 0
  for (let i = 1; i < count; i++) {
    if (offsets[i + 1]! - offsets[i]! !== length) return false
  }
  return count > 0
}

/** PLAIN byte arrays: a four-byte length before each. */
export function appendByteArrays(
  page: PageBuffer,
  data: Uint8Array,
  offsets: Int32Array,
  from: number,
  to: number,
): void {
  const start = page.reserve(offsets[to]! - offsets[from]! + 4 * (to - from))
  page.length = copyByteArrays(page.bytes, page.view, start, data, offsets, from, to)
}

/** From here on the engine's copy is worth its call and the object that names the range. */
const COPY_CALL_BYTES_MIN = 512

function copyByteArrays(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  data: Uint8Array,
  offsets: Int32Array,
  from: number,
  to: number,
): number {
  const source = new DataView(data.buffer, data.byteOffset, data.byteLength)
  let at = start
  for (let i = from; i < to; i++) {
    const end = offsets[i + 1]!
    let begin = offsets[i]!
    view.setInt32(at, end - begin, true)
    at += 4
    if (end - begin >= COPY_CALL_BYTES_MIN) {
      bytes.set(data.subarray(begin, end), at)
      at += end - begin
      continue
    }
    for (; begin + 4 <= end; begin += 4, at += 4) {
      view.setInt32(at, source.getInt32(begin, true), true)
    }
    for (; begin < end; begin++) bytes[at++] = data[begin]!
  }
  return at
}
