/**
 * A column of strings or binary values. As a dictionary (`isDictionary`) it holds an id per value
 * and the distinct values in `entries`; where most values differ it gives that up and `entries`
 * holds every value in order. The form changes only between requests (`settle`), so that undoing a
 * request never has to change it back; a column that ended plain starts plain in the next batches.
 */
import { hashBytes, isValidUtf8 } from './byte-kernels.ts'
import { ByteDictionary } from './byte-dictionary.ts'
import { RowNumbers, growInt32 } from './row-numbers.ts'

/** A form chosen over fewer values than this is not carried over to the next batch. */
const HINT_VALUES_MIN = 64
/** While filling, a dictionary is given up after this many values when half are distinct. */
const SETTLE_VALUES_MIN = 256
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
  ids: Int32Array = new Int32Array(0)
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
    this.rows.push(row)
    return true
  }

  truncateRows(row: number): void {
    const count = this.rows.countBelow(row)
    if (count === this.rows.count) return
    this.rows.truncate(count)
    if (this.isDictionary) this.entries.truncateUses(count)
    else this.entries.size = count
  }

  /** Between requests: gives up a dictionary in which at least half of many values differ. */
  settle(): void {
    if (this.isDictionary && this.count >= SETTLE_VALUES_MIN) this.#preferPlain()
  }

  /** Before writing: the same for any number of values. */
  finish(): void {
    if (this.isDictionary) this.#preferPlain()
  }

  reset(): void {
    const isHint = this.count >= HINT_VALUES_MIN
    if (isHint && this.isDictionary) this.plainBatches = 0
    else if (isHint && this.mayShare) this.plainBatches = PLAIN_BATCHES_MAX
    else if (this.plainBatches > 0) this.plainBatches -= 1
    this.isDictionary = this.mayShare && this.plainBatches === 0
    this.rows.truncate(0)
    this.entries.clear()
  }

  byteSize(): number {
    const ids = this.isDictionary ? this.count * (this.entries.size > 127 ? 2 : 1) : 0
    return ids + this.entries.byteSize()
  }

  /** Bytes of memory reserved, used or not. */
  capacityBytes(): number {
    return this.entries.capacityBytes() + this.ids.length * 4
  }

  #preferPlain(): void {
    const count = this.count
    const { size } = this.entries
    if (size * 2 <= count) return
    if (size < count) expand(this.entries, this.ids, count)
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
