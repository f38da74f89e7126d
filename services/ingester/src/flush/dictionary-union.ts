/**
 * Distinct runs of bytes in the order in which they first came: open addressing over an arena of
 * bytes, hashed and compared in place. Starts tiny: a table of sparse keys has hundreds.
 */
import { randomInt } from 'node:crypto'
import { copyBytes, equalBytes } from '@tributary/common/columnar/byte-kernels'

/** Drawn per process: nobody can send values that all fall into one slot. Ids don't depend on it. */
const BASIS = randomInt(2 ** 32) | 0
const NO_BYTES = new Uint8Array(0)

export class DictionaryUnion {
  #slots = new Int32Array(16).fill(-1)
  #hashes: Int32Array = new Int32Array(8)
  #offsets: Int32Array = new Int32Array(9)
  #data: Uint8Array = new Uint8Array(128)
  #dataView = viewOf(this.#data)
  /** Where the last value came from: most come from one buffer after another. */
  #source: Uint8Array = NO_BYTES
  #sourceView = viewOf(NO_BYTES)
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
    const view = this.#viewOfSource(bytes)
    const hash = hashWords(view, start, end)
    const mask = this.#slots.length - 1
    let slot = hash & mask
    for (;;) {
      const id = this.#slots[slot]!
      if (id < 0) break
      if (this.#hashes[id] === hash && this.#isAt(id, view, start, end)) return id
      slot = (slot + 1) & mask
    }
    return this.#insert(slot, hash, bytes, start, end)
  }

  /** Whether an entry equals bytes[start, end). */
  equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    return this.#isAt(id, this.#viewOfSource(bytes), start, end)
  }

  #isAt(id: number, view: DataView, start: number, end: number): boolean {
    const from = this.#offsets[id]!
    const length = end - start
    if (this.#offsets[id + 1]! - from !== length) return false
    return equalBytes(this.#dataView, from, view, start, length)
  }

  #viewOfSource(bytes: Uint8Array): DataView {
    if (bytes !== this.#source) {
      this.#source = bytes
      this.#sourceView = viewOf(bytes)
    }
    return this.#sourceView
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
      this.#dataView = viewOf(grown)
    }
    copyBytes(bytes, this.#sourceView, start, end, this.#data, this.#dataView, at)
    this.#offsets[id + 1] = at + length
    this.#hashes[id] = hash
    this.#slots[slot] = id
    this.count = id + 1
    if (this.count * 2 > this.#slots.length) this.#rehash()
    return id
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

/** Two multiplications a word: chains have no bound here, so it must be hard to aim at. */
function hashWords(view: DataView, start: number, end: number): number {
  let hash = BASIS ^ (end - start)
  let at = start
  for (const last = end - 3; at < last; at += 4) hash = mixWord(hash, view.getInt32(at, true))
  for (; at < end; at++) hash = mixWord(hash, view.getUint8(at))
  return hash
}

function mixWord(hash: number, word: number): number {
  let mixed = Math.imul(hash ^ word, 0x9e3779b1)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b)
  return mixed ^ (mixed >>> 13)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function growInt32(values: Int32Array): Int32Array {
  const grown = new Int32Array(values.length * 2)
  grown.set(values)
  return grown
}
