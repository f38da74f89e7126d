/**
 * Numbers of a JSON text, exact to the last bit: 64-bit integers without BigInt on the usual path,
 * doubles by Clinger's fast path where that is exact.
 */
import type { JsonReader } from './json-reader.ts'
import { CLOSE_BRACE, COMMA, QUOTE } from './json-reader.ts'

const MINUS = 0x2d
const PLUS = 0x2b
const POINT = 0x2e
const DIGIT_0 = 0x30
const TWO_32 = 0x1_0000_0000
const TWO_64 = 1n << 64n
/** 20 digits hold every 64-bit integer. */
const INTEGER_DIGITS_MAX = 20
/** Digits of a number that are kept for the exact but slow paths: a text of a megabyte is no number. */
const NUMBER_CHARACTERS_MAX = 1100

const POWERS_OF_10 = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent)

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= DIGIT_0 && byte <= 0x39
}

/**
 * Reads an integer, quoted or not, into the reader's magnitude and sign. Fractions and exponents
 * are fine as long as the value is an integer below 2^64.
 */
export function readInteger(reader: JsonReader): void {
  const { text } = reader
  const isQuoted = text[reader.at] === QUOTE
  if (isQuoted && text[reader.at + TIME_DIGITS + 1] === QUOTE && takesTime(reader)) return
  const start = isQuoted ? reader.at + 1 : reader.at
  if (takesShortInteger(reader, start, isQuoted)) return
  let at = start
  reader.isNegative = text[at] === MINUS
  if (reader.isNegative) at++
  const digitsAt = at
  let head = 0
  let tail = 0
  let byte = text[at]!
  while (byte >= DIGIT_0 && byte <= 0x39) {
    if (at - digitsAt < 10) head = head * 10 + (byte - DIGIT_0)
    else if (at - digitsAt < INTEGER_DIGITS_MAX) tail = tail * 10 + (byte - DIGIT_0)
    byte = text[++at]!
  }
  const digits = at - digitsAt
  if (digits === 0 || (digits > 1 && text[digitsAt] === DIGIT_0)) {
    reader.fail('expected an integer', start)
  }
  if (byte === POINT || byte === 0x65 || byte === 0x45) {
    at = readIntegerSlowly(reader, start)
  } else {
    if (digits > INTEGER_DIGITS_MAX) failRange(reader, start)
    combine(reader, head, tail, digits)
    if (reader.high >= TWO_32) failRange(reader, start)
  }
  reader.at = at
  if (isQuoted) closeQuote(reader, 'expected an integer')
}

/** So many digits are below 2^32. */
const SHORT_DIGITS_MAX = 9

/** Reads an integer without a sign that has few digits and nothing behind them: counts, mostly. */
function takesShortInteger(reader: JsonReader, start: number, isQuoted: boolean): boolean {
  const { text } = reader
  let at = start
  let value = 0
  let digit = text[at]! - DIGIT_0
  while (digit >= 0 && digit <= 9) {
    value = value * 10 + digit
    digit = text[++at]! - DIGIT_0
  }
  const digits = at - start
  if (digits === 0 || digits > SHORT_DIGITS_MAX) return false
  if (digits > 1 && text[start] === DIGIT_0) return false
  const byte = text[at]
  if (isQuoted ? byte !== QUOTE : byte !== COMMA && byte !== CLOSE_BRACE) return false
  reader.isNegative = false
  reader.low = value
  reader.high = 0
  reader.at = isQuoted ? at + 1 : at
  return true
}

/** Digits of every time in nanoseconds from 2001 to 2286. */
const TIME_DIGITS = 19

/** The number that four digits as a little-endian word stand for, or -1. */
function fourDigits(word: number): number {
  if ((((word + 0x46464646) | (word - 0x30303030)) & 0x80808080) !== 0) return -1
  const thousands = (word & 15) * 1000 + ((word >>> 8) & 15) * 100
  return thousands + ((word >>> 16) & 15) * 10 + ((word >>> 24) & 15)
}

/** Reads a quoted number of 19 digits, which is what most numbers of a request are. */
function takesTime(reader: JsonReader): boolean {
  const { text, view, at } = reader
  const first = text[at + 1]! - DIGIT_0
  const second = text[at + 2]! - DIGIT_0
  const third = text[at + 3]! - DIGIT_0
  // a sign or a leading zero, or no digit at all
  if (first < 1 || first > 9 || second < 0 || second > 9 || third < 0 || third > 9) return false
  const high = fourDigits(view.getInt32(at + 4, true))
  const middle = fourDigits(view.getInt32(at + 8, true))
  const low = fourDigits(view.getInt32(at + 12, true))
  const last = fourDigits(view.getInt32(at + 16, true))
  if (high < 0 || middle < 0 || low < 0 || last < 0) return false
  const digitOfMiddle = middle % 10
  const head =
    (first * 100 + second * 10 + third) * 1e7 + high * 1000 + (middle - digitOfMiddle) / 10
  reader.isNegative = false
  combine(reader, head, digitOfMiddle * 1e8 + low * 1e4 + last, TIME_DIGITS)
  reader.at = at + TIME_DIGITS + 2
  return true
}

function failRange(reader: JsonReader, offset: number): never {
  reader.fail('number out of range', offset)
}

function closeQuote(reader: JsonReader, problem: string): void {
  if (reader.text[reader.at] !== QUOTE) reader.fail(problem)
  reader.at++
}

