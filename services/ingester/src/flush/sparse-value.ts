/** What an AnyValue message in normal form holds, read from its bytes without a walk over fields. */
import type { AttributeType } from '@tributary/common/schema/column-name'

/** Types by their code; a code fits an array of integers. */
export const SPARSE_TYPES: readonly AttributeType[] = [
  'string',
  'bool',
  'int',
  'double',
  'any',
  'bytes',
]

const TYPE_CODE = { string: 0, bool: 1, int: 2, double: 3, any: 4, bytes: 5 } as const

/** The code of the type of the AnyValue in bytes[start, end). */
export function typeCodeOf(bytes: Uint8Array, start: number, end: number): number {
  switch (start < end ? bytes[start] : 0) {
    case 0x0a:
      return TYPE_CODE.string
    case 0x10:
      return TYPE_CODE.bool
    case 0x18:
      return TYPE_CODE.int
    case 0x21:
      return TYPE_CODE.double
    case 0x3a:
      return TYPE_CODE.bytes
    default:
      return TYPE_CODE.any
  }
}

/** Where the content of a string or bytes value begins: behind its tag and its length. */
export function contentStart(bytes: Uint8Array, start: number): number {
  let at = start + 1
  while (bytes[at]! >= 0x80) at++
  return at + 1
}

/** The halves of a bool, an int or a double; `fixedHalves` is shared and valid until the next call. */
export function readFixed(type: AttributeType, bytes: Uint8Array, start: number): Int32Array {
  if (type === 'double') {
    for (let index = 0; index < 8; index++) fixedBytes[index] = bytes[start + 1 + index]!
    return fixedHalves
  }
  let low = 0
  let high = 0
  let shift = 0
  let at = start + 1
  for (;;) {
    const byte = bytes[at++]!
    const bits = byte & 0x7f
    if (shift < 32) low |= bits << shift
    if (shift >= 28) high |= shift < 32 ? bits >>> (32 - shift) : bits << (shift - 32)
    if (byte < 0x80) break
    shift += 7
  }
  fixedHalves[0] = low
  fixedHalves[1] = high
  return fixedHalves
}

const fixedHalves = new Int32Array(2)
const fixedBytes = new Uint8Array(fixedHalves.buffer)
