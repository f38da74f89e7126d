/**
 * Small protobuf messages by hand: answers, status details, the payloads of the conformance suite.
 * Telemetry itself never takes this way.
 */

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

export function fixed64Field(fieldNumber: number, value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return concatBytes([Uint8Array.from(varint(fieldNumber * 8 + 1)), bytes])
}

export function doubleField(fieldNumber: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(value)
  return concatBytes([Uint8Array.from(varint(fieldNumber * 8 + 1)), bytes])
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

export interface ProtobufField {
  readonly number: number
  /** A number for varints, bytes for everything else (fixed32, fixed64, length-delimited). */
  readonly value: number | Uint8Array
}

/** The fields of a small message; undefined where it is none. Groups are not known. */
export function parseFields(bytes: Uint8Array): ProtobufField[] | undefined {
  const fields: ProtobufField[] = []
  let at = 0
  const readVarint = (): number | undefined => {
    let value = 0
    for (let shift = 1; at < bytes.length && shift < 2 ** 64; shift *= 128) {
      const byte = bytes[at++]!
      value += (byte & 127) * shift
      if (byte < 128) return value
    }
    return undefined
  }
  while (at < bytes.length) {
    const tag = readVarint()
    if (tag === undefined || tag < 8) return undefined
    const wireType = tag % 8
    const length = wireType === 1 ? 8 : wireType === 5 ? 4 : undefined
    if (wireType !== 0 && wireType !== 2 && length === undefined) return undefined
    const value = length ?? readVarint()
    if (value === undefined) return undefined
    const number = Math.floor(tag / 8)
    if (wireType === 0) {
      fields.push({ number, value })
    } else {
      if (at + value > bytes.length) return undefined
      fields.push({ number, value: bytes.subarray(at, at + value) })
      at += value
    }
  }
  return fields
}
