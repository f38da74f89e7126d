/**
 * Unsigned byte order of byte arrays, and bounds cut to a length that statistics can carry.
 * For UTF-8 the unsigned byte order is the order of code points.
 */

/** Below, at or above 0 as a stands before, beside or after b. */
export function compareBytes(
  data: Uint8Array,
  aFrom: number,
  aTo: number,
  bFrom: number,
  bTo: number,
): number {
  const aLength = aTo - aFrom
  const bLength = bTo - bFrom
  const common = aLength < bLength ? aLength : bLength
  for (let i = 0; i < common; i++) {
    const difference = data[aFrom + i]! - data[bFrom + i]!
    if (difference !== 0) return difference
  }
  return aLength - bLength
}

export interface CutBound {
  readonly bytes: Uint8Array
  readonly isExact: boolean
}

/** The longest prefix of at most `bytesMax` bytes (whole code points where `isText`): not above. */
export function cutMin(value: Uint8Array, bytesMax: number, isText: boolean): CutBound {
  if (value.length <= bytesMax) return { bytes: value, isExact: true }
  return { bytes: value.slice(0, cutLength(value, bytesMax, isText)), isExact: false }
}

/**
 * The least byte array of at most `bytesMax` bytes that this can find above all values with the
 * same prefix; undefined where there is none (only 0xFF bytes, or only U+10FFFF).
 */
export function cutMax(value: Uint8Array, bytesMax: number, isText: boolean): CutBound | undefined {
  if (value.length <= bytesMax) return { bytes: value, isExact: true }
  const length = cutLength(value, bytesMax, isText)
  const bytes = isText
    ? incrementText(value.slice(0, length), bytesMax)
    : incrementBytes(value.slice(0, length))
  return bytes === undefined ? undefined : { bytes, isExact: false }
}

function cutLength(value: Uint8Array, bytesMax: number, isText: boolean): number {
  if (!isText) return bytesMax
  let length = bytesMax
  while (length > 0 && isContinuation(value[length]!)) length--
  // four bytes back at most in UTF-8; anything else is no text, and cut where the limit is
  return bytesMax - length > 3 ? bytesMax : length
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

function incrementBytes(prefix: Uint8Array): Uint8Array | undefined {
  for (let last = prefix.length - 1; last >= 0; last--) {
    if (prefix[last] === 0xff) continue
    prefix[last]!++
    return prefix.slice(0, last + 1)
  }
  return undefined
}

/** The last code point that has a successor within `bytesMax` bytes is raised, the rest dropped. */
function incrementText(prefix: Uint8Array, bytesMax: number): Uint8Array | undefined {
  let end = prefix.length
  while (end > 0) {
    let start = end - 1
    while (start > 0 && isContinuation(prefix[start]!)) start--
    const next = nextCodePoint(Buffer.from(prefix.subarray(start, end)).toString('utf8'))
    if (next !== undefined) {
      const tail = Buffer.from(next)
      if (start + tail.length <= bytesMax) {
        return new Uint8Array(Buffer.concat([prefix.subarray(0, start), tail]))
      }
    }
    end = start
  }
  return undefined
}

function nextCodePoint(character: string): string | undefined {
  const code = character.codePointAt(0)!
  // bytes that are no UTF-8 decode to U+FFFD, whose successor might not be above them
  if (code === 0xfffd || code === 0x10ffff) return undefined
  return String.fromCodePoint(code === 0xd7ff ? 0xe000 : code + 1)
}
