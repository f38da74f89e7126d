/**
 * OTLP/JSON to OTLP protobuf in one pass over the bytes (design: the OTLP contract, "JSON"): keys
 * are matched as bytes, values go straight to the output, lengths are patched in behind them.
 *
 * Rules: unknown members are skipped, `null` is absent, a member may stand once, a oneof has one
 * member at most, integers keep all bits. What the values mean (ids, UTF-8, limits, duplicates of
 * attribute keys) is left to the protobuf decoder, which reads the output.
 *
 * Bounds: nesting by `depthMax` (the stack), output by the input: at most as long, except that a
 * number in an array may take two bytes of text and eight of output.
 */
import { AppError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Signal } from '../signal.ts'
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  JsonReader,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './json-reader.ts'
import { readDouble, readInteger, skipNumber } from './json-reader-numbers.ts'
import type { TranscoderField, TranscoderMessage } from './json-transcoder-fields.ts'
import { FieldKind, REQUEST_MESSAGES } from './json-transcoder-fields.ts'
import { OutputBuffer } from './output-buffer.ts'

export interface TranscodeOptions {
  /** JSON levels: an AnyValue takes three or four, so the deepest that is allowed takes about 150. */
  readonly depthMax?: number
  /** Numbers in arrays (bounds, bucket counts) of the whole request. */
  readonly numbersMax?: number
  /** Bytes of text between two stops of transcodeJsonInSlices(). */
  readonly sliceBytes?: number
}

/** Room for LIMITS.anyValueDepthMax maps of four levels each, and as much again to be told apart. */
const DEPTH_MAX = 256
/** At 200 MB/s a slice takes 1.3 ms of the 10 ms that our code may hold the event loop. */
const SLICE_BYTES = 256 * 1024

/**
 * Protobuf bytes of an ExportXServiceRequest in OTLP/JSON. Synchronous: for bodies that
 * LIMITS.synchronousDecodeBytesMax allows.
 *
 * @throws AppError malformed_body, with the path and byte offset of the problem
 */
export function transcodeJson(
  signal: Signal,
  body: Uint8Array,
  options: TranscodeOptions = {},
): Uint8Array {
  const transcoder = new JsonTranscoder(body, options)
  transcoder.transcodeRequest(REQUEST_MESSAGES[signal])
  return transcoder.finish()
}

/** The same in slices: stops between items after about `sliceBytes`, so that others may run. */
export function* transcodeJsonInSlices(
  signal: Signal,
  body: Uint8Array,
  options: TranscodeOptions = {},
): Generator<undefined, Uint8Array> {
  const transcoder = new JsonTranscoder(body, options)
  yield* transcoder.transcodeRequestInSlices(REQUEST_MESSAGES[signal])
  return transcoder.finish()
}

/** The same for large bodies: calls `pause` between slices. */
export async function transcodeLargeJson(
  signal: Signal,
  body: Uint8Array,
  pause: () => Promise<unknown>,
  options: TranscodeOptions = {},
): Promise<Uint8Array> {
  const slices = transcodeJsonInSlices(signal, body, options)
  for (;;) {
    const slice = slices.next()
    if (slice.done === true) return slice.value
    await pause()
  }
}

class JsonTranscoder {
  readonly #reader: JsonReader
  readonly #out: OutputBuffer
  readonly #sliceBytes: number
  #numbersLeft: number
  #sliceEnd: number
  readonly #doubleBits = new DataView(new ArrayBuffer(8))

  constructor(body: Uint8Array, options: TranscodeOptions) {
    this.#reader = new JsonReader(body, options.depthMax ?? DEPTH_MAX)
    this.#out = new OutputBuffer(body.length)
    this.#numbersLeft = options.numbersMax ?? LIMITS.valuesPerRequestMax
    this.#sliceBytes = options.sliceBytes ?? SLICE_BYTES
    this.#sliceEnd = this.#sliceBytes
  }

  finish(): Uint8Array {
    const reader = this.#reader
    reader.peek()
    if (reader.at < reader.end) reader.fail('text behind the end of the request')
    return this.#out.bytes.subarray(0, this.#out.length)
  }

  transcodeRequest(message: TranscoderMessage): void {
    this.#reader.peek()
    this.#message(message, 1)
  }

  *transcodeRequestInSlices(message: TranscoderMessage): Generator<undefined, void> {
    this.#reader.peek()
    yield* this.#container(message, 1)
  }

  /** Reads the object that starts here into the content of a message. */
  #message(message: TranscoderMessage, depth: number): void {
    const reader = this.#reader
    if (!this.#opensObject(depth)) return
    let seen = 0
    let place = 0
    do {
      const field = this.#memberField(message, place)
      if (field === undefined) {
        reader.skipValue(depth + 1, skipNumber)
        continue
      }
      place = field.index + 1
      if (reader.takesNull()) continue
      seen = this.#markSeen(message, field, seen)
      this.#fieldValue(field, depth)
    } while (reader.hasNext(CLOSE_BRACE))
  }

