/**
 * Memory for the column at hand: what producers gather lives until that column is written, and then
 * the next one takes its place. Fresh arrays instead would be a gigabyte a minute of the system's
 * memory, cleared page by page, in pieces of all sizes that leave its heap in fragments.
 *
 * Invariant: nothing that is taken is used after the next `freeColumnScratch`. What must live longer
 * (dictionaries, orders, picks of a row group) is allocated as usual.
 */

const ALIGNMENT_BYTES = 8
const INITIAL_BYTES = 1024 * 1024
/** A column of a usual row group takes 2 to 8 MiB, one of long texts as much as its row group. */
const RETAINED_BYTES_MAX = 32 * 1024 * 1024

let memory = new ArrayBuffer(0)
let used = 0
/** Bytes that did not fit. */
let missing = 0

/** The place of so many bytes in `memory`, or -1 where they don't fit. */
function placeOf(byteCount: number): number {
  const at = used
  const end = at + byteCount
  if (end > memory.byteLength) {
    missing += byteCount + ALIGNMENT_BYTES
    return -1
  }
  used = Math.ceil(end / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
  return at
}

/** An array with anything in it; so the others, unless they say so. */
export function takeInt32(length: number): Int32Array<ArrayBuffer> {
  const at = placeOf(4 * length)
  return at < 0 ? new Int32Array(length) : new Int32Array(memory, at, length)
}

export function takeZeroedInt32(length: number): Int32Array<ArrayBuffer> {
  return takeInt32(length).fill(0)
}

export function takeUint32(length: number): Uint32Array<ArrayBuffer> {
  const at = placeOf(4 * length)
  return at < 0 ? new Uint32Array(length) : new Uint32Array(memory, at, length)
}

export function takeBytes(length: number): Uint8Array<ArrayBuffer> {
  const at = placeOf(length)
  return at < 0 ? new Uint8Array(length) : new Uint8Array(memory, at, length)
}

export function takeZeroedBytes(length: number): Uint8Array<ArrayBuffer> {
  return takeBytes(length).fill(0)
}

/** Takes back everything that was taken. */
export function freeColumnScratch(): void {
  if (missing > 0) {
    const wanted = Math.min(RETAINED_BYTES_MAX, Math.max(INITIAL_BYTES, used + missing))
    if (wanted > memory.byteLength) memory = new ArrayBuffer(wanted)
  }
  used = 0
  missing = 0
}
