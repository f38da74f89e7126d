/**
 * Writes one Parquet file, column by column and row group by row group, to a sink.
 *
 *     "PAR1" | per row group: its column chunks, then their bloom filters
 *            | column indexes | offset indexes | FileMetaData | its length in 4 bytes | "PAR1"
 *
 * Invariant: calls come as startRowGroup, writeColumn for every field in order, finishRowGroup;
 * what is held between row groups is their metadata and indexes only. Equal input gives equal
 * bytes. Leaves to others: gathering and sorting rows, and that `sortingColumns` is true.
 */
import assert from 'node:assert/strict'
import { BloomFilterWriter, buildBloomFilter } from './bloom-filter.ts'
import { ByteSink } from './byte-sink.ts'
import { writeColumnChunk, type ChunkOptions } from './column-chunk.ts'
import { flatLevels, ListLevels, type ColumnLevels } from './column-levels.ts'
import type { LeafColumn, ListColumn } from './column-values.ts'
import { type Compression, pageCompressor } from './page-compressor.ts'
import { listSlots } from './list-levels.ts'
import type { PageIndex } from './page-index.ts'
import { type Field, type SchemaLeaf, schemaElements, schemaLeaves } from './schema.ts'
import {
  ColumnChunk,
  ColumnOrder,
  FileMetaData,
  filled,
  int64,
  KeyValue,
  RowGroup,
  serializeThrift,
  ThriftSortingColumn,
  TypeDefinedOrder,
} from './thrift.ts'
import { planValues } from './values-plan.ts'

/** tables.md: zstd changes its parameters above 256 KiB of input, 20k rows of most stay below. */
const PAGE_ROWS_MAX = 20_000
const PAGE_BYTES_MAX = 1024 * 1024
/** Level 3 came out larger on logs; -1 silently means 3. */
const ZSTD_LEVEL = 1
const MAGIC = Buffer.from('PAR1')
const FORMAT_VERSION = 2

/** A column that the file lacks is skipped: rows agree on it, so the rest of the order holds. */
export interface SortingColumn {
  readonly column: string
  readonly descending: boolean
  readonly nullsFirst: boolean
}

export interface ParquetFileOptions {
  readonly fields: readonly Field[]
  /** Takes the file's bytes in order; each buffer is the sink's to keep. */
  readonly sink: (bytes: Uint8Array) => void
  readonly sortingColumns: readonly SortingColumn[]
  readonly createdBy: string
  readonly compression?: Compression
  readonly zstdLevel?: number
  /** Where it is given, it holds for uniform columns too. */
  readonly pageRowsMax?: number
  /** Of a page before compression; a single row may pass it. */
  readonly pageBytesMax?: number
}

export interface ParquetFileSummary {
  readonly rows: number
  readonly bytes: number
  readonly rowGroups: number
}

interface IndexedChunk {
  readonly chunk: ColumnChunk
  readonly columnIndex: Uint8Array | undefined
  readonly offsetIndex: Uint8Array
}

export class ParquetFileWriter {
  readonly #fields: readonly Field[]
  readonly #leaves: readonly (readonly SchemaLeaf[])[]
  readonly #sink: ByteSink
  readonly #chunkOptions: ChunkOptions
  readonly #createdBy: string
  readonly #sortingColumns: ThriftSortingColumn[]
  readonly #rowGroups: RowGroup[] = []
  readonly #chunks: IndexedChunk[] = []
  #blooms: BloomFilterWriter[] = []
  #rows = 0
  /** Rows of the open row group, or -1. */
  #rowCount = -1
  #nextColumn = 0
  #groupStart = 0
  #groupChunks: ColumnChunk[] = []
  #groupUncompressedBytes = 0

  constructor(options: ParquetFileOptions) {
    this.#fields = options.fields
    this.#leaves = schemaLeaves(options.fields)
    this.#sink = new ByteSink(options.sink)
    this.#chunkOptions = {
      compressor: pageCompressor(options.compression ?? 'zstd', options.zstdLevel ?? ZSTD_LEVEL),
      pageRowsMax: options.pageRowsMax ?? PAGE_ROWS_MAX,
      pageBytesMax: options.pageBytesMax ?? PAGE_BYTES_MAX,
      joinsUniformPages: options.pageRowsMax === undefined,
    }
    assert(this.#chunkOptions.pageRowsMax > 0, 'a page holds at least one row')
    this.#createdBy = options.createdBy
    this.#sortingColumns = sortingColumns(this.#leaves, options.sortingColumns)
    this.#sink.append(MAGIC)
  }

