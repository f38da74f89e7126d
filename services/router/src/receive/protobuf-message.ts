/** The few protobuf fields that our answers consist of, encoded by hand. */

const encoder = new TextEncoder()

/** A varint field of a non-negative number below 2^53; 0 is left out, as proto3 does. */
export function varintField(fieldNumber: number, value: number): Uint8Array {
  if (value === 0) return new Uint8Array(0)
  return Uint8Array.from([...varint(fieldNumber * 8), ...varint(value)])
}

/** A length-delimited field; an empty one is left out. */
export function bytesField(fieldNumber: number, value: Uint8Array): Uint8Array {
  if (value.length === 0) return new Uint8Array(0)
  return concatBytes([
    Uint8Array.from([...varint(fieldNumber * 8 + 2), ...varint(value.length)]),
    value,
  ])
}

export function stringField(fieldNumber: number, value: string): Uint8Array {
  return bytesField(fieldNumber, encoder.encode(value))
}

/** The fields of a message, in order. */
export function message(...fields: readonly Uint8Array[]): Uint8Array {
  return concatBytes(fields)
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  while (rest > 127) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
  return bytes
}

function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}
