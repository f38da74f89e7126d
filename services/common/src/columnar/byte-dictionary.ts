/**
 * Distinct runs of bytes in order of first appearance: an arena with offsets, and an open-addressed
 * table of ids over it that hashes and compares in place. Entries only ever leave from the end
 * (`truncate`), and then the table equals one that never saw them. With `append` alone it serves as
 * a plain list of values. Whoever fills it checks the bytes (UTF-8) before.
 */
import { copyBytes, equalBytes, hashBytes } from './byte-kernels.ts'
import { FIRST_OFFSET, NO_BYTES, NO_INTS, growBytes, growInt32 } from './row-numbers.ts'

/** Past this many steps an entry is stored again unseen: chosen collisions cost linear time. */
const PROBES_MAX = 256
const TABLE_SLOTS_MIN = 16
const NO_VIEW = new DataView(NO_BYTES.buffer)

export class ByteDictionary {
  size = 0
  bytes: Uint8Array = NO_BYTES
  view: DataView = NO_VIEW
  /** Entry i is bytes[offsets[i], offsets[i + 1]). */
  offsets: Int32Array = FIRST_OFFSET
  /** Of every entry: its hash, and the value (or row) that brought it. */
  hashes: Int32Array = NO_INTS
  firstUses: Int32Array = NO_INTS
  /** Entry id + 1 per slot, 0 where free. */
  table: Int32Array = NO_INTS

  get byteLength(): number {
    return this.offsets[this.size]!
  }

  equals(id: number, view: DataView, start: number, end: number): boolean {
    const at = this.offsets[id]!
    const length = end - start
    return this.offsets[id + 1]! - at === length && equalBytes(this.view, at, view, start, length)
  }

  /** The entry equal to [start, end) of `view`, or -1. */
  find(view: DataView, start: number, end: number, hash: number): number {
    const table = this.table
    const mask = table.length - 1
    if (mask < 0) return -1
    let slot = hash & mask
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const id = table[slot]! - 1
      if (id < 0) return -1
      if (this.hashes[id] === hash && this.equals(id, view, start, end)) return id
      slot = (slot + 1) & mask
    }
    return -1
  }

  /** Adds an entry that `find` did not find; `firstUse` tells `truncateUses` when it goes again. */
  add(
    from: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    hash: number,
    firstUse: number,
  ): number {
    const id = this.size
    this.append(from, view, start, end)
    if (id >= this.hashes.length) {
      this.hashes = growInt32(this.hashes, id + 1)
      this.firstUses = growInt32(this.firstUses, id + 1)
    }
    this.hashes[id] = hash
    this.firstUses[id] = firstUse
    if (this.size * 2 > this.table.length) rebuildTable(this)
    else insert(this.table, hash, id)
    return id
  }

  /** Adds a value without looking for it. */
  append(from: Uint8Array, view: DataView, start: number, end: number): void {
    const at = this.offsets[this.size]!
    const next = at + end - start
    if (next > this.bytes.length) growArena(this, next)
    copyBytes(from, view, start, end, this.bytes, this.view, at)
    this.size += 1
    if (this.size >= this.offsets.length) this.offsets = growInt32(this.offsets, this.size + 1)
    this.offsets[this.size] = next
  }

  hash(view: DataView, start: number, end: number): number {
    return hashBytes(view, start, end)
  }

  /** Adds bytes to the end of the last value. */
  extend(from: Uint8Array, view: DataView, start: number, end: number): void {
    const at = this.offsets[this.size]!
    const next = at + end - start
    if (next > this.bytes.length) growArena(this, next)
    copyBytes(from, view, start, end, this.bytes, this.view, at)
    this.offsets[this.size] = next
  }

  /** Removes the last entries of a dictionary, newest first, down to `size`. */
  truncate(size: number): void {
    while (this.size > size) {
      this.size -= 1
      remove(this.table, this.hashes[this.size]!, this.size)
    }
  }

  /** Removes the entries that came with value (or row) `use` or later. */
  truncateUses(use: number): void {
    let size = this.size
    while (size > 0 && this.firstUses[size - 1]! >= use) size -= 1
    this.truncate(size)
  }

  clear(): void {
    this.size = 0
    this.table.fill(0)
  }

  /** Bytes held in the form they take in an Arrow batch. */
  byteSize(): number {
    return this.byteLength + (this.size + 1) * 4
  }

  /** Width of an id in an Arrow stream. */
  idBytes(): 1 | 2 | 4 {
    if (this.size > 0x8000) return 4
    return this.size > 0x80 ? 2 : 1
  }

  /** Bytes of memory reserved, used or not. */
  capacityBytes(): number {
    return this.bytes.length + (this.offsets.length + this.hashes.length * 2) * 4
  }
}

function growArena(dictionary: ByteDictionary, needed: number): void {
  const grown = growBytes(dictionary.bytes, needed)
  dictionary.bytes = grown
  dictionary.view = new DataView(grown.buffer)
}

function insert(table: Int32Array, hash: number, id: number): void {
  const mask = table.length - 1
  let slot = hash & mask
  for (let probe = 0; probe < PROBES_MAX; probe++) {
    if (table[slot] === 0) {
      table[slot] = id + 1
      return
    }
    slot = (slot + 1) & mask
  }
}

/** Entries leave in the reverse order of their coming, so no later one probed past this slot. */
function remove(table: Int32Array, hash: number, id: number): void {
  const mask = table.length - 1
  if (mask < 0) return
  let slot = hash & mask
  for (let probe = 0; probe < PROBES_MAX; probe++) {
    if (table[slot] === id + 1) {
      table[slot] = 0
      return
    }
    slot = (slot + 1) & mask
  }
}

function rebuildTable(dictionary: ByteDictionary): void {
  let slots = Math.max(TABLE_SLOTS_MIN, dictionary.table.length)
  while (slots < dictionary.size * 4) slots *= 2
  const table = new Int32Array(slots)
  for (let id = 0; id < dictionary.size; id++) insert(table, dictionary.hashes[id]!, id)
  dictionary.table = table
}
