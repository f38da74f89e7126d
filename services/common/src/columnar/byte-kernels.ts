/**
 * Comparing, hashing, copying and checking short runs of bytes in place, four at a time. Values of
 * telemetry are 4 to 100 bytes long: below about 128 bytes these loops beat the native calls,
 * which cost 50-100 ns each and need a subarray.
 */
import { isUtf8 } from 'node:buffer'
import { randomBytes } from 'node:crypto'

/** Drawn per process, so that nobody can prepare keys that fall into one slot. */
const SEED = randomBytes(4).readInt32LE(0)
const MULTIPLIER = 0x9e3779b1 | 0
const NATIVE_BYTES_MIN = 128
const SAMPLED_BYTES_MIN = 512
const SAMPLE_BYTES = 96

export function equalBytes(
  left: DataView,
  leftStart: number,
  right: DataView,
  rightStart: number,
  length: number,
): boolean {
  let i = 0
  for (const end = length - 3; i < end; i += 4) {
    if (left.getInt32(leftStart + i, true) !== right.getInt32(rightStart + i, true)) return false
  }
  for (; i < length; i++) {
    if (left.getUint8(leftStart + i) !== right.getUint8(rightStart + i)) return false
  }
  return true
}

/**
 * A 32-bit hash, never equal between processes: for tables in memory only. Of long values only
 * three samples count, since telemetry that is equal in those is mostly equal.
 */
export function hashBytes(view: DataView, start: number, end: number): number {
  if (end - start > SAMPLED_BYTES_MIN) return hashSamples(view, start, end)
  return hashRange(view, start, end, SEED ^ (end - start))
}

function hashSamples(view: DataView, start: number, end: number): number {
  const middle = start + ((end - start) >> 1)
  let hash = hashRange(view, start, start + SAMPLE_BYTES, SEED ^ (end - start))
  hash = hashRange(view, middle, middle + SAMPLE_BYTES, hash)
  return hashRange(view, end - SAMPLE_BYTES, end, hash)
}

function hashRange(view: DataView, start: number, end: number, seed: number): number {
  let hash = seed
  let i = start
  for (const last = end - 3; i < last; i += 4) {
    hash = Math.imul(hash ^ view.getInt32(i, true), MULTIPLIER)
    hash ^= hash >>> 15
  }
  if (i < end) {
    let tail = 0
    if (end - start >= 4) tail = view.getInt32(end - 4, true)
    else for (; i < end; i++) tail = (tail << 8) | view.getUint8(i)
    hash = Math.imul(hash ^ tail, MULTIPLIER)
    hash ^= hash >>> 15
  }
  hash = Math.imul(hash, 0x85ebca6b)
  return hash ^ (hash >>> 13)
}

/** The same, slower and harder to aim at: for tables whose chains have no bound. */
export function hashKey(view: DataView, start: number, end: number): number {
  let hash = SEED ^ (end - start)
  for (let i = start; i < end; i++) {
    hash = Math.imul(hash ^ view.getUint8(i), MULTIPLIER)
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b)
    hash ^= hash >>> 13
  }
  return hash
}

/** Whether [start, end) is valid UTF-8; ASCII is seen without a call. */
export function isValidUtf8(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): boolean {
  if (end - start > NATIVE_BYTES_MIN) return isUtf8(bytes.subarray(start, end))
  let bits = 0
  let i = start
  for (const last = end - 3; i < last; i += 4) bits |= view.getInt32(i, true)
  for (; i < end; i++) bits |= view.getUint8(i)
  return (bits & 0x80808080) === 0 || isUtf8(bytes.subarray(start, end))
}

export function copyBytes(
  from: Uint8Array,
  fromView: DataView,
  start: number,
  end: number,
  to: Uint8Array,
  toView: DataView,
  at: number,
): void {
  if (end - start > NATIVE_BYTES_MIN) {
    to.set(from.subarray(start, end), at)
    return
  }
  let i = start
  let j = at
  for (const last = end - 3; i < last; i += 4, j += 4) {
    toView.setInt32(j, fromView.getInt32(i, true), true)
  }
  for (; i < end; i++, j++) to[j] = from[i]!
}