  /** The same for messages that may hold a whole request: stops between elements. */
  *#container(message: TranscoderMessage, depth: number): Generator<undefined, void> {
    const reader = this.#reader
    if (!this.#opensObject(depth)) return
    let seen = 0
    let place = 0
    do {
      const field = this.#memberField(message, place)
      if (field === undefined) {
        reader.skipValue(depth + 1, skipNumber)
        continue
      }
      place = field.index + 1
      if (reader.takesNull()) continue
      seen = this.#markSeen(message, field, seen)
      const isSmall = reader.end - reader.at <= this.#sliceBytes
      if (isSmall || field.message === undefined) this.#fieldValue(field, depth)
      else if (field.isRepeated) yield* this.#elementsInSlices(field, field.message, depth)
      else yield* this.#oneInSlices(field, field.message, depth + 1)
    } while (reader.hasNext(CLOSE_BRACE))
  }

  *#elementsInSlices(
    field: TranscoderField,
    message: TranscoderMessage,
    depth: number,
  ): Generator<undefined, void> {
    const reader = this.#reader
    if (!this.#opensArray(depth + 1)) return
    do {
      reader.peek()
      yield* this.#oneInSlices(field, message, depth + 2)
      if (reader.at >= this.#sliceEnd) {
        yield
        this.#sliceEnd = reader.at + this.#sliceBytes
      }
    } while (reader.hasNext(CLOSE_BRACKET))
  }

  *#oneInSlices(
    field: TranscoderField,
    message: TranscoderMessage,
    depth: number,
  ): Generator<undefined, void> {
    const out = this.#out
    out.writeVarint(field.tag)
    const { lengthBytes } = field
    const start = out.openLength(lengthBytes)
    if (message.isContainer) yield* this.#container(message, depth)
    else this.#message(message, depth)
    field.lengthBytes = out.closeLength(start, lengthBytes)
  }

  /** Passes `{`; false when the object is empty, and then `}` too. */
  #opensObject(depth: number): boolean {
    const reader = this.#reader
    reader.checkDepth(depth)
    if (reader.text[reader.at] !== OPEN_BRACE) reader.fail('expected an object')
    reader.at++
    if (reader.peek() !== CLOSE_BRACE) return true
    reader.at++
    return false
  }

  #opensArray(depth: number): boolean {
    const reader = this.#reader
    reader.checkDepth(depth)
    if (reader.text[reader.at] !== OPEN_BRACKET) reader.fail('expected an array')
    reader.at++
    if (reader.peek() !== CLOSE_BRACKET) return true
    reader.at++
    return false
  }

  /** The bits of the members seen so far and this one, unless it must not stand here. */
  #markSeen(message: TranscoderMessage, field: TranscoderField, seen: number): number {
    const bit = 1 << field.index
    if ((seen & bit) !== 0) this.#reader.fail(`member "${field.name}" stands twice`)
    if (field.isOneof) {
      const other = message.fields.find((each) => each.isOneof && (seen & (1 << each.index)) !== 0)
      if (other !== undefined) {
        this.#reader.fail(`"${other.name}" and "${field.name}" exclude each other`)
      }
    }
    return seen | bit
  }

  /** Reads a member's name and the colon; undefined for a name that OTLP doesn't know. */
  #memberField(message: TranscoderMessage, place: number): TranscoderField | undefined {
    const reader = this.#reader
    if (reader.peek() !== QUOTE) reader.fail('expected a member name')
    const { text } = reader
    const guess = message.fields[message.successors[place]!]!
    const { key } = guess
    const start = reader.at + 1
    let field: TranscoderField | undefined = guess
    let index = 0
    while (index < key.length && text[start + index] === key[index]) index++
    if (index === key.length && text[start + index] === QUOTE) reader.at = start + index + 1
    else {
      field = this.#findField(message, start)
      if (field !== undefined) message.successors[place] = field.index
    }
    if (text[reader.at] === COLON) reader.at++
    else reader.expect(COLON)
    reader.peek()
    return field
  }

  #findField(message: TranscoderMessage, start: number): TranscoderField | undefined {
    const reader = this.#reader
    const { text } = reader
    reader.skipString()
    let keyBytes = text
    let keyStart = start
    let keyEnd = reader.at - 1
    if (text.subarray(start, keyEnd).includes(0x5c)) {
      reader.at = start - 1
      const unescaped = new OutputBuffer()
      reader.readString(unescaped)
      keyBytes = unescaped.bytes
      keyStart = 0
      keyEnd = unescaped.length
    }
    const candidates = message.byLength[keyEnd - keyStart]
    if (candidates === undefined) return undefined
    for (const candidate of candidates) {
      const { key } = candidate
      let index = 0
      while (index < key.length && keyBytes[keyStart + index] === key[index]) index++
      if (index === key.length) return candidate
    }
    return undefined
  }

  #fieldValue(field: TranscoderField, depth: number): void {
    if (!field.isRepeated) {
      const out = this.#out
      const start = out.length
      out.writeVarint(field.tag)
      const contentStart = out.length
      this.#singular(field, depth + 1)
      if (!field.keepsDefault && out.isZero(contentStart)) out.length = start
      return
    }
    if (!this.#opensArray(depth + 1)) return
    if (field.isPacked) this.#packedElements(field)
    else this.#elements(field, depth + 2)
  }

  #elements(field: TranscoderField, depth: number): void {
    const reader = this.#reader
    do {
      reader.peek()
      this.#out.writeVarint(field.tag)
      this.#singular(field, depth)
    } while (reader.hasNext(CLOSE_BRACKET))
  }

  #packedElements(field: TranscoderField): void {
    const reader = this.#reader
    const out = this.#out
    out.writeVarint(field.tag)
    const { lengthBytes } = field
    const start = out.openLength(lengthBytes)
    do {
      reader.peek()
      if (--this.#numbersLeft < 0) {
        throw new AppError('request_too_large', 'the request has too many numbers in arrays')
      }
      this.#scalar(field)
    } while (reader.hasNext(CLOSE_BRACKET))
    field.lengthBytes = out.closeLength(start, lengthBytes)
  }

  /** A value behind its tag; what has a length gets it patched in. */
  #singular(field: TranscoderField, depth: number): void {
    const { kind } = field
    if (kind !== FieldKind.message && kind > FieldKind.hex) {
      this.#scalar(field)
      return
    }
    const out = this.#out
    const { lengthBytes } = field
    const start = out.openLength(lengthBytes)
    if (kind === FieldKind.string) this.#reader.readString(out)
    else if (kind === FieldKind.message) this.#message(field.message!, depth)
    else if (kind === FieldKind.hex) this.#reader.readHex(out)
    else this.#reader.readBase64(out)
    field.lengthBytes = out.closeLength(start, lengthBytes)
  }

  #scalar(field: TranscoderField): void {
    const out = this.#out
    const reader = this.#reader
    switch (field.kind) {
      case FieldKind.fixed64:
        this.#readUnsigned(64)
        out.writeFixed64(reader.low, reader.high)
        return
      case FieldKind.uint64:
        this.#readUnsigned(64)
        out.writeVarint64(reader.low, reader.high)
        return
      case FieldKind.fixed32:
        this.#readUnsigned(32)
        out.writeFixed32(reader.low)
        return
      case FieldKind.uint32:
        this.#readUnsigned(32)
        out.writeVarint(reader.low)
        return
      case FieldKind.int64:
        this.#readSigned64()
        out.writeVarint64(reader.low, reader.high)
        return
      case FieldKind.sfixed64:
        this.#readSigned64()
        out.writeFixed64(reader.low, reader.high)
        return
      case FieldKind.sint32: {
        const value = this.#readSigned32()
        out.writeVarint((value << 1) ^ (value >> 31))
        return
      }
      case FieldKind.enum: {
        const value = this.#readEnum(field)
        out.writeVarint64(value >>> 0, value < 0 ? 0xffff_ffff : 0)
        return
      }
      case FieldKind.bool:
        out.writeByte(reader.readBool() ? 1 : 0)
        return
      default:
        this.#double()
    }
  }

  #double(): void {
    const value = readDouble(this.#reader)
    const bits = this.#doubleBits
    bits.setFloat64(0, value)
    // one NaN for all engines: JSON has no payloads
    if (Number.isNaN(value)) this.#out.writeFixed64(0, 0x7ff8_0000)
    else this.#out.writeFixed64(bits.getUint32(4), bits.getUint32(0))
  }

  #readUnsigned(bits: 32 | 64): void {
    const reader = this.#reader
    const start = reader.at
    readInteger(reader)
    const isZero = reader.low === 0 && reader.high === 0
    if ((reader.isNegative && !isZero) || (bits === 32 && reader.high !== 0)) {
      reader.fail('number out of range', start)
    }
  }

  /** Leaves two's complement in the reader. */
  #readSigned64(): void {
    const reader = this.#reader
    const start = reader.at
    readInteger(reader)
    const { low, high } = reader
    const isMinimum = reader.isNegative && high === 0x8000_0000 && low === 0
    if (high >= 0x8000_0000 && !isMinimum) reader.fail('number out of range', start)
    if (!reader.isNegative) return
    reader.low = -low >>> 0
    reader.high = (low === 0 ? -high : ~high) >>> 0
  }

  #readSigned32(): number {
    const reader = this.#reader
    const start = reader.at
    readInteger(reader)
    const { low, high, isNegative } = reader
    if (high !== 0 || low > (isNegative ? 0x8000_0000 : 0x7fff_ffff)) {
      reader.fail('number out of range', start)
    }
    return isNegative ? -low : low
  }

  #readEnum(field: TranscoderField): number {
    const reader = this.#reader
    const { text, at } = reader
    const isName = text[at] === QUOTE && text[at + 1]! >= 0x41
    if (!isName) return this.#readSigned32()
    const name = new OutputBuffer()
    reader.readString(name)
    const word = Buffer.from(name.bytes.buffer, 0, name.length).toString('latin1')
    const value = field.enumNames.indexOf(word)
    if (value < 0) reader.fail('unknown enum name', at)
    return value
  }
}
