/**
 * One dictionary out of the dictionaries of many batches: open addressing over an arena of bytes,
 * hashed and compared in place. Entries keep their first-seen order (by position in the log), so
 * the result depends on the batches alone.
 */
import type { ColumnView } from '@tributary/common/columnar/batch-view'
import type { TableColumnViews } from './source-table.ts'

export interface UnitedDictionary {
  /**
   * Per batch: united id of each dictionary entry (dictionary-encoded view) or of each row (plain
   * view; -1 where null). Undefined where the batch lacks the column.
   */
  readonly remaps: readonly (Int32Array | undefined)[]
  readonly data: Uint8Array
  readonly offsets: Int32Array
  readonly count: number
}

/** A plain column is given up as a dictionary after this many values when half are distinct. */
const PROBE_VALUES = 256

/** Unites a utf8 or binary column over all batches, whatever its cardinality. */
export function uniteAll(views: TableColumnViews): UnitedDictionary {
  const builder = new DictionaryUnion()
  const remaps = views.map((view) => (view === undefined ? view : builder.addEntries(view)))
  return { remaps, ...builder.finish() }
}

/**
 * Unites a utf8 or binary column over all batches where that pays.
 *
 * @returns undefined where batches hold it plain and its values are mostly distinct: such a column
 *   is written as plain bytes, and a dictionary would cost a hash per value for nothing
 */
export function uniteDictionaries(views: TableColumnViews): UnitedDictionary | undefined {
  const builder = new DictionaryUnion()
  const remaps: (Int32Array | undefined)[] = []
  let plainValues = 0
  let plainDistinct = 0
  for (const view of views) {
    if (view === undefined) {
      remaps.push(undefined)
      continue
    }
    const before = builder.count
    remaps.push(builder.addEntries(view))
    if (view.indices !== undefined) continue
    plainValues += view.length - view.nullCount
    plainDistinct += builder.count - before
    if (plainValues >= PROBE_VALUES && plainDistinct * 2 >= plainValues) return undefined
  }
  return { remaps, ...builder.finish() }
}

class DictionaryUnion {
  #slots = new Int32Array(1024).fill(-1)
  #hashes: Int32Array = new Int32Array(512)
  #offsets: Int32Array = new Int32Array(513)
  #data: Uint8Array = new Uint8Array(16 * 1024)
  count = 0

  addEntries(view: ColumnView): Int32Array {
    const remap = new Int32Array(view.length)
    const offsets = view.offsets!
    const isPlain = view.indices === undefined
    const validity = isPlain ? view.validity : undefined
    for (let entry = 0; entry < view.length; entry++) {
      if (validity !== undefined && (validity[entry >>> 3]! & (1 << (entry & 7))) === 0) {
        remap[entry] = -1
        continue
      }
      remap[entry] = this.#add(view.values, offsets[entry]!, offsets[entry + 1]!)
    }
    return remap
  }

  finish(): { data: Uint8Array; offsets: Int32Array; count: number } {
    const count = this.count
    const offsets = this.#offsets.slice(0, count + 1)
    return { data: this.#data.slice(0, offsets[count]), offsets, count }
  }

  #add(bytes: Uint8Array, start: number, end: number): number {
    const hash = hashBytes(bytes, start, end)
    const mask = this.#slots.length - 1
    let slot = hash & mask
    for (;;) {
      const id = this.#slots[slot]!
      if (id < 0) break
      if (this.#hashes[id] === hash && this.#equals(id, bytes, start, end)) return id
      slot = (slot + 1) & mask
    }
    return this.#insert(slot, hash, bytes, start, end)
  }

  #insert(slot: number, hash: number, bytes: Uint8Array, start: number, end: number): number {
    const id = this.count
    if (id + 1 >= this.#offsets.length) {
      this.#offsets = growInt32(this.#offsets)
      this.#hashes = growInt32(this.#hashes)
    }
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

  #equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
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
    const slots = new Int32Array(this.#slots.length * 2).fill(-1)
    const mask = slots.length - 1
    for (let id = 0; id < this.count; id++) {
      let slot = this.#hashes[id]! & mask
      while (slots[slot]! >= 0) slot = (slot + 1) & mask
      slots[slot] = id
    }
    this.#slots = slots
  }
}

/** 32-bit FNV-1a with a final mix: entries are short, and the table compares bytes anyway. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5 | 0
  for (let index = start; index < end; index++) {
    hash = Math.imul(hash ^ bytes[index]!, 0x01000193)
  }
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b3c6d)
  return hash ^ (hash >>> 12)
}

function growInt32(values: Int32Array): Int32Array {
  const grown = new Int32Array(values.length * 2)
  grown.set(values)
  return grown
}
