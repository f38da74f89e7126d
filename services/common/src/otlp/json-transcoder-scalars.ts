/** Scalars of the JSON transcoder: each kind's range in JSON and its bytes in protobuf. */
import type { JsonReader } from './json-reader.ts'
import { QUOTE } from './json-reader.ts'
import { readDouble, readInteger } from './json-reader-numbers.ts'
import type { TranscoderField } from './json-transcoder-fields.ts'
import { FieldKind } from './json-transcoder-fields.ts'
import { OutputBuffer } from './output-buffer.ts'

const doubleBits = new DataView(new ArrayBuffer(8))

/** Appends the scalar that starts here, without its tag. */
export function writeScalar(reader: JsonReader, out: OutputBuffer, field: TranscoderField): void {
  switch (field.kind) {
    case FieldKind.fixed64:
      readUnsigned(reader, 64)
      out.writeFixed64(reader.low, reader.high)
      return
    case FieldKind.uint64:
      readUnsigned(reader, 64)
      out.writeVarint64(reader.low, reader.high)
      return
    case FieldKind.fixed32:
      readUnsigned(reader, 32)
      out.writeFixed32(reader.low)
      return
    case FieldKind.uint32:
      readUnsigned(reader, 32)
      out.writeVarint(reader.low)
      return
    case FieldKind.int64:
      readSigned64(reader)
      out.writeVarint64(reader.low, reader.high)
      return
    case FieldKind.sfixed64:
      readSigned64(reader)
      out.writeFixed64(reader.low, reader.high)
      return
    case FieldKind.sint32: {
      const value = readSigned32(reader)
      out.writeVarint((value << 1) ^ (value >> 31))
      return
    }
    case FieldKind.enum: {
      const value = readEnum(reader, field)
      out.writeVarint64(value >>> 0, value < 0 ? 0xffff_ffff : 0)
      return
    }
    case FieldKind.bool:
      out.writeByte(reader.readBool() ? 1 : 0)
      return
    default:
      writeDouble(reader, out)
  }
}

function writeDouble(reader: JsonReader, out: OutputBuffer): void {
  const value = readDouble(reader)
  doubleBits.setFloat64(0, value)
  // one NaN for all engines: JSON has no payloads
  if (Number.isNaN(value)) out.writeFixed64(0, 0x7ff8_0000)
  else out.writeFixed64(doubleBits.getUint32(4), doubleBits.getUint32(0))
}

function readUnsigned(reader: JsonReader, bits: 32 | 64): void {
  const start = reader.at
  readInteger(reader)
  const isZero = reader.low === 0 && reader.high === 0
  if ((reader.isNegative && !isZero) || (bits === 32 && reader.high !== 0)) {
    reader.fail('number out of range', start)
  }
}

/** Leaves two's complement in the reader. */
function readSigned64(reader: JsonReader): void {
  const start = reader.at
  readInteger(reader)
  const { low, high } = reader
  const isMinimum = reader.isNegative && high === 0x8000_0000 && low === 0
  if (high >= 0x8000_0000 && !isMinimum) reader.fail('number out of range', start)
  if (!reader.isNegative) return
  reader.low = -low >>> 0
  reader.high = (low === 0 ? -high : ~high) >>> 0
}

function readSigned32(reader: JsonReader): number {
  const start = reader.at
  readInteger(reader)
  const { low, high, isNegative } = reader
  if (high !== 0 || low > (isNegative ? 0x8000_0000 : 0x7fff_ffff)) {
    reader.fail('number out of range', start)
  }
  return isNegative ? -low : low
}

function readEnum(reader: JsonReader, field: TranscoderField): number {
  const { text, at } = reader
  const isName = text[at] === QUOTE && text[at + 1]! >= 0x41
  if (!isName) return readSigned32(reader)
  const name = new OutputBuffer()
  reader.readString(name)
  const word = Buffer.from(name.bytes.buffer, 0, name.length).toString('latin1')
  const value = field.enumNames.indexOf(word)
  if (value < 0) reader.fail('unknown enum name', at)
  return value
}
