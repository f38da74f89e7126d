/**
 * A cursor over the bytes of a JSON text (RFC 8259). It makes no strings and no objects: values go
 * to an OutputBuffer or into `low`, `high` and `isNegative`; see json-reader-numbers.ts for numbers.
 *
 * Invariant: bytes before `at` are well-formed; every error says where and ends the reading. Raw
 * bytes of strings pass through unchecked: the protobuf decoder replaces what is not UTF-8.
 */
import { AppError } from '../errors.ts'
import { jsonPathAt } from './json-reader-path.ts'
import type { OutputBuffer } from './output-buffer.ts'

export const QUOTE = 0x22
export const COMMA = 0x2c
export const COLON = 0x3a
export const OPEN_BRACKET = 0x5b
export const CLOSE_BRACKET = 0x5d
export const OPEN_BRACE = 0x7b
export const CLOSE_BRACE = 0x7d
const BACKSLASH = 0x5c
const LETTER_N = 0x6e

/** What a byte after a backslash stands for; 0: nothing. */
const ESCAPED = new Uint8Array(256)
for (const [letter, byte] of Object.entries({
  '"': 0x22,
  '\\': 0x5c,
  '/': 0x2f,
  b: 0x08,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
})) {
  ESCAPED[letter.charCodeAt(0)] = byte
}

/** Value of a hexadecimal digit; 255: none. */
const HEX_VALUES = new Uint8Array(256).fill(255)
for (const [value, digits] of [...'0123456789abcdef'].entries()) {
  HEX_VALUES[digits.charCodeAt(0)] = value
  HEX_VALUES[digits.toUpperCase().charCodeAt(0)] = value
}

/** The same of two digits, by the little-endian number of their bytes; -1: not both are digits. */
const HEX_PAIRS = new Int16Array(0x1_0000).fill(-1)
for (let first = 0; first < 256; first++) {
  if (HEX_VALUES[first] === 255) continue
  for (let second = 0; second < 256; second++) {
    const low = HEX_VALUES[second]!
    if (low !== 255) HEX_PAIRS[(second << 8) | first] = (HEX_VALUES[first]! << 4) | low
  }
}