  /** A row group of 0 rows leaves nothing in the file. */
  startRowGroup(rowCount: number): void {
    assert(this.#rowCount < 0, 'the row group before is finished')
    assert(Number.isInteger(rowCount) && rowCount >= 0, 'a row count')
    this.#rowCount = rowCount
    this.#nextColumn = 0
    this.#groupStart = this.#sink.position
    this.#groupChunks = []
    this.#groupUncompressedBytes = 0
    this.#blooms = []
  }

  writeColumn(index: number, column: LeafColumn | ListColumn): void {
    assert(this.#rowCount >= 0, 'a row group is open')
    assert.equal(index, this.#nextColumn, 'columns come in order, each once')
    this.#nextColumn++
    if (this.#rowCount === 0) return
    const field = this.#fields[index]!
    const leaves = this.#leaves[index]!
    if (field.kind === 'leaf') {
      assert('values' in column, 'a flat column for a flat field')
      const leaf = leaves[0]!
      this.#writeChunk(leaf, column, flatLevels(leaf, column, this.#rowCount))
      return
    }
    assert('leaves' in column, 'a list column for a list field')
    assert.equal(column.leaves.length, leaves.length, 'a column per leaf of the element')
    const slots = listSlots(column, this.#rowCount)
    for (const [i, leaf] of leaves.entries()) {
      const values = column.leaves[i]!
      this.#writeChunk(leaf, values, new ListLevels(field, slots, leaf, values))
    }
  }

  finishRowGroup(): void {
    assert(this.#rowCount >= 0, 'a row group is open')
    assert.equal(this.#nextColumn, this.#fields.length, 'every column is written')
    const rowCount = this.#rowCount
    this.#rowCount = -1
    if (rowCount === 0) return
    const chunkBytes = this.#sink.position - this.#groupStart
    for (const bloom of this.#blooms) bloom.write(this.#sink)
    this.#blooms = []
    const rowGroup = filled(new RowGroup(), {
      columns: this.#groupChunks,
      total_byte_size: int64(this.#groupUncompressedBytes),
      num_rows: int64(rowCount),
      file_offset: int64(this.#groupStart),
      total_compressed_size: int64(chunkBytes),
    })
    if (this.#sortingColumns.length > 0) rowGroup.sorting_columns = this.#sortingColumns
    // i16 in the format; a file of more row groups goes without
    if (this.#rowGroups.length < 0x8000) rowGroup.ordinal = this.#rowGroups.length
    this.#rowGroups.push(rowGroup)
    this.#rows += rowCount
  }

  /** Writes indexes and footer. The writer is of no use afterwards. */
  finish(keyValues: readonly (readonly [string, string])[]): ParquetFileSummary {
    assert(this.#rowCount < 0, 'the last row group is finished')
    this.#writeIndexes()
    const footer = serializeThrift(
      filled(new FileMetaData(), {
        version: FORMAT_VERSION,
        schema: schemaElements(this.#fields),
        num_rows: int64(this.#rows),
        row_groups: this.#rowGroups,
        key_value_metadata: keyValues.map(([key, value]) => new KeyValue({ key, value })),
        created_by: this.#createdBy,
        column_orders: this.#leaves.flat().map(typeDefinedOrder),
      }),
    )
    this.#sink.append(footer)
    const tail = Buffer.alloc(8)
    tail.writeUInt32LE(footer.length)
    MAGIC.copy(tail, 4)
    this.#sink.append(tail)
    this.#sink.flush()
    return { rows: this.#rows, bytes: this.#sink.position, rowGroups: this.#rowGroups.length }
  }

  #writeChunk(leaf: SchemaLeaf, column: LeafColumn, levels: ColumnLevels): void {
    const { field } = leaf
    const hasBloom = field.bloom === true && column.count > 0
    // ids are hashed before they are planned: the count of distinct ones tells what 256 can't
    const early =
      hasBloom && column.values.kind === 'bytes'
        ? buildBloomFilter({ ...column.values, width: 0, count: column.count })
        : undefined
    const values = planValues(field.physical, column.values, column.count, early?.distinct)
    const written = writeColumnChunk(
      leaf,
      values,
      column.count,
      levels,
      this.#chunkOptions,
      this.#sink,
    )
    if (hasBloom) {
      const filter = early ?? buildBloomFilter(values.bloomInput(), values.distinctCount)
      this.#blooms.push(new BloomFilterWriter(filter, written.metaData))
    }
    const chunk = filled(new ColumnChunk(), { file_offset: int64(0), meta_data: written.metaData })
    this.#groupChunks.push(chunk)
    this.#groupUncompressedBytes += written.uncompressedBytes
    this.#chunks.push({ chunk, ...serializeIndexes(written.index) })
  }

  #writeIndexes(): void {
    for (const { chunk, columnIndex } of this.#chunks) {
      if (columnIndex === undefined) continue
      chunk.column_index_offset = int64(this.#sink.position)
      chunk.column_index_length = columnIndex.length
      this.#sink.append(columnIndex)
    }
    for (const { chunk, offsetIndex } of this.#chunks) {
      chunk.offset_index_offset = int64(this.#sink.position)
      chunk.offset_index_length = offsetIndex.length
      this.#sink.append(offsetIndex)
    }
  }
}

function serializeIndexes(index: PageIndex): Omit<IndexedChunk, 'chunk'> {
  const columnIndex = index.columnIndex()
  return {
    columnIndex: columnIndex === undefined ? undefined : serializeThrift(columnIndex),
    offsetIndex: serializeThrift(index.offsetIndex()),
  }
}

function sortingColumns(
  leaves: readonly (readonly SchemaLeaf[])[],
  columns: readonly SortingColumn[],
): ThriftSortingColumn[] {
  const flat = leaves.flat()
  return columns.flatMap(({ column, descending, nullsFirst }) => {
    const column_idx = flat.findIndex((leaf) => leaf.path.length === 1 && leaf.path[0] === column)
    if (column_idx < 0) return []
    return [new ThriftSortingColumn({ column_idx, descending, nulls_first: nullsFirst })]
  })
}

function typeDefinedOrder(): ColumnOrder {
  return new ColumnOrder({ TYPE_ORDER: new TypeDefinedOrder() })
}
