/**
 * OTLP messages as plain objects that lose nothing, with a protobuf encoder and decoder of their
 * own: independent of the product's decoder and able to say what protobufjs can't (raw string
 * bytes, NaN payloads, legal but odd encodings).
 *
 * Members have the lowerCamelCase names of OTLP/JSON. A string is text, or a Uint8Array where its
 * bytes are not UTF-8; bytes are a Uint8Array; integers of 64 bits are a bigint, a double is a
 * bigint of its IEEE 754 bits; enums and integers of 32 bits are numbers; a repeated field is an
 * array. A field that was not sent has no member.
 */
import type { Field, Type } from 'protobufjs'

import type { SeededRandom } from './seeded-random.ts'

export type ModelValue =
  string | Uint8Array | bigint | number | boolean | Model | readonly ModelValue[]

export interface Model {
  [member: string]: ModelValue
}

/** Which odd but legal forms an encoding may take; none by default. */
export interface OddEncoding {
  readonly random: SeededRandom
  /** Sends a singular message in two parts, which decoders must merge. */
  readonly splitsMessages?: boolean
}

const WIRE_TYPES: Readonly<Record<string, number>> = {
  double: 1,
  fixed64: 1,
  sfixed64: 1,
  fixed32: 5,
  string: 2,
  bytes: 2,
}

const doubleView = new DataView(new ArrayBuffer(8))

/** The bits of a double, as models hold them. */
export function doubleBits(value: number): bigint {
  doubleView.setFloat64(0, value)
  return doubleView.getBigUint64(0)
}

/** The double of its bits; a NaN may lose its payload. */
export function doubleOfBits(bits: bigint): number {
  doubleView.setBigUint64(0, bits)
  return doubleView.getFloat64(0)
}

/** Whether a field holds a message. */
export function messageTypeOf(field: Field): Type | undefined {
  const { resolvedType } = field
  return resolvedType !== null && 'fieldsArray' in resolvedType ? resolvedType : undefined
}

function wireTypeOf(field: Field): number {
  if (messageTypeOf(field) !== undefined) return 2
  return WIRE_TYPES[field.type] ?? 0
}

function varint(value: bigint, paddingBytes = 0): number[] {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, value)
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  for (let count = 0; count < paddingBytes && bytes.length < 10; count++) {
    bytes[bytes.length - 1]! |= 0x80
    bytes.push(0)
  }
  return bytes
}

function fixed(value: bigint, byteCount: number): number[] {
  return Array.from({ length: byteCount }, (_, index) =>
    Number((value >> BigInt(8 * index)) & 0xffn),
  )
}

function scalarBytes(field: Field, value: ModelValue, odd: OddEncoding | undefined): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value)
  if (value instanceof Uint8Array) return value
  const padding = odd?.random.chance(0.02) === true ? 1 + odd.random.below(3) : 0
  if (typeof value === 'boolean') return Uint8Array.from(varint(value ? 1n : 0n, padding))
  const integer = typeof value === 'bigint' ? value : BigInt(value as number)
  switch (field.type) {
    case 'double':
    case 'fixed64':
    case 'sfixed64':
      return Uint8Array.from(fixed(BigInt.asUintN(64, integer), 8))
    case 'fixed32':
      return Uint8Array.from(fixed(integer, 4))
    case 'sint32':
      return Uint8Array.from(
        varint(BigInt.asUintN(32, (integer << 1n) ^ (integer >> 31n)), padding),
      )
    default:
      return Uint8Array.from(varint(integer, padding))
  }
}

function tagged(field: Field, wireType: number, content: Uint8Array): Uint8Array {
  const tag = Uint8Array.from(varint(BigInt((field.id << 3) | wireType)))
  if (wireType !== 2) return Buffer.concat([tag, content])
  return Buffer.concat([tag, Uint8Array.from(varint(BigInt(content.length))), content])
}

/** Every field's encoded occurrences, in the order that has to be kept within a field. */
function occurrences(field: Field, value: ModelValue, odd: OddEncoding | undefined): Uint8Array[] {
  const messageType = messageTypeOf(field)
  const wireType = wireTypeOf(field)
  if (!field.repeated) {
    if (messageType === undefined) {
      const bytes = tagged(field, wireType, scalarBytes(field, value, odd))
      // a scalar may be sent twice; the last one counts
      const isTwice = odd?.random.chance(0.01) === true && wireType === 1
      return isTwice ? [tagged(field, 1, odd.random.bytes(8)), bytes] : [bytes]
    }
    return splitParts(value as Model, messageType, odd).map((part) =>
      tagged(field, 2, encodeModel(messageType, part, odd)),
    )
  }
  const elements = value as readonly ModelValue[]
  if (messageType !== undefined) {
    return elements.map((each) => tagged(field, 2, encodeModel(messageType, each as Model, odd)))
  }
  if (wireType === 2) return elements.map((each) => tagged(field, 2, scalarBytes(field, each, odd)))
  const encoded = elements.map((each) => scalarBytes(field, each, odd))
  if (odd?.random.chance(0.1) === true) return encoded.map((each) => tagged(field, wireType, each))
  if (odd?.random.chance(0.1) === true) {
    const middle = odd.random.below(encoded.length + 1)
    return [encoded.slice(0, middle), encoded.slice(middle)].map((part) =>
      tagged(field, 2, Buffer.concat(part)),
    )
  }
  return encoded.length === 0 ? [] : [tagged(field, 2, Buffer.concat(encoded))]
}

