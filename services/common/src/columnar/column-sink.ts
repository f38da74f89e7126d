/**
 * Puts the nodes and buffers of columns into the output, through typed views of it that are made
 * once per batch. The order of a column's buffers is Arrow's; arrow-kernels.ts has the loops.
 */
import {
  boundsOfRows,
  narrowIds16,
  narrowIds8,
  packBits,
  scatter128,
  scatter32,
  scatter64,
  setValidBits,
  spreadOffsets,
} from './arrow-kernels.ts'
import type { BatchMessage } from './arrow-message-writer.ts'
import type { ByteDictionary } from './byte-dictionary.ts'
import type { BytesColumn } from './bytes-column.ts'
import { runEnd, type ColumnWriting } from './column-writing.ts'
import type {
  BoolColumn,
  Fixed32Column,
  Fixed64Column,
  FixedBytesColumn,
  ListColumn,
} from './fixed-columns.ts'
import type { RowNumbers } from './row-numbers.ts'
import type { RunColumn } from './run-column.ts'
import type { IdListColumn } from './sparse-attributes.ts'

export class ColumnSink {
  readonly #bytes: Uint8Array
  readonly #int8: Int8Array
  readonly #int16: Int16Array
  readonly #int32: Int32Array
  readonly #message: BatchMessage

  /** `out` starts 8-byte aligned in its buffer, shared or not; positions count from its start. */
  constructor(out: Uint8Array, message: BatchMessage) {
    const { buffer, byteOffset, byteLength } = out
    this.#bytes = out
    this.#int8 = new Int8Array(buffer, byteOffset, byteLength)
    this.#int16 = new Int16Array(buffer, byteOffset, byteLength >> 1)
    this.#int32 = new Int32Array(buffer, byteOffset, byteLength >> 2)
    this.#message = message
  }

  /** The body of a dictionary batch. */
  dictionary(entries: ByteDictionary): void {
    this.#message.node(entries.size, 0)
    this.#message.buffer(0)
    this.#copy32(entries.offsets, entries.size + 1)
    this.#copyBytes(entries.bytes, entries.byteLength)
  }

  /** A column's share of the record batch. */
  column(writing: ColumnWriting, rowCount: number): void {
    const { column, nullCount } = writing
    this.#message.node(rowCount, nullCount)
    if (nullCount === 0 || column.kind === 'runs' || column.kind === 'id_list') {
      this.#message.buffer(0)
    } else this.#validity(column.rows, rowCount)
    switch (column.kind) {
      case 'runs':
        return writing.indexBytes === 0
          ? this.#plainRuns(column, rowCount, writing.plainBytes)
          : this.#runs(column, rowCount, writing.indexBytes)
      case 'bytes':
        return writing.indexBytes === 0
          ? this.#plain(column, rowCount, writing.plainBytes)
          : this.#ids(column, rowCount, writing.indexBytes)
      case 'fixed64':
        return this.#fixed64(column, rowCount)
      case 'fixed32':
        return this.#fixed32(column, rowCount)
      case 'bool':
        return this.#bool(column, rowCount)
      case 'fixed_bytes':
        return this.#fixedBytes(column, rowCount)
      case 'list':
        return this.#list(column, rowCount)
      case 'id_list':
        return this.#idList(column, rowCount, writing.indexBytes)
    }
  }

  #validity(rows: RowNumbers, rowCount: number): void {
    const at = this.#message.buffer((rowCount + 7) >>> 3)
    setValidBits(numbersOf(rows), rows.count, this.#bytes, at)
  }

