/**
 * A column batch opened for reading: typed views straight onto the bytes of its Arrow stream.
 *
 * Invariant: whatever the bytes were, a view that exists is safe to read by its own numbers. Every
 * buffer is as long as its column needs; offsets start at 0, never fall and end inside the values;
 * dictionary ids are in range in every row, null rows included; null counts equal the bitmaps. All
 * of that is checked when the batch is opened, once, by plain loops (about 10 us per 1,000 rows);
 * nothing is checked later. Not checked: that Utf8 values are UTF-8 (the decoder made them so and
 * the envelope's CRC covers them). What the columns mean is docs/format/batch.md.
 */
import { readArrowStream } from './arrow-stream-reader.ts'

export type ColumnType =
  | 'utf8'
  | 'binary'
  | 'uint64'
  | 'int64'
  | 'int32'
  | 'uint32'
  | 'float64'
  | 'bool'
  | 'fixed16'
  | 'fixed8'
  | 'list_float64'
  | 'list_uint64'
  | 'list_utf8'
  | 'list_binary'

export type DictionaryIndices = Int8Array | Int16Array | Int32Array

export interface ColumnView {
  /** Arrow field name, for example 'time_unix_nano' or 'attributes.http.method@string'. */
  readonly name: string
  /** Type of a value; of the dictionary's values when there are `indices`. */
  readonly type: ColumnType
  readonly nullCount: number
  /** Arrow bitmap, least significant bit first, 1 is a value; undefined when `nullCount` is 0. */
  readonly validity: Uint8Array | undefined
  /**
   * One dictionary id per row, in range also where the row is null; undefined for plain columns. In
   * lists of utf8 or binary, one per item.
   */
  readonly indices: DictionaryIndices | undefined
  /** Entries in `values`: rows, or dictionary entries. */
  readonly length: number
  /**
   * Fixed width: length * width bytes, 8-aligned (bool: a bitmap). utf8 and binary: the bytes of all
   * values. Lists of numbers: the child values, 8 bytes each.
   */
  readonly values: Uint8Array
  /** length + 1 bounds in bytes (utf8, binary) or child values (lists of numbers), the first 0. */
  readonly offsets: Int32Array | undefined
  /** Lists of utf8 or binary: a bound in `indices` per row and one more, the first 0. */
  readonly lists: Int32Array | undefined
}

export interface BatchView {
  readonly rowCount: number
  readonly columns: readonly ColumnView[]
  column(name: string): ColumnView | undefined
}

/**
 * Opens the Arrow IPC stream of a batch. Views are zero-copy and share the stream's memory, which
 * must start at a multiple of 8 in its buffer; a stream that does not is copied once, whole. Throws
 * AppError('envelope_damaged') where the bytes are not a batch. (Arrow columnar format 1.5, IPC.)
 */
export function openBatch(arrowStream: Uint8Array): BatchView {
  const { rowCount, columns, indexByName } = readArrowStream(arrowStream)
  return new OpenedBatch(rowCount, columns, indexByName)
}

class OpenedBatch implements BatchView {
  readonly rowCount: number
  readonly columns: readonly ColumnView[]
  readonly #indexByName: ReadonlyMap<string, number>

  constructor(
    rowCount: number,
    columns: readonly ColumnView[],
    indexByName: ReadonlyMap<string, number>,
  ) {
    this.rowCount = rowCount
    this.columns = columns
    this.#indexByName = indexByName
  }

  column(name: string): ColumnView | undefined {
    const index = this.#indexByName.get(name)
    return index === undefined ? undefined : this.columns[index]
  }
}
