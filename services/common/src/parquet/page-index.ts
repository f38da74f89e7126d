/** Collects a chunk's pages for its column index, offset index and statistics. */
import { cutMax, cutMin } from './byte-order.ts'
import type { ChunkValues } from './chunk-values.ts'
import type { LeafField } from './schema.ts'
import {
  binary,
  BoundaryOrder,
  ColumnIndex,
  filled,
  int64,
  OffsetIndex,
  PageLocation,
  Statistics,
} from './thrift.ts'
import type { PageBounds } from './value-order.ts'

/** tables.md: long enough to tell log lines apart, short enough for a footer of 1,000 columns. */
const BOUND_BYTES_MAX = 64
const NOTHING = new Uint8Array(0)

interface IndexedPage {
  readonly firstRow: number
  readonly offset: number
  readonly bytes: number
  readonly nullCount: number
  /** Undefined where the page holds nulls only. */
  readonly bounds: PageBounds | undefined
}

export class PageIndex {
  readonly #field: LeafField
  readonly #values: ChunkValues
  readonly #pages: IndexedPage[] = []

  constructor(field: LeafField, values: ChunkValues) {
    this.#field = field
    this.#values = values
  }

  add(page: IndexedPage): void {
    this.#pages.push(page)
  }

  offsetIndex(): OffsetIndex {
    const page_locations = this.#pages.map((page) =>
      filled(new PageLocation(), {
        offset: int64(page.offset),
        compressed_page_size: page.bytes,
        first_row_index: int64(page.firstRow),
      }),
    )
    return filled(new OffsetIndex(), { page_locations })
  }

  /** Undefined where bounds can't be stated for every page that holds values. */
  columnIndex(): ColumnIndex | undefined {
    const values = this.#values
    if (!values.isOrdered) return undefined
    const mins: Uint8Array[] = []
    const maxs: Uint8Array[] = []
    for (const { bounds } of this.#pages) {
      const max = bounds === undefined ? NOTHING : this.#cutMax(bounds.max)?.bytes
      if (max === undefined) return undefined
      mins.push(bounds === undefined ? NOTHING : this.#cutMin(bounds.min).bytes)
      maxs.push(max)
    }
    return filled(new ColumnIndex(), {
      null_pages: this.#pages.map((page) => page.bounds === undefined),
      min_values: mins.map(binary),
      max_values: maxs.map(binary),
      boundary_order: this.#boundaryOrder(mins, maxs),
      null_counts: this.#pages.map((page) => int64(page.nullCount)),
    })
  }

  statistics(nullCount: number): Statistics {
    const values = this.#values
    const statistics = filled(new Statistics(), { null_count: int64(nullCount) })
    if (values.distinctCount !== undefined) {
      statistics.distinct_count = int64(values.distinctCount)
    }
    const bounds = values.isOrdered ? this.#chunkBounds() : undefined
    if (bounds === undefined) return statistics
    const min = this.#cutMin(bounds.min)
    statistics.min_value = binary(min.bytes)
    statistics.is_min_value_exact = min.isExact
    const max = this.#cutMax(bounds.max)
    if (max !== undefined) {
      statistics.max_value = binary(max.bytes)
      statistics.is_max_value_exact = max.isExact
    }
    return statistics
  }

  #chunkBounds(): PageBounds | undefined {
    let min = -1
    let max = -1
    for (const { bounds } of this.#pages) {
      if (bounds === undefined) continue
      if (min < 0 || this.#values.compare(bounds.min, min) < 0) min = bounds.min
      if (max < 0 || this.#values.compare(bounds.max, max) > 0) max = bounds.max
    }
    return min < 0 ? undefined : { min, max }
  }

  #cutMin(position: number) {
    const bytes = this.#values.boundBytes(position, false)
    return cutMin(bytes, this.#bytesMax(), this.#isText())
  }

  #cutMax(position: number) {
    const bytes = this.#values.boundBytes(position, true)
    return cutMax(bytes, this.#bytesMax(), this.#isText())
  }

  #bytesMax(): number {
    return this.#field.physical === 'BYTE_ARRAY' ? BOUND_BYTES_MAX : 8
  }

  #isText(): boolean {
    return this.#field.logical === 'STRING' || this.#field.logical === 'JSON'
  }

  #boundaryOrder(mins: readonly Uint8Array[], maxs: readonly Uint8Array[]): BoundaryOrder {
    let rises = true
    let falls = true
    let previous = -1
    for (let page = 0; page < this.#pages.length; page++) {
      if (this.#pages[page]!.bounds === undefined) continue
      if (previous >= 0) {
        const min = this.#compareBounds('min', previous, page, mins)
        const max = this.#compareBounds('max', previous, page, maxs)
        if (min > 0 || max > 0) rises = false
        if (min < 0 || max < 0) falls = false
      }
      previous = page
    }
    if (rises) return BoundaryOrder.ASCENDING
    return falls ? BoundaryOrder.DESCENDING : BoundaryOrder.UNORDERED
  }

  /** Byte arrays as they are written: cutting could undo the order of the values behind them. */
  #compareBounds(side: 'min' | 'max', a: number, b: number, written: readonly Uint8Array[]) {
    if (this.#field.physical === 'BYTE_ARRAY') return Buffer.compare(written[a]!, written[b]!)
    return this.#values.compare(this.#pages[a]!.bounds![side], this.#pages[b]!.bounds![side])
  }
}
