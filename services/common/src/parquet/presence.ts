/** Bitmaps of what is not null: least significant bit first, as in Arrow. */

export function bitAt(bitmap: Uint8Array, position: number): number {
  return (bitmap[position >>> 3]! >>> (position & 7)) & 1
}

/** Set bits in [from, to). */
export function countBits(bitmap: Uint8Array, from: number, to: number): number {
  if (from >= to) return 0
  const first = from >>> 3
  const last = (to - 1) >>> 3
  const headMask = 0xff << (from & 7)
  const tailMask = 0xff >>> (7 - ((to - 1) & 7))
  if (first === last) return bitsOf(bitmap[first]! & headMask & tailMask)
  let count = bitsOf(bitmap[first]! & headMask & 0xff) + bitsOf(bitmap[last]! & tailMask)
  let index = first + 1
  for (; index + 4 <= last; index += 4) {
    count += bitsOf(
      bitmap[index]! |
        (bitmap[index + 1]! << 8) |
        (bitmap[index + 2]! << 16) |
        (bitmap[index + 3]! << 24),
    )
  }
  for (; index < last; index++) count += bitsOf(bitmap[index]!)
  return count
}

/** Set bits of a 32-bit word (Hacker's Delight, 5-1). */
function bitsOf(word: number): number {
  let rest = word - ((word >>> 1) & 0x55555555)
  rest = (rest & 0x33333333) + ((rest >>> 2) & 0x33333333)
  return Math.imul((rest + (rest >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
