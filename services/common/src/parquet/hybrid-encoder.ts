/**
 * The RLE/bit-packed hybrid of levels and dictionary ids (parquet-format, Encodings.md, RLE = 3).
 *
 *     run     = varint(count << 1)       value in ceil(bitWidth / 8) little-endian bytes
 *     literal = varint(groups << 1 | 1)  groups x 8 values of bitWidth bits, least significant first
 *
 * Kernels: plain loops over typed arrays, one call per page. They return the position after the
 * last byte written; the caller reserves `hybridBytesMax`.
 */
import type { PageBuffer } from './page-buffer.ts'

/** Bits for ids 0..maxId. */
export function bitWidthOf(maxId: number): number {
  return 32 - Math.clz32(maxId)
}

/** An upper bound: every group of eight may stand alone, with its header of up to five bytes. */
export function hybridBytesMax(count: number, bitWidth: number): number {
  return (Math.ceil(count / 8) + 1) * (bitWidth + 5 + 4)
}

export function writeVarint(bytes: Uint8Array, start: number, value: number): number {
  let at = start
  let rest = value
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

export function writeRun(
  bytes: Uint8Array,
  start: number,
  count: number,
  value: number,
  bitWidth: number,
): number {
  let at = writeVarint(bytes, start, count << 1)
  let rest = value
  for (let bits = bitWidth; bits > 0; bits -= 8) {
    bytes[at++] = rest & 0xff
    rest >>>= 8
  }
  return at
}

/** The ids of [from, to): groups of eight equal ids become runs, all else literals. */
export function writeHybrid(
  page: PageBuffer,
  ids: Int32Array | Uint8Array,
  from: number,
  to: number,
  bitWidth: number,
): void {
  let at = page.reserve(hybridBytesMax(to - from, bitWidth))
  const { bytes, view } = page
  let literalFrom = from
  let group = from
  while (group + 8 <= to) {
    const value = ids[group]!
    let end = group + 1
    while (end < to && ids[end] === value) end++
    if (end - group < 8) {
      group += 8
      continue
    }
    if (literalFrom < group) at = writeLiterals(bytes, view, at, ids, literalFrom, group, bitWidth)
    at = writeRun(bytes, at, end - group, value, bitWidth)
    literalFrom = end
    group = end
  }
  if (literalFrom < to) at = writeLiterals(bytes, view, at, ids, literalFrom, to, bitWidth)
  page.length = at
}

/** Only the last literal of a page may end within a group: the rest of it is zeros. */
function writeLiterals(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  ids: Int32Array | Uint8Array,
  from: number,
  to: number,
  bitWidth: number,
): number {
  const groups = (to - from + 7) >>> 3
  const first = writeVarint(bytes, start, (groups << 1) | 1)
  let at = first
  let word = 0
  let bits = 0
  for (let i = from; i < to; i++) {
    const id = ids[i]!
    word |= id << bits
    bits += bitWidth
    if (bits >= 32) {
      view.setInt32(at, word, true)
      at += 4
      bits -= 32
      word = bits === 0 ? 0 : id >>> (bitWidth - bits)
    }
  }
  const end = first + groups * bitWidth
  while (at < end) {
    bytes[at++] = word & 0xff
    word >>>= 8
  }
  return end
}

/** Bits [from, to) of a bitmap as levels of width 1: bytes of one value become runs. */
export function writeBitmapHybrid(
  page: PageBuffer,
  bitmap: Uint8Array,
  from: number,
  to: number,
): void {
  const count = to - from
  let at = page.reserve(hybridBytesMax(count, 1))
  const { bytes } = page
  const bits = bitsBetween(bitmap, from, to)
  const whole = count >>> 3
  let literalFrom = 0
  let group = 0
  while (group < whole) {
    const value = bits[group]!
    let end = group + 1
    if (value === 0 || value === 0xff) {
      while (end < whole && bits[end] === value) end++
      // a run of under four bytes costs what the literal does
      if (end - group >= 4 || (group === 0 && end === bits.length)) {
        at = writeBitmapLiterals(bytes, at, bits, literalFrom, group)
        at = writeRun(bytes, at, 8 * (end - group), value & 1, 1)
        literalFrom = end
      }
    }
    group = end
  }
  page.length = writeBitmapLiterals(bytes, at, bits, literalFrom, bits.length)
}

function writeBitmapLiterals(
  bytes: Uint8Array,
  start: number,
  bits: Uint8Array,
  from: number,
  to: number,
): number {
  if (from >= to) return start
  let at = writeVarint(bytes, start, ((to - from) << 1) | 1)
  for (let group = from; group < to; group++) bytes[at++] = bits[group]!
  return at
}

/** Bits [from, to) from the first bit of a byte on, the last byte filled up with zeros. */
function bitsBetween(bitmap: Uint8Array, from: number, to: number): Uint8Array {
  const first = from >>> 3
  const shift = from & 7
  const groups = (to - from + 7) >>> 3
  if (shift === 0 && (to & 7) === 0) return bitmap.subarray(first, first + groups)
  const bits = new Uint8Array(groups)
  for (let group = 0; group < groups; group++) {
    // past the end of the bitmap there is undefined, which shifts to 0
    bits[group] = (bitmap[first + group]! >>> shift) | (bitmap[first + group + 1]! << (8 - shift))
  }
  const valid = (to - from) & 7
  if (valid !== 0) bits[groups - 1]! &= (1 << valid) - 1
  return bits
}
