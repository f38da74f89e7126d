/**
 * Hashes of short byte strings, fixed for ever: `resource_hash` and `series_id` in files are made
 * of them. Two lanes of 32 bits that share no state; contributions of a set's members are added up
 * per lane, so that their order plays no part, and mixed at the end. Not for use against chosen
 * input: what must not collide at all is compared by bytes.
 */

/** The offset basis of 32-bit FNV. */
const FNV_BASIS = 0x811c9dc5 | 0

/** 32-bit FNV-1a with a final mix. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV_BASIS
  for (let index = start; index < end; index++) {
    hash = Math.imul(hash ^ bytes[index]!, 0x01000193)
  }
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b3c6d)
  return hash ^ (hash >>> 12)
}

/** A second lane that shares no state with FNV: multiply and rotate per byte. */
export function hashSecond(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x1b873593
  for (let index = start; index < end; index++) {
    hash = Math.imul(hash + bytes[index]!, 0x9e3779b1 | 0)
    hash = (hash << 13) | (hash >>> 19)
  }
  return hash
}

export function hashText(text: string): number {
  const bytes = Buffer.from(text)
  return hashBytes(bytes, 0, bytes.length)
}

/** Murmur3's finalizer over two words. */
export function mix(first: number, second: number): number {
  let hash = first ^ Math.imul(second, 0x85ebca6b)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
