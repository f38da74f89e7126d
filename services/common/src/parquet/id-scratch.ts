/**
 * One array of ids, reused from column chunk to column chunk: chunks are written one at a time,
 * and arrays of a row group's length allocated per column made a fifth of a flush garbage
 * collection. Whoever takes it owns it until the next take.
 */

/** 4 MiB: eight times the usual row group of 128k rows. */
const RETAINED_IDS_MAX = 1024 * 1024

let scratch = new Int32Array(0)

/** An array of `count` ids with anything in it. */
export function takeIds(count: number): Int32Array {
  if (count > RETAINED_IDS_MAX) return new Int32Array(count)
  if (scratch.length < count) scratch = new Int32Array(Math.max(count, 2 * scratch.length))
  return scratch.subarray(0, count)
}