/** Value of a base64 digit in the standard and the URL alphabet; 255: none. */
const BASE64_VALUES = new Uint8Array(256).fill(255)
for (const alphabet of ['+/', '-_']) {
  const digits = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789${alphabet}`
  for (const [value, digit] of [...digits].entries()) {
    BASE64_VALUES[digit.charCodeAt(0)] = value
  }
}

/** One byte holds their length. */
const SHORT_STRING_BYTES_MAX = 127

/** Behind the end of the text; no byte has this value. */
const END = -1

export class JsonReader {
  readonly text: Uint8Array
  /** The same bytes, for reading words. */
  readonly view: DataView
  readonly end: number
  /** Offset of the next byte. */
  at = 0
  /** Magnitude of the integer read last, in two halves, and its sign. */
  low = 0
  high = 0
  isNegative = false
  readonly #depthMax: number

  constructor(text: Uint8Array, depthMax: number) {
    this.text = text
    this.view = new DataView(text.buffer, text.byteOffset, text.length)
    this.end = text.length
    this.#depthMax = depthMax
    // a byte order mark is allowed to be ignored
    if (text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf) this.at = 3
  }

  /** Ends the reading with an error at an offset. */
  fail(problem: string, offset = this.at): never {
    const at = Math.min(offset, this.end)
    const path = jsonPathAt(this.text, at)
    const place = path === '' ? `byte ${at}` : `${path} (byte ${at})`
    throw new AppError('malformed_body', `malformed JSON: ${problem} at ${place}`, {
      details: { offset: at, path },
    })
  }

  /** The next byte that is not white space, without passing it; -1 at the end. */
  peek(): number {
    const { text } = this
    let { at } = this
    while (at < this.end) {
      const byte = text[at]!
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) {
        this.at = at
        return byte
      }
      at++
    }
    this.at = at
    return END
  }

  /** Passes white space and then the byte, or fails. */
  expect(byte: number): void {
    if (this.peek() !== byte) this.fail(`expected '${String.fromCharCode(byte)}'`)
    this.at++
  }

  /** Counts down into a nested value; the text must not nest deeper than its bound. */
  checkDepth(depth: number): void {
    if (depth > this.#depthMax) this.fail(`nested deeper than ${this.#depthMax} levels`)
  }

  /** After an element or member: true passes a comma, false the closing byte. */
  hasNext(close: number): boolean {
    let byte = this.text[this.at]!
    if (byte !== COMMA && byte !== close) byte = this.peek()
    if (byte === COMMA) {
      this.at++
      return true
    }
    if (byte !== close) this.fail(`expected ',' or '${String.fromCharCode(close)}'`)
    this.at++
    return false
  }

  /** Passes `null` if it stands here. */
  takesNull(): boolean {
    if (this.text[this.at] !== LETTER_N) return false
    this.#literal('null')
    return true
  }

  readBool(): boolean {
    const isTrue = this.text[this.at] === 0x74
    this.#literal(isTrue ? 'true' : 'false')
    return isTrue
  }

  #literal(word: string): void {
    for (let index = 0; index < word.length; index++) {
      if (this.text[this.at + index] !== word.charCodeAt(index)) this.fail('unexpected value')
    }
    this.at += word.length
  }

  /** Fails unless a string starts here. */
  checkString(): void {
    if (this.text[this.at] !== QUOTE) this.fail('expected a string')
  }

  /** Appends the unescaped content of the string that starts here. */
  readString(out: OutputBuffer): void {
    this.checkString()
    const { text } = this
    let at = this.at + 1
    for (;;) {
      const start = at
      at = this.#plainEnd(at)
      if (at > start) out.writeSlice(text, start, at)
      const byte = text[at]
      if (byte === QUOTE) break
      if (byte !== BACKSLASH) this.#failInString(at)
      at = this.#readEscape(at, out)
    }
    this.at = at + 1
  }

  /** Where the run of bytes ends that stand for themselves in a string. */
  #plainEnd(start: number): number {
    const { text, view } = this
    const wordsEnd = this.end - 4
    let at = start
    while (at <= wordsEnd && !endsPlainRun(view.getInt32(at, true))) at += 4
    let byte = text[at]!
    while (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) byte = text[++at]!
    return at
  }

  /**
   * Appends a string of less than 128 bytes without escapes behind its length; else appends nothing,
   * passes nothing and returns false.
   */
  takesShortString(out: OutputBuffer): boolean {
    const { text, view } = this
    if (text[this.at] !== QUOTE) return false
    const start = this.at + 1
    out.reserve(SHORT_STRING_BYTES_MAX + 5)
    const { bytes, view: outView } = out
    const lengthAt = out.length
    const end = Math.min(start + SHORT_STRING_BYTES_MAX + 1, this.end)
    const shift = lengthAt + 1 - start
    let at = start
    // what is copied past the end of the string is overwritten by what follows
    for (const wordsEnd = end - 4; at <= wordsEnd; at += 4) {
      const word = view.getInt32(at, true)
      if (endsPlainRun(word)) break
      outView.setInt32(at + shift, word, true)
    }
    for (; at < end; at++) {
      const byte = text[at]!
      if (byte === QUOTE) {
        bytes[lengthAt] = at - start
        out.length = at + shift
        this.at = at + 1
        return true
      }
      if (byte < 0x20 || byte === BACKSLASH) return false
      bytes[at + shift] = byte
    }
    return false
  }

  #failInString(at: number): never {
    this.fail(at >= this.end ? 'the text ends inside a string' : 'bare control character', at)
  }

  /** Appends what the escape at `at` stands for; returns the offset behind it. */
  #readEscape(at: number, out: OutputBuffer): number {
    const letter = this.text[at + 1]
    if (letter !== 0x75) {
      const byte = letter === undefined ? 0 : ESCAPED[letter]!
      if (byte === 0) this.fail('unknown escape', at)
      out.writeByte(byte)
      return at + 2
    }
    let code = this.#readHex4(at + 2)
    let behind = at + 6
    if (code >= 0xd800 && code < 0xe000) {
      const hasPartner =
        code < 0xdc00 && this.text[behind] === BACKSLASH && this.text[behind + 1] === 0x75
      const partner = hasPartner ? this.#readHex4(behind + 2) : 0
      if (partner >= 0xdc00 && partner < 0xe000) {
        code = 0x1_0000 + ((code - 0xd800) << 10) + (partner - 0xdc00)
        behind += 6
      } else code = 0xfffd // a surrogate alone is no character
    }
    writeUtf8(out, code)
    return behind
  }

  #readHex4(at: number): number {
    let code = 0
    for (let index = at; index < at + 4; index++) {
      const value = index < this.end ? HEX_VALUES[this.text[index]!]! : 255
      if (value === 255) this.fail('expected four hexadecimal digits', index)
      code = (code << 4) | value
    }
    return code
  }

  /** Appends the bytes of a string of hexadecimal digits in any case. */
  readHex(out: OutputBuffer): void {
    this.checkString()
    const { text, view } = this
    let at = this.at + 1
    out.reserve((this.end - at) >>> 1)
    const { bytes } = out
    let to = out.length
    for (const pairsEnd = this.end - 2; at <= pairsEnd; at += 2) {
      const value = HEX_PAIRS[view.getUint16(at, true)]!
      if (value < 0) break
      bytes[to++] = value
    }
    if (text[at] !== QUOTE && at < this.end && HEX_VALUES[text[at]!] !== 255) {
      this.fail('expected pairs of hexadecimal digits', at + 1)
    }
    out.length = to
    if (text[at] !== QUOTE) this.fail('expected hexadecimal digits', at)
    this.at = at + 1
  }

  /** Appends the bytes of a base64 string: standard or URL alphabet, padded or not. */
  readBase64(out: OutputBuffer): void {
    this.checkString()
    const { text } = this
    let at = this.at + 1
    let group = 0
    let digits = 0
    for (;;) {
      const byte = at < this.end ? text[at]! : 0
      // JSON writers may escape the slash
      if (byte === BACKSLASH && text[at + 1] === 0x2f) at++
      const value = BASE64_VALUES[byte === BACKSLASH ? text[at]! : byte]!
      if (value === 255) break
      group = ((group << 6) | value) & 0xff_ffff
      digits++
      at++
      if ((digits & 3) === 0) {
        out.reserve(3)
        out.bytes[out.length++] = group >>> 16
        out.bytes[out.length++] = group >>> 8
        out.bytes[out.length++] = group
      }
    }
    this.#endBase64(at, digits & 3, group, out)
  }

  #endBase64(start: number, rest: number, group: number, out: OutputBuffer): void {
    let at = start
    let padding = 0
    while (this.text[at] === 0x3d) {
      padding++
      at++
    }
    const isComplete = rest !== 1 && (padding === 0 || padding === ((4 - rest) & 3))
    if (!isComplete || this.text[at] !== QUOTE) this.fail('expected base64', at)
    if (rest === 2) out.writeByte(group >>> 4)
    else if (rest === 3) {
      out.writeByte(group >>> 10)
      out.writeByte((group >>> 2) & 0xff)
    }
    this.at = at + 1
  }

  /** Passes the string that starts here. */
  skipString(): void {
    this.checkString()
    const { text } = this
    let at = this.at + 1
    for (;;) {
      let byte = text[at]!
      while (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) byte = text[++at]!
      if (byte === QUOTE) break
      if (byte !== BACKSLASH) this.#failInString(at)
      const letter = text[at + 1]
      if (letter === 0x75) {
        this.#readHex4(at + 2)
        at += 6
      } else {
        if (letter === undefined || ESCAPED[letter] === 0) this.fail('unknown escape', at)
        at += 2
      }
    }
    this.at = at + 1
  }

  /** Passes any value; `skipNumber` stands apart because numbers do. */
  skipValue(depth: number, skipNumber: (reader: JsonReader) => void): void {
    const byte = this.peek()
    if (byte === QUOTE) this.skipString()
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      this.checkDepth(depth)
      this.#skipNested(byte, depth, skipNumber)
    } else if (byte === 0x74 || byte === 0x66) this.readBool()
    else if (byte === LETTER_N) this.#literal('null')
    else skipNumber(this)
  }

  #skipNested(open: number, depth: number, skipNumber: (reader: JsonReader) => void): void {
    const close = open === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET
    this.at++
    if (this.peek() === close) {
      this.at++
      return
    }
    do {
      if (open === OPEN_BRACE) {
        this.peek()
        this.skipString()
        this.expect(COLON)
      }
      this.skipValue(depth + 1, skipNumber)
    } while (this.hasNext(close))
  }
}

/** Whether a word of four bytes may hold a quote, a backslash or a control character. */
function endsPlainRun(word: number): boolean {
  const quotes = word ^ 0x22222222
  const backslashes = word ^ 0x5c5c5c5c
  // per byte, the top bit is set where it was zero, or was below a space
  const found =
    ((quotes - 0x01010101) & ~quotes) |
    ((backslashes - 0x01010101) & ~backslashes) |
    ((word - 0x20202020) & ~word)
  return (found & 0x80808080) !== 0
}

/** Appends a code point as UTF-8. */
function writeUtf8(out: OutputBuffer, code: number): void {
  if (code < 0x80) {
    out.writeByte(code)
    return
  }
  if (code < 0x800) out.writeByte(0xc0 | (code >>> 6))
  else {
    if (code < 0x1_0000) out.writeByte(0xe0 | (code >>> 12))
    else {
      out.writeByte(0xf0 | (code >>> 18))
      out.writeByte(0x80 | ((code >>> 12) & 63))
    }
    out.writeByte(0x80 | ((code >>> 6) & 63))
  }
  out.writeByte(0x80 | (code & 63))
}
