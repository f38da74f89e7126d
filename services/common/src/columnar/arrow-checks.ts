/** The loops that check a column when it is opened: one small kernel each, so that V8 keeps them. */
import type { DictionaryIndices } from './batch-view.ts'

/** Whether offsets, of which the first is 0, never fall. */
export function offsetsRise(offsets: Int32Array): boolean {
  let signs = 0
  let before = 0
  for (let index = 0; index < offsets.length; index++) {
    const offset = offsets[index]!
    // a step alone could wrap past 2^31 and look like a rise: the offset's own sign shows it
    signs |= (offset - before) | offset
    before = offset
  }
  return signs >= 0
}

/** Whether every id is one of a dictionary with `length` entries. */
export function idsInRange(ids: DictionaryIndices, length: number): boolean {
  if (ids instanceof Int8Array) return ids8InRange(ids, length)
  if (ids instanceof Int16Array) return ids16InRange(ids, length)
  return ids32InRange(ids, length)
}

function ids8InRange(ids: Int8Array, length: number): boolean {
  const last = length - 1
  let signs = 0
  for (let row = 0; row < ids.length; row++) signs |= ids[row]! | (last - ids[row]!)
  return signs >= 0
}

function ids16InRange(ids: Int16Array, length: number): boolean {
  const last = length - 1
  let signs = 0
  for (let row = 0; row < ids.length; row++) signs |= ids[row]! | (last - ids[row]!)
  return signs >= 0
}

function ids32InRange(ids: Int32Array, length: number): boolean {
  const last = length - 1
  let signs = 0
  for (let row = 0; row < ids.length; row++) signs |= ids[row]! | (last - ids[row]!)
  return signs >= 0
}

/** Set bits among the first `bitCount` of a bitmap. */
export function countSetBits(bitmap: Uint8Array, bitCount: number): number {
  const fullBytes = bitCount >>> 3
  let count = 0
  for (let index = 0; index < fullBytes; index++) count += SET_BITS[bitmap[index]!]!
  const rest = bitCount & 7
  if (rest > 0) count += SET_BITS[bitmap[fullBytes]! & ((1 << rest) - 1)]!
  return count
}

const SET_BITS = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0
  for (let rest = byte; rest > 0; rest >>>= 1) count += rest & 1
  return count
})
