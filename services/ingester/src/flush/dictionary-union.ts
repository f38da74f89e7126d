/**
 * Distinct runs of bytes in the order in which they first came: open addressing over an arena of
 * bytes, hashed and compared in place. Starts tiny: a table of sparse keys has hundreds.
 */
import { randomInt } from 'node:crypto'
import { hashBytes } from './content-hash.ts'

/** Drawn per process: nobody can send values that all fall into one slot. Ids don't depend on it. */
const BASIS = randomInt(2 ** 32) | 0

export class DictionaryUnion {
  #slots = new Int32Array(16).fill(-1)
  #hashes: Int32Array = new Int32Array(8)
  #offsets: Int32Array = new Int32Array(9)
  #data: Uint8Array = new Uint8Array(128)
  count = 0

  /** The bytes of an entry, in an arena that the next entry may replace. */
  entry(id: number): Uint8Array {
    return this.#data.subarray(this.#offsets[id], this.#offsets[id + 1])
  }

  finish(): { data: Uint8Array; offsets: Int32Array; count: number } {
    const count = this.count
    const offsets = this.#offsets.slice(0, count + 1)
    return { data: this.#data.slice(0, offsets[count]), offsets, count }
  }

  /** The id of bytes[start, end), which it takes in where it does not know them. */
  add(bytes: Uint8Array, start: number, end: number): number {
    const hash = hashBytes(bytes, start, end, BASIS)
    const mask = this.#slots.length - 1
    let slot = hash & mask
    for (;;) {
      const id = this.#slots[slot]!
      if (id < 0) break
      if (this.#hashes[id] === hash && this.equals(id, bytes, start, end)) return id
      slot = (slot + 1) & mask
    }
    return this.#insert(slot, hash, bytes, start, end)
  }

  #insert(slot: number, hash: number, bytes: Uint8Array, start: number, end: number): number {
    const id = this.count
    if (id + 1 >= this.#offsets.length) this.#offsets = growInt32(this.#offsets)
    if (id >= this.#hashes.length) this.#hashes = growInt32(this.#hashes)
    const at = this.#offsets[id]!
    const length = end - start
    if (at + length > this.#data.length) {
      const grown = new Uint8Array(Math.max(this.#data.length * 2, at + length))
      grown.set(this.#data)
      this.#data = grown
    }
    const data = this.#data
    for (let index = 0; index < length; index++) data[at + index] = bytes[start + index]!
    this.#offsets[id + 1] = at + length
    this.#hashes[id] = hash
    this.#slots[slot] = id
    this.count = id + 1
    if (this.count * 2 > this.#slots.length) this.#rehash()
    return id
  }

  /** Whether an entry equals bytes[start, end). */
  equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const from = this.#offsets[id]!
    const length = end - start
    if (this.#offsets[id + 1]! - from !== length) return false
    const data = this.#data
    for (let index = 0; index < length; index++) {
      if (data[from + index] !== bytes[start + index]) return false
    }
    return true
  }

  #rehash(): void {
    const slots = new Int32Array(this.#slots.length * 4).fill(-1)
    const mask = slots.length - 1
    for (let id = 0; id < this.count; id++) {
      let slot = this.#hashes[id]! & mask
      while (slots[slot]! >= 0) slot = (slot + 1) & mask
      slots[slot] = id
    }
    this.#slots = slots
  }
}

function growInt32(values: Int32Array): Int32Array {
  const grown = new Int32Array(values.length * 2)
  grown.set(values)
  return grown
}