  #runs(column: RunColumn, rowCount: number, indexBytes: 1 | 2 | 4): void {
    const at = this.#message.buffer(rowCount * indexBytes) / indexBytes
    const out = indexBytes === 1 ? this.#int8 : indexBytes === 2 ? this.#int16 : this.#int32
    for (let run = 0; run < column.runCount; run++) {
      const end = runEnd(column, run, rowCount)
      out.fill(column.runIds[run]!, at + column.runStarts[run]!, at + end)
    }
  }

  #plainRuns(column: RunColumn, rowCount: number, plainBytes: number): void {
    const { bytes, offsets } = column.entries
    const offsetsAt = this.#message.buffer(4 * (rowCount + 1)) >> 2
    const dataAt = this.#message.buffer(plainBytes)
    let end = 0
    for (let run = 0; run < column.runCount; run++) {
      const id = column.runIds[run]!
      const entry = bytes.subarray(offsets[id], offsets[id + 1])
      for (let row = column.runStarts[run]!; row < runEnd(column, run, rowCount); row++) {
        this.#bytes.set(entry, dataAt + end)
        end += entry.byteLength
        this.#int32[offsetsAt + row + 1] = end
      }
    }
  }

  #ids(column: BytesColumn, rowCount: number, indexBytes: 1 | 2 | 4): void {
    const { ids, count } = column
    const numbers = numbersOf(column.rows)
    const at = this.#message.buffer(rowCount * indexBytes)
    if (indexBytes === 1) narrowIds8(ids, numbers, count, this.#int8, at)
    else if (indexBytes === 2) narrowIds16(ids, numbers, count, this.#int16, at >> 1)
    else this.#place32(ids, numbers, count, at >> 2)
  }

  /** A column with all its values in order, or ids that are written out. */
  #plain(column: BytesColumn, rowCount: number, plainBytes: number): void {
    const { entries, count } = column
    const numbers = numbersOf(column.rows)
    if (!column.isDictionary) {
      this.#offsets(entries.offsets, numbers, count, rowCount)
      this.#copyBytes(entries.bytes, entries.byteLength)
      return
    }
    const { bytes, offsets } = entries
    const ends = new Int32Array(count + 1)
    const offsetsAt = this.#message.buffer(4 * (rowCount + 1)) >> 2
    const dataAt = this.#message.buffer(plainBytes)
    for (let index = 0; index < count; index++) {
      const id = column.ids[index]!
      const start = offsets[id]!
      const end = offsets[id + 1]!
      this.#bytes.set(bytes.subarray(start, end), dataAt + ends[index]!)
      ends[index + 1] = ends[index]! + end - start
    }
    spreadOffsets(ends, numbers, count, rowCount, this.#int32, offsetsAt)
  }

  #fixed64({ values, rows }: Fixed64Column, rowCount: number): void {
    const numbers = numbersOf(rows)
    const at = this.#message.buffer(8 * rowCount) >> 2
    if (numbers === undefined) this.#set32(values, 2 * rows.count, at)
    else scatter64(values, numbers, rows.count, this.#int32, at)
  }

  #fixed32({ values, rows }: Fixed32Column, rowCount: number): void {
    const at = this.#message.buffer(4 * rowCount) >> 2
    this.#place32(values, numbersOf(rows), rows.count, at)
  }

  #bool({ values, rows }: BoolColumn, rowCount: number): void {
    const at = this.#message.buffer((rowCount + 7) >>> 3)
    packBits(values, numbersOf(rows), rows.count, this.#bytes, at)
  }

  #fixedBytes({ values, rows, width }: FixedBytesColumn, rowCount: number): void {
    const numbers = numbersOf(rows)
    const at = this.#message.buffer(width * rowCount) >> 2
    if (numbers === undefined) this.#set32(values, (width >> 2) * rows.count, at)
    else if (width === 16) scatter128(values, numbers, rows.count, this.#int32, at)
    else scatter64(values, numbers, rows.count, this.#int32, at)
  }

  #list({ values, offsets, rows }: ListColumn, rowCount: number): void {
    const itemCount = offsets[rows.count]!
    this.#offsets(offsets, numbersOf(rows), rows.count, rowCount)
    this.#message.node(itemCount, 0)
    this.#message.buffer(0)
    this.#set32(values, 2 * itemCount, this.#message.buffer(8 * itemCount) >> 2)
  }

  #idList({ ids, pairs }: IdListColumn, rowCount: number, indexBytes: number): void {
    const { rows, count } = pairs
    const boundsAt = this.#message.buffer(4 * (rowCount + 1)) >> 2
    boundsOfRows(rows, count, rowCount, this.#int32, boundsAt)
    this.#message.node(count, 0)
    this.#message.buffer(0)
    const at = this.#message.buffer(count * indexBytes)
    if (indexBytes === 1) narrowIds8(ids, undefined, count, this.#int8, at)
    else if (indexBytes === 2) narrowIds16(ids, undefined, count, this.#int16, at >> 1)
    else this.#set32(ids, count, at >> 2)
  }

  #offsets(
    offsets: Int32Array,
    numbers: Int32Array | undefined,
    count: number,
    rowCount: number,
  ): void {
    const at = this.#message.buffer(4 * (rowCount + 1)) >> 2
    if (count === rowCount) this.#set32(offsets, count + 1, at)
    else spreadOffsets(offsets, numbers, count, rowCount, this.#int32, at)
  }

  #place32(values: Int32Array, numbers: Int32Array | undefined, count: number, at: number): void {
    if (numbers === undefined) this.#set32(values, count, at)
    else scatter32(values, numbers, count, this.#int32, at)
  }

  #copy32(values: Int32Array, count: number): void {
    this.#set32(values, count, this.#message.buffer(4 * count) >> 2)
  }

  #set32(values: Int32Array, count: number, at: number): void {
    this.#int32.set(values.subarray(0, count), at)
  }

  #copyBytes(bytes: Uint8Array, byteCount: number): void {
    this.#bytes.set(bytes.subarray(0, byteCount), this.#message.buffer(byteCount))
  }
}

/** The rows of the values, undefined where value i is row i's. */
function numbersOf(rows: RowNumbers): Int32Array | undefined {
  return rows.isDense ? undefined : rows.numbers
}