function splitParts(message: Model, type: Type, odd: OddEncoding | undefined): Model[] {
  const members = Object.keys(message)
  if (odd?.splitsMessages !== true || !odd.random.chance(0.1)) return [message]
  if (members.length < 2 && type.name !== 'AnyValue') return [message, {}]
  const first = members.filter(() => odd.random.chance(0.5))
  const partOf = (names: readonly string[]): Model =>
    Object.fromEntries(names.map((name) => [name, message[name]!]))
  return [partOf(first), partOf(members.filter((name) => !first.includes(name)))]
}

/** An unknown field that decoders must skip: a varint, fixed, bytes or a group. */
function unknownField(random: SeededRandom): Uint8Array {
  const id = 900 + random.below(50)
  const tag = (wireType: number): number[] => varint(BigInt((id << 3) | wireType))
  switch (random.below(5)) {
    case 0:
      return Uint8Array.from([...tag(0), ...varint(random.uint64())])
    case 1:
      return Uint8Array.from([...tag(1), ...random.bytes(8)])
    case 2:
      return Uint8Array.from([...tag(5), ...random.bytes(4)])
    case 3: {
      const content = random.bytes(random.below(20))
      return Uint8Array.from([...tag(2), ...varint(BigInt(content.length)), ...content])
    }
    default:
      return Uint8Array.from([...tag(3), 0x08, 0x01, 0x13, 0x0a, 0x01, 0x41, 0x14, ...tag(4)])
  }
}

/** Protobuf bytes of a model; in field order, or in the odd forms that `odd` chooses. */
export function encodeModel(type: Type, model: Model, odd?: OddEncoding): Uint8Array {
  const fields = type.fieldsArray.filter((field) => model[field.name] !== undefined)
  fields.sort((left, right) => left.id - right.id)
  const queues = fields.map((field) => occurrences(field, model[field.name]!, odd))
  if (odd === undefined || !odd.random.chance(0.15)) return Buffer.concat(queues.flat())
  const { random } = odd
  const parts: Uint8Array[] = []
  // fields interleave freely; what one field sent stays in order
  let open = queues.filter((queue) => queue.length > 0)
  while (open.length > 0) {
    parts.push(random.pick(open).shift()!)
    if (random.chance(0.1)) parts.push(unknownField(random))
    open = open.filter((queue) => queue.length > 0)
  }
  return Buffer.concat(parts)
}

class WireReader {
  readonly bytes: Uint8Array
  at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get isDone(): boolean {
    return this.at >= this.bytes.length
  }

  varint(): bigint {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes[this.at++]
      if (byte === undefined || shift > 63n) throw new Error('truncated or long varint')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
  }

  take(count: number): Uint8Array {
    if (this.at + count > this.bytes.length) throw new Error('a field ends behind its message')
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  fixed(byteCount: number): bigint {
    return this.take(byteCount).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)
  }

  content(): Uint8Array {
    return this.take(Number(this.varint()))
  }

  skip(wireType: number): void {
    if (wireType === 0) this.varint()
    else if (wireType === 1) this.take(8)
    else if (wireType === 5) this.take(4)
    else if (wireType === 2) this.content()
    else if (wireType === 3) {
      for (;;) {
        const tag = Number(this.varint())
        if ((tag & 7) === 4) return
        this.skip(tag & 7)
      }
    } else throw new Error(`wire type ${wireType}`)
  }
}

function readScalar(field: Field, reader: WireReader): ModelValue {
  switch (field.type) {
    case 'string': {
      const bytes = reader.content()
      const text = Buffer.from(bytes).toString('utf8')
      return Buffer.from(text).equals(bytes) ? text : bytes
    }
    case 'bytes':
      return reader.content()
    case 'bool':
      return reader.varint() !== 0n
    case 'double':
    case 'fixed64':
      return reader.fixed(8)
    case 'sfixed64':
      return BigInt.asIntN(64, reader.fixed(8))
    case 'fixed32':
      return Number(reader.fixed(4))
    case 'int64':
      return BigInt.asIntN(64, reader.varint())
    case 'uint64':
      return reader.varint()
    case 'uint32':
      return Number(BigInt.asUintN(32, reader.varint()))
    case 'sint32': {
      const zigzag = BigInt.asUintN(32, reader.varint())
      return Number((zigzag >> 1n) ^ -(zigzag & 1n))
    }
    default:
      return Number(BigInt.asIntN(32, reader.varint()))
  }
}

/** The model of protobuf bytes; unknown fields are left out, parts of a message are merged. */
export function decodeModel(type: Type, bytes: Uint8Array, into: Model = {}): Model {
  const reader = new WireReader(bytes)
  while (!reader.isDone) {
    const tag = Number(reader.varint())
    const field = type.fieldsById[tag >>> 3]
    if (field === undefined) {
      reader.skip(tag & 7)
      continue
    }
    for (const other of field.partOf?.fieldsArray ?? []) {
      if (other !== field) delete into[other.name]
    }
    readField(field, tag & 7, reader, into)
  }
  return into
}

function readField(field: Field, wireType: number, reader: WireReader, into: Model): void {
  const messageType = messageTypeOf(field)
  if (messageType !== undefined) {
    const content = reader.content()
    if (field.repeated) {
      const elements = (into[field.name] ??= []) as ModelValue[]
      elements.push(decodeModel(messageType, content))
    } else {
      into[field.name] = decodeModel(messageType, content, (into[field.name] ?? {}) as Model)
    }
    return
  }
  if (!field.repeated) {
    into[field.name] = readScalar(field, reader)
    return
  }
  const elements = (into[field.name] ??= []) as ModelValue[]
  if (wireType !== 2 || wireTypeOf(field) === 2) {
    elements.push(readScalar(field, reader))
    return
  }
  const packed = new WireReader(reader.content())
  while (!packed.isDone) elements.push(readScalar(field, packed))
}
