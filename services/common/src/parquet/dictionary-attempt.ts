/**
 * Tries to number the distinct values of a chunk. Most columns that gain nothing show it within
 * 256 values; the attempt also ends where entries pass the limit, so its tables stay small.
 */
import { compareBytes } from './byte-order.ts'
import { takeIds } from './id-scratch.ts'

/** Values between two looks at how many were distinct. */
const CHECK_EVERY = 256
/** Ints come from small ranges that 256 draws don't show (nanoseconds below the microsecond). */
const WORD_CHECK_EVERY = 2048
/** Ids of 16 bits: more entries than this never paid on telemetry, and readers hold them whole. */
const ENTRIES_MAX = 65_536
const INITIAL_SLOTS = 1024

export interface NumberedValues {
  /** One id per value, in the order of first appearance. */
  readonly ids: Int32Array
  /** The position where each id first appears. */
  readonly firsts: Int32Array
  readonly count: number
}

/** Open addressing; slots hold id + 1. Grows before it is half full. */
class IdTable {
  slots = new Int32Array(INITIAL_SLOTS)
  hashes = new Int32Array(INITIAL_SLOTS / 2)
  firsts = new Int32Array(INITIAL_SLOTS / 2)
  count = 0

  add(slot: number, hash: number, position: number): number {
    const id = this.count++
    this.slots[slot] = id + 1
    this.hashes[id] = hash
    this.firsts[id] = position
    if (this.count === this.hashes.length) this.#grow()
    return id
  }

  #grow(): void {
    const { hashes, firsts } = this
    const slots = new Int32Array(2 * this.slots.length)
    const mask = slots.length - 1
    for (let id = 0; id < this.count; id++) {
      let slot = hashes[id]! & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = id + 1
    }
    this.slots = slots
    this.hashes = new Int32Array(slots.length / 2)
    this.hashes.set(hashes)
    this.firsts = new Int32Array(slots.length / 2)
    this.firsts.set(firsts)
  }
}

/** Murmur3's finalizer: every bit of the hash depends on every bit of the sum. */
function finish(sum: number): number {
  let hash = Math.imul(sum ^ (sum >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

function isHopeless(seen: number, distinct: number): boolean {
  return 2 * distinct > seen || distinct >= ENTRIES_MAX
}

/** Numbers values of one or two 32-bit words; undefined where a dictionary would not pay. */
export function numberWords(
  words: Int32Array,
  wordsPerValue: 1 | 2,
  count: number,
): NumberedValues | undefined {
  const table = new IdTable()
  const ids = takeIds(count)
  for (let from = 0; from < count; from += WORD_CHECK_EVERY) {
    const to = Math.min(from + WORD_CHECK_EVERY, count)
    if (wordsPerValue === 1) numberSingles(table, words, ids, from, to)
    else numberPairs(table, words, ids, from, to)
    if (isHopeless(to, table.count)) return undefined
  }
  return { ids, firsts: table.firsts, count: table.count }
}

function numberSingles(
  table: IdTable,
  words: Int32Array,
  ids: Int32Array,
  from: number,
  to: number,
): void {
  let { slots, firsts } = table
  for (let i = from; i < to; i++) {
    const word = words[i]!
    if (i > 0 && words[i - 1] === word) {
      ids[i] = ids[i - 1]!
      continue
    }
    const hash = finish(word)
    let slot = hash & (slots.length - 1)
    let id = -1
    while (id < 0) {
      const found = slots[slot]! - 1
      if (found < 0) {
        id = table.add(slot, hash, i)
        ;({ slots, firsts } = table)
      } else if (words[firsts[found]!] === word) id = found
      else slot = (slot + 1) & (slots.length - 1)
    }
    ids[i] = id
  }
}

function numberPairs(
  table: IdTable,
  words: Int32Array,
  ids: Int32Array,
  from: number,
  to: number,
): void {
  let { slots, firsts } = table
  for (let i = from; i < to; i++) {
    const low = words[2 * i]!
    const high = words[2 * i + 1]!
    if (i > 0 && words[2 * i - 2] === low && words[2 * i - 1] === high) {
      ids[i] = ids[i - 1]!
      continue
    }
    const hash = finish(low ^ Math.imul(high, 0x9e3779b1))
    let slot = hash & (slots.length - 1)
    let id = -1
    while (id < 0) {
      const found = slots[slot]! - 1
      if (found < 0) {
        id = table.add(slot, hash, i)
        ;({ slots, firsts } = table)
        continue
      }
      const first = 2 * firsts[found]!
      if (words[first] === low && words[first + 1] === high) id = found
      else slot = (slot + 1) & (slots.length - 1)
    }
    ids[i] = id
  }
}

/**
 * Numbers byte arrays; undefined where a dictionary would not pay. A known count of distinct
 * values settles that at once: values that repeat far apart, as traces do over services, look
 * distinct at first.
 */
export function numberByteArrays(
  data: Uint8Array,
  offsets: Int32Array,
  count: number,
  distinct?: number,
): NumberedValues | undefined {
  if (distinct !== undefined && isHopeless(count, distinct)) return undefined
  const table = new IdTable()
  const ids = takeIds(count)
  for (let from = 0; from < count; from += CHECK_EVERY) {
    const to = Math.min(from + CHECK_EVERY, count)
    numberArrays(table, data, offsets, ids, from, to)
    if (distinct === undefined && isHopeless(to, table.count)) return undefined
  }
  return { ids, firsts: table.firsts, count: table.count }
}

function numberArrays(
  table: IdTable,
  data: Uint8Array,
  offsets: Int32Array,
  ids: Int32Array,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) {
    const start = offsets[i]!
    const end = offsets[i + 1]!
    const hash = hashBytes(data, start, end)
    let slot = hash & (table.slots.length - 1)
    let id = -1
    while (id < 0) {
      const found = table.slots[slot]! - 1
      if (found < 0) id = table.add(slot, hash, i)
      else if (table.hashes[found] === hash && isEntry(table, found, data, offsets, start, end)) {
        id = found
      } else slot = (slot + 1) & (table.slots.length - 1)
    }
    ids[i] = id
  }
}

function isEntry(
  table: IdTable,
  id: number,
  data: Uint8Array,
  offsets: Int32Array,
  start: number,
  end: number,
): boolean {
  const first = table.firsts[id]!
  return compareBytes(data, start, end, offsets[first]!, offsets[first + 1]!) === 0
}

function hashBytes(data: Uint8Array, start: number, end: number): number {
  let sum = end - start
  for (let i = start; i < end; i++) sum = Math.imul(sum ^ data[i]!, 0x01000193)
  return finish(sum)
}
