/**
 * The array of numbers that a field had before: the bounds of a histogram are the same from point to
 * point, and comparing their text costs less than reading them.
 *
 * Invariant: what is remembered is compared in full with the text, so it never changes the output.
 */
import type { JsonReader } from './json-reader.ts'
import type { OutputBuffer } from './output-buffer.ts'

/** Some 40 bounds; longer arrays are read each time. */
const TEXT_BYTES_MAX = 256
const OUT_BYTES_MAX = 384
/** What is remembered is replaced after so many misses in a row: counts of histograms always differ. */
const MISSES_MAX = 16

export class NumbersBefore {
  /** Up to and with the closing bracket; 0 until something is remembered. */
  #textBytes = 0
  readonly #textWords = new Int32Array(TEXT_BYTES_MAX / 4)
  #lastWord = 0
  #outBytes = 0
  readonly #outWords = new Int32Array(OUT_BYTES_MAX / 4)
  #count = 0
  #misses = MISSES_MAX

  /**
   * Appends the content of the array whose first element starts here if it is the one before, and
   * passes it; returns how many numbers it has, or 0.
   */
  take(reader: JsonReader, out: OutputBuffer): number {
    const textBytes = this.#textBytes
    const { view, at } = reader
    if (textBytes === 0 || at + textBytes > reader.end) return 0
    const last = textBytes - 4
    if (view.getInt32(at + last, true) !== this.#lastWord) return 0
    const textWords = this.#textWords
    for (let offset = 0; offset < last; offset += 4) {
      if (view.getInt32(at + offset, true) !== textWords[offset >>> 2]) return 0
    }
    out.reserve(OUT_BYTES_MAX)
    const { view: outView, length } = out
    const outWords = this.#outWords
    for (let offset = 0; offset < this.#outBytes; offset += 4) {
      outView.setInt32(length + offset, outWords[offset >>> 2]!, true)
    }
    out.length = length + this.#outBytes
    reader.at = at + textBytes
    this.#misses = 0
    return this.#count
  }

  /** Told of an array that was read: its text from `start` on, its content from `outStart` on. */
  keep(
    reader: JsonReader,
    start: number,
    out: OutputBuffer,
    outStart: number,
    count: number,
  ): void {
    if (++this.#misses <= MISSES_MAX) return
    const textBytes = reader.at - start
    const outBytes = out.length - outStart
    if (textBytes < 4 || textBytes > TEXT_BYTES_MAX || outBytes > OUT_BYTES_MAX) return
    for (let offset = 0; offset < textBytes - 4; offset += 4) {
      this.#textWords[offset >>> 2] = reader.view.getInt32(start + offset, true)
    }
    this.#lastWord = reader.view.getInt32(reader.at - 4, true)
    out.reserve(4)
    for (let offset = 0; offset < outBytes; offset += 4) {
      this.#outWords[offset >>> 2] = out.view.getInt32(outStart + offset, true)
    }
    this.#textBytes = textBytes
    this.#outBytes = outBytes
    this.#count = count
    this.#misses = 0
  }
}
