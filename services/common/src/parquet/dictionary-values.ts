/**
 * Values that go to pages as ids of a dictionary page: only entries that are used, numbered in
 * the order in which rows first use them, so that early pages get by with narrow ids.
 */
import type { BloomInput } from './bloom-filter.ts'
import { type ChunkValues, type DictionaryPage } from './chunk-values.ts'
import type { ValueDictionary } from './column-values.ts'
import { bitWidthOf, hybridBytesMax, writeHybrid, writeRun } from './hybrid-encoder.ts'
import { PageBuffer } from './page-buffer.ts'
import { appendByteArrays } from './plain-values.ts'
import type { PhysicalType } from './schema.ts'
import { Encoding } from './thrift.ts'
import {
  ByteArrayOrder,
  DoubleOrder,
  Int32Order,
  Int64Order,
  type PageBounds,
  type ValueOrder,
} from './value-order.ts'

const RLE_DICTIONARY: readonly Encoding[] = [Encoding.RLE_DICTIONARY]

/** A dictionary's used entries in their new order, and how many bytes they are. */
export interface UsedEntries {
  readonly data: Uint8Array
  readonly offsets: Int32Array
  readonly count: number
}

/** Copies the entries `used` of a dictionary, in that order. */
export function takeEntries(
  dictionary: ValueDictionary,
  used: Int32Array,
  count: number,
): UsedEntries {
  const { data, offsets } = dictionary
  const takenOffsets = new Int32Array(count + 1)
  let bytes = 0
  for (let i = 0; i < count; i++) {
    bytes += offsets[used[i]! + 1]! - offsets[used[i]!]!
    takenOffsets[i + 1] = bytes
  }
  const taken = new Uint8Array(bytes)
  for (let i = 0; i < count; i++) {
    const start = offsets[used[i]!]!
    const length = takenOffsets[i + 1]! - takenOffsets[i]!
    const at = takenOffsets[i]!
    if (length >= 512) taken.set(data.subarray(start, start + length), at)
    else for (let j = 0; j < length; j++) taken[at + j] = data[start + j]!
  }
  return { data: taken, offsets: takenOffsets, count }
}

/** `entries.data` must own its buffer from the start: fixed-width entries are read through views. */
function orderOf(physical: PhysicalType, entries: UsedEntries): ValueOrder {
  const { data, offsets } = entries
  switch (physical) {
    case 'INT32':
      return new Int32Order(new Int32Array(data.buffer, data.byteOffset, data.length / 4))
    case 'INT64':
      return new Int64Order(new Int32Array(data.buffer, data.byteOffset, data.length / 4))
    case 'DOUBLE':
      return new DoubleOrder(new Float64Array(data.buffer, data.byteOffset, data.length / 8))
    case 'BYTE_ARRAY':
    case 'BOOLEAN':
      return new ByteArrayOrder(data, offsets)
  }
}

/** The dictionary page of the chunk at hand: chunks are written one at a time. */
const page = new PageBuffer()

function dictionaryPage(physical: PhysicalType, entries: UsedEntries): DictionaryPage {
  if (physical !== 'BYTE_ARRAY') return { bytes: entries.data, entryCount: entries.count }
  page.reset()
  appendByteArrays(page, entries.data, entries.offsets, 0, entries.count)
  return { bytes: page.written(), entryCount: entries.count }
}

abstract class EntryValues {
  readonly dictionary: DictionaryPage
  readonly distinctCount: number
  readonly encodings = RLE_DICTIONARY
  readonly #order: ValueOrder

  readonly #entries: UsedEntries

  constructor(physical: PhysicalType, entries: UsedEntries) {
    this.#entries = entries
    this.dictionary = dictionaryPage(physical, entries)
    this.distinctCount = entries.count
    this.#order = orderOf(physical, entries)
  }

  get isOrdered(): boolean {
    return this.#order.isOrdered
  }

