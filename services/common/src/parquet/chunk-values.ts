/** What a column chunk needs from its values, whatever their type and encoding: one call a page. */
import type { BloomInput } from './bloom-filter.ts'
import type { PageBuffer } from './page-buffer.ts'
import type { Encoding } from './thrift.ts'
import type { PageBounds } from './value-order.ts'

export interface DictionaryPage {
  /** PLAIN encoded entries. */
  readonly bytes: Uint8Array
  readonly entryCount: number
}

/** Positions are those of present values, from 0 to the chunk's count. */
export interface ChunkValues {
  readonly dictionary: DictionaryPage | undefined
  /** Exact, or undefined. */
  readonly distinctCount: number | undefined
  /** Encodings to try on each page; the smallest page wins, the first of equals. */
  readonly encodings: readonly Encoding[]
  /** False where no bounds may be stated. */
  readonly isOrdered: boolean
  /** About what the encoding of [from, to) takes, before compression. */
  encodedBytes(from: number, to: number): number
  encode(encoding: Encoding, from: number, to: number, page: PageBuffer): void
  /** Bounds of [from, to), which is not empty, as positions for `compare` and `boundBytes`. */
  bounds(from: number, to: number): PageBounds
  compare(a: number, b: number): number
  boundBytes(position: number, isMax: boolean): Uint8Array
  bloomInput(): BloomInput
}
