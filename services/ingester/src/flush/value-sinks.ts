/**
 * Growing columns for the elements of lists, filled one element after another: how many elements a
 * row group has is known only once its nested messages have been walked.
 */
import type { LeafColumn } from '@tributary/common/parquet/column-values'

/** Which of the elements are present. */
class PresenceSink {
  #bits = new Uint8Array(64)
  #elements = 0
  #present = 0

  add(isPresent: boolean): void {
    const at = this.#elements++
    if (at >>> 3 >= this.#bits.length) {
      const grown = new Uint8Array(this.#bits.length * 2)
      grown.set(this.#bits)
      this.#bits = grown
    }
    if (!isPresent) return
    this.#bits[at >>> 3]! |= 1 << (at & 7)
    this.#present++
  }

  column(values: LeafColumn['values']): LeafColumn {
    if (this.#present === this.#elements) return { values, count: this.#present }
    return {
      values,
      count: this.#present,
      presence: this.#bits.slice(0, (this.#elements + 7) >>> 3),
    }
  }
}

/** 64-bit values as halves; also doubles, by their bits. */
export class Int64Sink {
  readonly #presence = new PresenceSink()
  #halves = new Int32Array(128)
  #length = 0

  add(low: number, high: number): void {
    this.#presence.add(true)
    if (this.#length + 2 > this.#halves.length) {
      const grown = new Int32Array(this.#halves.length * 2)
      grown.set(this.#halves)
      this.#halves = grown
    }
    this.#halves[this.#length++] = low | 0
    this.#halves[this.#length++] = high | 0
  }

  addNull(): void {
    this.#presence.add(false)
  }

  int64Column(): LeafColumn {
    const halves = this.#halves.slice(0, this.#length)
    return this.#presence.column({ kind: 'int64', halves })
  }

  doubleColumn(): LeafColumn {
    const halves = this.#halves.slice(0, this.#length)
    const values = new Float64Array(halves.buffer)
    return this.#presence.column({ kind: 'double', values })
  }

  int32Column(): LeafColumn {
    const values = new Int32Array(this.#length / 2)
    for (let index = 0; index < values.length; index++) values[index] = this.#halves[2 * index]!
    return this.#presence.column({ kind: 'int32', values })
  }
}

/** Strings and other bytes. */
export class BytesSink {
  readonly #presence = new PresenceSink()
  #data = Buffer.allocUnsafeSlow(1024)
  #offsets = new Int32Array(65)
  #count = 0

  /** Adds bytes[start, end). */
  add(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.#presence.add(true)
    const at = this.#reserve(end - start)
    for (let index = start; index < end; index++) this.#data[at + index - start] = bytes[index]!
  }

  /** Adds bytes as lower-case hex text. */
  addHex(bytes: Uint8Array): void {
    this.#presence.add(true)
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
    // first reserve: it may replace the data
    const at = this.#reserve(text.length)
    this.#data.write(text, at, 'latin1')
  }

  addNull(): void {
    this.#presence.add(false)
  }

  column(): LeafColumn {
    const offsets = this.#offsets.slice(0, this.#count + 1)
    const data = this.#data.subarray(0, offsets[this.#count])
    return this.#presence.column({ kind: 'bytes', data, offsets })
  }

  #reserve(length: number): number {
    if (this.#count + 2 > this.#offsets.length) {
      const grown = new Int32Array(this.#offsets.length * 2)
      grown.set(this.#offsets)
      this.#offsets = grown
    }
    const at = this.#offsets[this.#count]!
    if (at + length > this.#data.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#data.length * 2, at + length))
      grown.set(this.#data)
      this.#data = grown
    }
    this.#offsets[++this.#count] = at + length
    return at
  }
}
