/**
 * One column of one row group, as the flush hands it to the writer: typed arrays in row order,
 * nulls left out. 64-bit integers are pairs of little-endian 32-bit halves (lo, hi), because
 * BigInt objects cost more than the encoding itself.
 */

/**
 * Distinct values by id. BYTE_ARRAY entries are the bytes themselves; entries of INT64 and DOUBLE
 * columns are 8 little-endian bytes, of INT32 columns 4, of BOOLEAN columns one (0 or 1).
 * May hold entries that no row uses, in any order; a value stands in it only once.
 */
export interface ValueDictionary {
  readonly data: Uint8Array
  /** Entries + 1 positions in `data`. */
  readonly offsets: Int32Array
}

export type LeafValues =
  | { readonly kind: 'int32'; readonly values: Int32Array }
  | { readonly kind: 'int64'; readonly halves: Int32Array }
  | { readonly kind: 'double'; readonly values: Float64Array }
  /** 0 or 1 each. */
  | { readonly kind: 'boolean'; readonly values: Uint8Array }
  /** Byte arrays one after another; offsets holds count + 1 positions. */
  | { readonly kind: 'bytes'; readonly data: Uint8Array; readonly offsets: Int32Array }
  /** One id per present value. */
  | { readonly kind: 'dictionary'; readonly ids: Int32Array; readonly dictionary: ValueDictionary }
  /** Columns that are constant over runs of rows; id -1 is a run of nulls. Flat columns only. */
  | {
      readonly kind: 'runs'
      readonly runLengths: Int32Array
      readonly runIds: Int32Array
      readonly dictionary: ValueDictionary
    }

export interface LeafColumn {
  readonly values: LeafValues
  /** Present (not null) values. */
  readonly count: number
  /** Bitmap over rows (or elements of a list), least significant bit first; absent: all present. */
  readonly presence?: Uint8Array | undefined
}

export interface ListColumn {
  /** Bitmap over rows: 0 is a null list, unlike an empty one. Absent: no list is null. */
  readonly listPresence?: Uint8Array | undefined
  /** rows + 1 element positions, from 0; a null list has no elements. */
  readonly offsets: Int32Array
  /** One per leaf of the element, in field order; their presence is over elements. */
  readonly leaves: readonly LeafColumn[]
}
