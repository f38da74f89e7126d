/**
 * DELTA_BINARY_PACKED (parquet-format, Encodings.md): blocks of 128 deltas in four miniblocks.
 *
 *     header = varint 128 | varint 4 | varint count | zigzag first value
 *     block  = zigzag least delta | 4 bit widths, a byte each | 4 x 32 x (delta - least)
 *
 * 64-bit values are pairs of halves; differences wrap around as the format wants. A block that
 * ends early has zeros behind its last delta, and width 0 for miniblocks without any delta.
 */
import { writeVarint } from './hybrid-encoder.ts'
import type { PageBuffer } from './page-buffer.ts'

const BLOCK = 128
const MINIBLOCKS = 4
const MINIBLOCK = 32
const low = new Int32Array(BLOCK)
const high = new Int32Array(BLOCK)
const widths = new Uint8Array(MINIBLOCKS)

/** An upper bound for `count` values of `valueBytes` bytes. */
export function deltaBytesMax(count: number, valueBytes: number): number {
  return 32 + (Math.ceil(count / BLOCK) + 1) * (14 + BLOCK * valueBytes)
}

function writeHeader(bytes: Uint8Array, start: number, count: number): number {
  let at = writeVarint(bytes, start, BLOCK)
  at = writeVarint(bytes, at, MINIBLOCKS)
  return writeVarint(bytes, at, count)
}

export function writeDeltaInt32(
  page: PageBuffer,
  values: Int32Array,
  from: number,
  to: number,
): void {
  let at = page.reserve(deltaBytesMax(to - from, 4))
  const { bytes, view } = page
  at = writeHeader(bytes, at, to - from)
  const first = to > from ? values[from]! : 0
  at = writeVarint(bytes, at, ((first << 1) ^ (first >> 31)) >>> 0)
  for (let block = from + 1; block < to; block += BLOCK) {
    const count = Math.min(BLOCK, to - block)
    let least = 0x7fffffff
    for (let i = 0; i < count; i++) {
      const delta = (values[block + i]! - values[block + i - 1]!) | 0
      low[i] = delta
      if (delta < least) least = delta
    }
    at = writeVarint(bytes, at, ((least << 1) ^ (least >> 31)) >>> 0)
    at = packInt32Block(bytes, view, at, count, least)
  }
  page.length = at
}

function packInt32Block(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  count: number,
  least: number,
): number {
  let at = start + MINIBLOCKS
  for (let mini = 0; mini < MINIBLOCKS; mini++) {
    const from = mini * MINIBLOCK
    const to = Math.min(from + MINIBLOCK, count)
    let union = 0
    for (let i = from; i < to; i++) {
      const rest = (low[i]! - least) | 0
      low[i] = rest
      union |= rest
    }
    const width = 32 - Math.clz32(union)
    bytes[start + mini] = width
    at = packLow(bytes, view, at, from, to, width)
  }
  return at
}

/** The low halves of [from, to) in `width` <= 32 bits each, filled up to a whole miniblock. */
function packLow(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  from: number,
  to: number,
  width: number,
): number {
  if (width === 0) return start
  const end = start + width * (MINIBLOCK / 8)
  let at = start
  let word = 0
  let bits = 0
  for (let i = from; i < to; i++) {
    const value = low[i]!
    word |= value << bits
    bits += width
    if (bits >= 32) {
      view.setInt32(at, word, true)
      at += 4
      bits -= 32
      word = bits === 0 ? 0 : value >>> (width - bits)
    }
  }
  return fillUp(bytes, at, end, word)
}

function fillUp(bytes: Uint8Array, start: number, end: number, word: number): number {
  let at = start
  let rest = word
  while (at < end) {
    bytes[at++] = rest & 0xff
    rest >>>= 8
  }
  return end
}

