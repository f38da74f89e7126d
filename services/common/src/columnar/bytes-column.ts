/**
 * A column of strings or binary values. As a dictionary (`isDictionary`) it holds an id per value
 * and the distinct values in `entries`; where most values differ it gives that up and `entries`
 * holds every value in order. The form changes only between requests (`settle`), so that undoing a
 * request never has to change it back; a column that ended plain starts plain in the next batches.
 */
import { hashBytes, isValidUtf8 } from './byte-kernels.ts'
import { ByteDictionary } from './byte-dictionary.ts'
import { NO_INTS, RowNumbers, growInt32 } from './row-numbers.ts'

/** A form chosen over fewer values than this is not carried over to the next batch. */
const HINT_VALUES_MIN = 64
/** While filling, a dictionary is given up after this many values when half are distinct. */
const SETTLE_VALUES_MIN = 256
/** Message, schema entry and padding that a dictionary costs in an Arrow stream. */
const DICTIONARY_OVERHEAD_BYTES = 250
/** After so many plain batches a dictionary is tried again. */
const PLAIN_BATCHES_MAX = 15

export type BytesType = 'utf8' | 'binary'

export class BytesColumn {
  readonly kind = 'bytes'
  readonly name: string
  readonly type: BytesType
  /** Whether the column may be a dictionary at all. */
  readonly mayShare: boolean
  readonly rows = new RowNumbers()
  readonly entries = new ByteDictionary()
  isDictionary: boolean
  /** Entry of value i, for i < count, while `isDictionary`. */
  ids: Int32Array = NO_INTS
  /** Bytes of all values, equal ones counted each time. */
  valueBytes = 0
  plainBatches = 0

  constructor(name: string, type: BytesType, mayShare: boolean) {
    this.name = name
    this.type = type
    this.mayShare = mayShare
    this.isDictionary = mayShare
  }

  get count(): number {
    return this.rows.count
  }

  /** Adds a value of `row`; false, and nothing added, when it is a string of invalid UTF-8. */
  append(
    row: number,
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    mustCheck: boolean,
  ): boolean {
    if (!this.isDictionary) {
      if (mustCheck && !isValidUtf8(bytes, view, start, end)) return false
      this.entries.append(bytes, view, start, end)
      this.valueBytes += end - start
      this.rows.push(row)
      return true
    }
    const count = this.rows.count
    if (count === this.ids.length) this.ids = growInt32(this.ids, count + 1)
    let id = count > 0 ? this.ids[count - 1]! : -1
    if (id < 0 || !this.entries.equals(id, view, start, end)) {
      const hash = hashBytes(view, start, end)
      id = this.entries.find(view, start, end, hash)
      if (id < 0) {
        if (mustCheck && !isValidUtf8(bytes, view, start, end)) return false
        id = this.entries.add(bytes, view, start, end, hash, count)
      }
    }
    this.ids[count] = id
    this.valueBytes += end - start
    this.rows.push(row)
    return true
  }

  /** Adds bytes to the value of `row`, which begins with them where it has none; plain columns. */
  extend(row: number, bytes: Uint8Array, view: DataView, start: number, end: number): void {
    const { count } = this.rows
    if (count === 0 || this.rows.rowOf(count - 1) !== row) {
      this.append(row, bytes, view, start, end, false)
      return
    }
    this.entries.extend(bytes, view, start, end)
    this.valueBytes += end - start
  }

  truncateRows(row: number): void {
    const count = this.rows.countBelow(row)
    if (count === this.rows.count) return
    this.valueBytes -= this.#bytesFrom(count)
    this.rows.truncate(count)
    if (this.isDictionary) this.entries.truncateUses(count)
    else this.entries.size = count
  }

  /**
   * Between requests: gives up a dictionary in which more than half of many values differ. Not in
   * a column that most rows lack: plain values take four bytes of offset in every row.
   */
  settle(rowCount: number): void {
    const { count } = this
    if (!this.isDictionary || count < SETTLE_VALUES_MIN || count * 2 < rowCount) return
    if (this.entries.size * 2 > count) this.#becomePlain()
  }

  /** Before writing: takes the smaller form. */
  finish(rowCount: number): void {
    if (this.isDictionary && this.#plainSize(rowCount) <= this.#sharedSize(rowCount)) {
      this.#becomePlain()
    }
  }

  reset(): void {
    const isHint = this.count >= HINT_VALUES_MIN
    if (isHint && this.isDictionary) this.plainBatches = 0
    else if (isHint && this.mayShare) this.plainBatches = PLAIN_BATCHES_MAX
    else if (this.plainBatches > 0) this.plainBatches -= 1
    this.isDictionary = this.mayShare && this.plainBatches === 0
    this.valueBytes = 0
    this.rows.truncate(0)
    this.entries.clear()
  }

  /** Bytes in an Arrow stream of `rowCount` rows, in the smaller form. */
  byteSize(rowCount: number): number {
    const plain = this.#plainSize(rowCount)
    return this.isDictionary ? Math.min(plain, this.#sharedSize(rowCount)) : plain
  }

  /** Bytes of memory reserved, used or not. */
  capacityBytes(): number {
    return this.entries.capacityBytes() + this.ids.length * 4
  }

  #plainSize(rowCount: number): number {
    return this.valueBytes + (rowCount + 1) * 4
  }

  #sharedSize(rowCount: number): number {
    return this.entries.byteSize() + rowCount * this.entries.idBytes() + DICTIONARY_OVERHEAD_BYTES
  }

  /** Bytes of the values from `index` on. */
  #bytesFrom(index: number): number {
    const { offsets, size } = this.entries
    if (!this.isDictionary) return offsets[size]! - offsets[index]!
    let bytes = 0
    for (let i = index; i < this.count; i++) {
      const id = this.ids[i]!
      bytes += offsets[id + 1]! - offsets[id]!
    }
    return bytes
  }

  #becomePlain(): void {
    const count = this.count
    if (this.entries.size < count) expand(this.entries, this.ids, count)
    this.isDictionary = false
  }
}

/** From distinct values to all of them, in order of their rows. */
function expand(entries: ByteDictionary, ids: Int32Array, count: number): void {
  const { bytes, view, offsets } = entries
  let byteCount = 0
  for (let i = 0; i < count; i++) byteCount += offsets[ids[i]! + 1]! - offsets[ids[i]!]!
  entries.clear()
  // by need: a multiple of the capacity would grow without end in a column used again and again
  entries.bytes = new Uint8Array(byteCount)
  entries.view = new DataView(entries.bytes.buffer)
  entries.offsets = new Int32Array(count + 1)
  for (let i = 0; i < count; i++) {
    entries.append(bytes, view, offsets[ids[i]!]!, offsets[ids[i]! + 1]!)
  }
}
