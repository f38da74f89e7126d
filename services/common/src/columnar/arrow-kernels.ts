/**
 * The loops that lay a column out as Arrow wants it: one value per row, from values that stand close
 * together with the rows they belong to (`numbers`, undefined where value i is row i's). Small
 * functions at module level, one call per column. What they skip is zero: the output is fresh.
 */

/** Sets the validity bits of `count` rows: the first ones, or those of `numbers`. */
export function setValidBits(
  numbers: Int32Array | undefined,
  count: number,
  out: Uint8Array,
  at: number,
): void {
  if (numbers === undefined) {
    const fullBytes = count >>> 3
    out.fill(0xff, at, at + fullBytes)
    if ((count & 7) > 0) out[at + fullBytes] = (1 << (count & 7)) - 1
    return
  }
  for (let index = 0; index < count; index++) {
    const row = numbers[index]!
    out[at + (row >>> 3)]! |= 1 << (row & 7)
  }
}

/** Packs values of one byte, 0 or 1, into bits. */
export function packBits(
  values: Uint8Array,
  numbers: Int32Array | undefined,
  count: number,
  out: Uint8Array,
  at: number,
): void {
  for (let index = 0; index < count; index++) {
    const row = numbers === undefined ? index : numbers[index]!
    out[at + (row >>> 3)]! |= values[index]! << (row & 7)
  }
}

export function scatter32(
  values: Int32Array,
  numbers: Int32Array,
  count: number,
  out: Int32Array,
  at: number,
): void {
  for (let index = 0; index < count; index++) out[at + numbers[index]!] = values[index]!
}

export function scatter64(
  values: Int32Array,
  numbers: Int32Array,
  count: number,
  out: Int32Array,
  at: number,
): void {
  for (let index = 0; index < count; index++) {
    const to = at + 2 * numbers[index]!
    out[to] = values[2 * index]!
    out[to + 1] = values[2 * index + 1]!
  }
}

export function scatter128(
  values: Int32Array,
  numbers: Int32Array,
  count: number,
  out: Int32Array,
  at: number,
): void {
  for (let index = 0; index < count; index++) {
    const to = at + 4 * numbers[index]!
    out[to] = values[4 * index]!
    out[to + 1] = values[4 * index + 1]!
    out[to + 2] = values[4 * index + 2]!
    out[to + 3] = values[4 * index + 3]!
  }
}

/** Dictionary ids in 8 bits. */
export function narrowIds8(
  ids: Int32Array,
  numbers: Int32Array | undefined,
  count: number,
  out: Int8Array,
  at: number,
): void {
  if (numbers === undefined) {
    for (let index = 0; index < count; index++) out[at + index] = ids[index]!
  } else {
    for (let index = 0; index < count; index++) out[at + numbers[index]!] = ids[index]!
  }
}

/** Dictionary ids in 16 bits. */
export function narrowIds16(
  ids: Int32Array,
  numbers: Int32Array | undefined,
  count: number,
  out: Int16Array,
  at: number,
): void {
  if (numbers === undefined) {
    for (let index = 0; index < count; index++) out[at + index] = ids[index]!
  } else {
    for (let index = 0; index < count; index++) out[at + numbers[index]!] = ids[index]!
  }
}

/** Offsets of every row from those of the values: rows without one are empty. */
export function spreadOffsets(
  offsets: Int32Array,
  numbers: Int32Array | undefined,
  count: number,
  rowCount: number,
  out: Int32Array,
  at: number,
): void {
  let row = 0
  for (let index = 0; index < count; index++) {
    const valueRow = numbers === undefined ? index : numbers[index]!
    const start = offsets[index]!
    for (; row <= valueRow; row++) out[at + row] = start
  }
  const end = offsets[count]!
  for (; row <= rowCount; row++) out[at + row] = end
}

/** Bounds of every row's items from the rows of the items, which never fall. */
export function boundsOfRows(
  rows: Int32Array,
  count: number,
  rowCount: number,
  out: Int32Array,
  at: number,
): void {
  let row = 0
  for (let index = 0; index < count; index++) {
    const itemRow = rows[index]!
    for (; row <= itemRow; row++) out[at + row] = index
  }
  for (; row <= rowCount; row++) out[at + row] = count
}