  bloomInput(): BloomInput {
    return { ...this.#entries, width: 0 }
  }

  compare(a: number, b: number): number {
    return this.#order.compare(a, b)
  }

  boundBytes(position: number, isMax: boolean): Uint8Array {
    return this.#order.boundBytes(position, isMax)
  }

  /** Bounds among the first `count` of `ids`. */
  protected boundsOf(ids: Int32Array, count: number): PageBounds {
    return this.#order.boundsAmong(ids, count)
  }
}

/** One id per value. */
export class DictionaryValues extends EntryValues implements ChunkValues {
  readonly #ids: Int32Array
  /** The page (counted from 1) that last saw an entry, and the entries that the page saw. */
  readonly #seenBy: Int32Array
  readonly #seen: Int32Array
  #page = 0

  constructor(physical: PhysicalType, entries: UsedEntries, ids: Int32Array) {
    super(physical, entries)
    this.#ids = ids
    this.#seenBy = new Int32Array(entries.count)
    this.#seen = new Int32Array(entries.count)
  }

  encodedBytes(from: number, to: number): number {
    return Math.ceil(((to - from) * bitWidthOf(Math.max(0, this.distinctCount - 1))) / 8)
  }

  encode(_encoding: Encoding, from: number, to: number, page: PageBuffer): void {
    const bitWidth = bitWidthOf(greatest(this.#ids, from, to))
    page.bytes[page.reserve(1)] = bitWidth
    page.length++
    writeHybrid(page, this.#ids, from, to, bitWidth)
  }

  bounds(from: number, to: number): PageBounds {
    if (this.distinctCount === 1) return { min: 0, max: 0 }
    const count = collectSeen(this.#ids, from, to, this.#seenBy, this.#seen, ++this.#page)
    return this.boundsOf(this.#seen, count)
  }
}

function greatest(ids: Int32Array, from: number, to: number): number {
  let max = 0
  for (let i = from; i < to; i++) if (ids[i]! > max) max = ids[i]!
  return max
}

function collectSeen(
  ids: Int32Array,
  from: number,
  to: number,
  seenBy: Int32Array,
  seen: Int32Array,
  page: number,
): number {
  let count = 0
  for (let i = from; i < to; i++) {
    const id = ids[i]!
    if (seenBy[id] === page) continue
    seenBy[id] = page
    seen[count++] = id
  }
  return count
}

/** Ids that stand still over runs of values; nothing here is done per row. */
export class RunValues extends EntryValues implements ChunkValues {
  readonly #ids: Int32Array
  /** Runs + 1 positions of values. */
  readonly #starts: Int32Array

  constructor(physical: PhysicalType, entries: UsedEntries, ids: Int32Array, starts: Int32Array) {
    super(physical, entries)
    this.#ids = ids
    this.#starts = starts
  }

  encodedBytes(from: number, to: number): number {
    return 4 * (this.#runAt(to) - this.#runAt(from) + 1)
  }

  encode(_encoding: Encoding, from: number, to: number, page: PageBuffer): void {
    const first = this.#runAt(from)
    const last = to > from ? this.#runAt(to - 1) : first - 1
    const bitWidth = bitWidthOf(greatest(this.#ids, first, last + 1))
    let at = page.reserve(1 + (last - first + 1) * hybridBytesMax(8, bitWidth))
    const { bytes } = page
    bytes[at++] = bitWidth
    for (let run = first; run <= last; run++) {
      const id = this.#ids[run]!
      const start = Math.max(from, this.#starts[run]!)
      while (run < last && this.#ids[run + 1] === id) run++
      at = writeRun(bytes, at, Math.min(to, this.#starts[run + 1]!) - start, id, bitWidth)
    }
    page.length = at
  }

  bounds(from: number, to: number): PageBounds {
    const first = this.#runAt(from)
    const count = this.#runAt(to - 1) + 1 - first
    return this.boundsOf(this.#ids.subarray(first, first + count), count)
  }

  /** The run that holds a value. */
  #runAt(position: number): number {
    let low = 0
    let high = this.#ids.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#starts[middle]! <= position) low = middle
      else high = middle - 1
    }
    return low
  }
}