export function writeDeltaInt64(
  page: PageBuffer,
  halves: Int32Array,
  from: number,
  to: number,
): void {
  let at = page.reserve(deltaBytesMax(to - from, 8))
  const { bytes, view } = page
  at = writeHeader(bytes, at, to - from)
  at =
    to > from
      ? writeZigzag64(bytes, at, halves[2 * from]!, halves[2 * from + 1]!)
      : writeVarint(bytes, at, 0)
  for (let block = from + 1; block < to; block += BLOCK) {
    const count = Math.min(BLOCK, to - block)
    const least = takeDeltas(halves, block, count)
    const leastLow = low[least]!
    const leastHigh = high[least]!
    at = writeZigzag64(bytes, at, leastLow, leastHigh)
    const wide = subtractLeast(count, leastLow, leastHigh)
    const widthsAt = at
    at += MINIBLOCKS
    for (let mini = 0; mini < MINIBLOCKS; mini++) {
      const start = mini * MINIBLOCK
      const end = Math.min(start + MINIBLOCK, count)
      const width = widths[mini]!
      bytes[widthsAt + mini] = width
      at =
        wide && width > 32
          ? packWide(bytes, view, at, start, end, width)
          : packLow(bytes, view, at, start, end, width)
    }
  }
  page.length = at
}

/** The block's deltas into `low` and `high`; returns the position of the least one. */
function takeDeltas(halves: Int32Array, block: number, count: number): number {
  let previousLow = halves[2 * block - 2]!
  let previousHigh = halves[2 * block - 1]!
  let least = 0
  let leastLow = 0xffffffff
  let leastHigh = 0x7fffffff
  for (let i = 0; i < count; i++) {
    const valueLow = halves[2 * (block + i)]!
    const valueHigh = halves[2 * (block + i) + 1]!
    const borrow = valueLow >>> 0 < previousLow >>> 0 ? 1 : 0
    const deltaLow = (valueLow - previousLow) | 0
    const deltaHigh = (valueHigh - previousHigh - borrow) | 0
    low[i] = deltaLow
    high[i] = deltaHigh
    if (deltaHigh < leastHigh || (deltaHigh === leastHigh && deltaLow >>> 0 < leastLow)) {
      least = i
      leastLow = deltaLow >>> 0
      leastHigh = deltaHigh
    }
    previousLow = valueLow
    previousHigh = valueHigh
  }
  return least
}

/** Leaves delta - least in place and each miniblock's width; true where one is over 32 bits. */
function subtractLeast(count: number, leastLow: number, leastHigh: number): boolean {
  let wide = false
  for (let mini = 0; mini < MINIBLOCKS; mini++) {
    const to = Math.min((mini + 1) * MINIBLOCK, count)
    let unionLow = 0
    let unionHigh = 0
    for (let i = mini * MINIBLOCK; i < to; i++) {
      const borrow = low[i]! >>> 0 < leastLow >>> 0 ? 1 : 0
      const restLow = (low[i]! - leastLow) | 0
      const restHigh = (high[i]! - leastHigh - borrow) | 0
      low[i] = restLow
      high[i] = restHigh
      unionLow |= restLow
      unionHigh |= restHigh
    }
    widths[mini] = unionHigh === 0 ? 32 - Math.clz32(unionLow) : 64 - Math.clz32(unionHigh)
    if (unionHigh !== 0) wide = true
  }
  return wide
}

/** As packLow for widths 33 to 64: the low half, then the rest of the high one. */
function packWide(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  from: number,
  to: number,
  width: number,
): number {
  const end = start + width * (MINIBLOCK / 8)
  const highWidth = width - 32
  let at = start
  let word = 0
  let bits = 0
  for (let i = from; i < to; i++) {
    const valueLow = low[i]!
    view.setInt32(at, word | (valueLow << bits), true)
    at += 4
    // 32 bits went in and 32 out: `bits` of the low half are left over
    word = bits === 0 ? 0 : valueLow >>> (32 - bits)
    const valueHigh = high[i]!
    word |= valueHigh << bits
    bits += highWidth
    if (bits >= 32) {
      view.setInt32(at, word, true)
      at += 4
      bits -= 32
      word = bits === 0 ? 0 : valueHigh >>> (highWidth - bits)
    }
  }
  return fillUp(bytes, at, end, word)
}

function writeZigzag64(
  bytes: Uint8Array,
  start: number,
  valueLow: number,
  valueHigh: number,
): number {
  const sign = valueHigh >> 31
  let restLow = (valueLow << 1) ^ sign
  let restHigh = ((valueHigh << 1) | (valueLow >>> 31)) ^ sign
  let at = start
  while (restHigh !== 0 || restLow >>> 0 > 0x7f) {
    bytes[at++] = (restLow & 0x7f) | 0x80
    restLow = (restLow >>> 7) | (restHigh << 25)
    restHigh >>>= 7
  }
  bytes[at++] = restLow
  return at
}