/** head * 10^(digits - 10) + tail in two halves; `high` passes 2^32 when the value passes 64 bits. */
function combine(reader: JsonReader, head: number, tail: number, digits: number): void {
  if (digits <= 15) {
    const value = digits <= 10 ? head : head * POWERS_OF_10[digits - 10]! + tail
    reader.low = value >>> 0
    reader.high = Math.floor(value / TWO_32)
    return
  }
  const power = POWERS_OF_10[digits - 10]!
  // head < 2^34 and power < 2^34: the partial products stay below 2^53
  const headHigh = Math.floor(head / 0x1_0000)
  const headLow = head - headHigh * 0x1_0000
  const productHigh = headHigh * power
  const carried = Math.floor(productHigh / 0x1_0000)
  const low = (productHigh - carried * 0x1_0000) * 0x1_0000 + headLow * power + tail
  reader.low = low >>> 0
  reader.high = carried + Math.floor(low / TWO_32)
}

/** An integer with a fraction or an exponent; returns the offset behind it. */
function readIntegerSlowly(reader: JsonReader, start: number): number {
  const behind = numberEnd(reader, start)
  const parts = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(textOf(reader, start, behind))
  if (parts === null) reader.fail('expected an integer', start)
  const fraction = parts[2] ?? ''
  const digits = `${parts[1]}${fraction}`.replace(/^0+/, '')
  const significant = digits.replace(/0+$/, '')
  const exponent = Number(parts[3] ?? 0) - fraction.length + digits.length - significant.length
  let value = 0n
  if (significant !== '') {
    if (exponent < 0) reader.fail('expected an integer', start)
    if (significant.length + exponent > INTEGER_DIGITS_MAX) failRange(reader, start)
    value = BigInt(significant) * 10n ** BigInt(exponent)
  }
  if (value >= TWO_64) failRange(reader, start)
  reader.low = Number(value & 0xffff_ffffn)
  reader.high = Number(value >> 32n)
  return behind
}

function textOf(reader: JsonReader, start: number, end: number): string {
  if (end - start > NUMBER_CHARACTERS_MAX) reader.fail('number too long', start)
  let text = ''
  for (let at = start; at < end; at++) text += String.fromCharCode(reader.text[at]!)
  return text
}

/** Checks the grammar of the number that starts at `start`; returns the offset behind it. */
function numberEnd(reader: JsonReader, start: number): number {
  const { text } = reader
  let at = start
  const digits = (): void => {
    if (!isDigit(text[at])) reader.fail('expected a number', at)
    while (isDigit(text[at])) at++
  }
  if (text[at] === MINUS) at++
  if (text[at] === DIGIT_0 && isDigit(text[at + 1])) reader.fail('leading zero', at)
  digits()
  if (text[at] === POINT) {
    at++
    digits()
  }
  if (text[at] === 0x65 || text[at] === 0x45) {
    at++
    if (text[at] === PLUS || text[at] === MINUS) at++
    digits()
  }
  return at
}

/** Passes the number that starts here. */
export function skipNumber(reader: JsonReader): void {
  reader.at = numberEnd(reader, reader.at)
}

/** Reads a double: a number, a quoted number, or "NaN", "Infinity", "-Infinity". */
export function readDouble(reader: JsonReader): number {
  const isQuoted = reader.text[reader.at] === QUOTE
  if (!isQuoted) return readPlainDouble(reader)
  reader.at++
  const byte = reader.text[reader.at]
  const value =
    byte === 0x4e || byte === 0x49 || (byte === MINUS && reader.text[reader.at + 1] === 0x49)
      ? readNonFinite(reader)
      : readPlainDouble(reader)
  closeQuote(reader, 'expected a number')
  return value
}

const NON_FINITE: readonly (readonly [string, number])[] = [
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]

function readNonFinite(reader: JsonReader): number {
  const word = NON_FINITE.find(([name]) =>
    Array.from(name).every(
      (letter, index) => reader.text[reader.at + index] === letter.charCodeAt(0),
    ),
  )
  if (word === undefined) reader.fail('expected a number')
  reader.at += word[0].length
  return word[1]
}

function readPlainDouble(reader: JsonReader): number {
  const { text } = reader
  const start = reader.at
  let at = start
  const isNegative = text[at] === MINUS
  if (isNegative) at++
  const digitsAt = at
  let mantissa = 0
  let byte = text[at]!
  while (byte >= DIGIT_0 && byte <= 0x39) {
    mantissa = mantissa * 10 + (byte - DIGIT_0)
    byte = text[++at]!
  }
  let digits = at - digitsAt
  if (digits === 0 || (digits > 1 && text[digitsAt] === DIGIT_0)) {
    reader.fail('expected a number', start)
  }
  let fractionDigits = 0
  if (byte === POINT) {
    const fractionAt = at + 1
    byte = text[++at]!
    while (byte >= DIGIT_0 && byte <= 0x39) {
      mantissa = mantissa * 10 + (byte - DIGIT_0)
      byte = text[++at]!
    }
    fractionDigits = at - fractionAt
    if (fractionDigits === 0) reader.fail('expected a digit', at)
    digits += fractionDigits
  }
  // up to 15 digits and 10^22 both sides are exact, so one division rounds correctly
  if (digits > 15 || byte === 0x65 || byte === 0x45) return readDoubleSlowly(reader, start)
  reader.at = at
  const value = mantissa / POWERS_OF_10[fractionDigits]!
  return isNegative ? -value : value
}

function readDoubleSlowly(reader: JsonReader, start: number): number {
  const behind = numberEnd(reader, start)
  const value = Number(textOf(reader, start, behind))
  if (!Number.isFinite(value)) failRange(reader, start)
  reader.at = behind
  return value
}
