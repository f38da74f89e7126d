/**
 * Which rows of a batch have a value in one column. While every row so far has one, nothing is
 * stored and value i belongs to row i (`isDense`); from the first gap on, `numbers` holds the row
 * of each value, ascending. Rows after the last value are absent either way. Kept apart from the
 * columns so that the code that touches it sees one shape only.
 */
const CAPACITY_MIN = 16

/** Start of all arrays: a request may bring thousands of columns with a value or two each. */
export const NO_INTS: Int32Array = new Int32Array(0)
export const NO_BYTES: Uint8Array = new Uint8Array(0)
/** Start of all offsets: growing copies it, nothing writes to it. */
export const FIRST_OFFSET: Int32Array = new Int32Array(1)

export class RowNumbers {
  count = 0
  isDense = true
  /** Row of value i, for i < count; meaningless while `isDense`. */
  numbers: Int32Array = NO_INTS

  push(row: number): void {
    const count = this.count
    if (this.isDense) {
      if (row === count) {
        this.count = count + 1
        return
      }
      becomeSparse(this)
    }
    if (count === this.numbers.length) this.numbers = growInt32(this.numbers, count + 1)
    this.numbers[count] = row
    this.count = count + 1
  }

  /** How many values belong to rows below `row`. */
  countBelow(row: number): number {
    if (this.isDense) return Math.min(this.count, row)
    let count = this.count
    while (count > 0 && this.numbers[count - 1]! >= row) count -= 1
    return count
  }

  truncate(count: number): void {
    this.count = count
    if (!this.isDense) this.isDense = count === 0 || this.numbers[count - 1] === count - 1
  }

  rowOf(index: number): number {
    return this.isDense ? index : this.numbers[index]!
  }
}

function becomeSparse(rows: RowNumbers): void {
  const count = rows.count
  if (rows.numbers.length < count) rows.numbers = new Int32Array(Math.max(CAPACITY_MIN, count * 2))
  for (let i = 0; i < count; i++) rows.numbers[i] = i
  rows.isDense = false
}

/** A copy with room for at least `needed` entries: doubling, from a small start. */
export function growInt32(from: Int32Array, needed: number): Int32Array {
  const grown = new Int32Array(Math.max(CAPACITY_MIN, from.length * 2, needed))
  grown.set(from)
  return grown
}

/** The same for bytes. */
export function growBytes(from: Uint8Array, needed: number): Uint8Array {
  const grown = new Uint8Array(Math.max(64, from.length * 2, needed))
  grown.set(from)
  return grown
}
