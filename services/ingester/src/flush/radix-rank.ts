/** Ranks of items by numeric keys: a stable radix sort, no comparator called a million times. */

interface Ranks {
  readonly rankOf: Int32Array
  readonly rankCount: number
}

/** Fewer items than this are sorted by bytes: a table of 65,536 counts would cost more. */
const WIDE_DIGITS_MIN = 4096

/**
 * Ranks 0, 1, 2... of items by their keys, unsigned, the most significant key first; items that
 * agree in all keys share a rank.
 */
export function rankByKeys(count: number, keys: readonly Uint32Array[]): Ranks {
  const bits = count < WIDE_DIGITS_MIN ? 8 : 16
  let order = new Int32Array(count)
  for (let index = 0; index < count; index++) order[index] = index
  let spare = new Int32Array(count)
  for (const key of keys.toReversed()) {
    for (let shift = 0; shift < 32; shift += bits) {
      if (!sortByDigit(key, shift, (1 << bits) - 1, order, spare)) continue
      const sorted = spare
      spare = order
      order = sorted
    }
  }
  const rankOf = new Int32Array(count)
  let rank = -1
  for (let index = 0; index < count; index++) {
    const item = order[index]!
    if (index === 0 || differ(keys, order[index - 1]!, item)) rank++
    rankOf[item] = rank
  }
  return { rankOf, rankCount: rank + 1 }
}

/** Moves `order` to `sorted` by one digit; false, and nothing moved, where all have the same. */
function sortByDigit(
  key: Uint32Array,
  shift: number,
  mask: number,
  order: Int32Array,
  sorted: Int32Array,
): boolean {
  const starts = new Int32Array(mask + 2)
  for (let item = 0; item < key.length; item++) starts[((key[item]! >>> shift) & mask) + 1]! += 1
  if (key.length === 0 || starts[((key[0]! >>> shift) & mask) + 1] === key.length) return false
  for (let digit = 0; digit <= mask; digit++) starts[digit + 1]! += starts[digit]!
  for (let index = 0; index < order.length; index++) {
    const item = order[index]!
    const digit = (key[item]! >>> shift) & mask
    const at = starts[digit]!
    starts[digit] = at + 1
    sorted[at] = item
  }
  return true
}

function differ(keys: readonly Uint32Array[], left: number, right: number): boolean {
  for (const key of keys) if (key[left] !== key[right]) return true
  return false
}
