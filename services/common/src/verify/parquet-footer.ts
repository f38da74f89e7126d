/**
 * Reads a Parquet file's footer and page indexes with the Thrift classes of @dsnp/parquetjs: nothing
 * of our own writer. Lengths that the file states are checked against the file before they are read.
 */
import { decodeThrift } from '@dsnp/parquetjs/dist/lib/util.js'

import { AppError } from '../errors.ts'
import { ColumnIndex, FileMetaData, OffsetIndex } from '../parquet/thrift.ts'

const MAGIC = 'PAR1'
/** The footer's length and the magic at the end of every Parquet file. */
const TRAILER_BYTES = 8
/** 1,000 columns x 100 row groups at 300 B of metadata each are 30 MB. */
const FOOTER_BYTES_MAX = 64 * 1024 * 1024
/** A page has 16 B of location, 2 x 64 B of bounds and some: 100,000 pages of a column are 16 MB. */
const INDEX_BYTES_MAX = 32 * 1024 * 1024

export interface ParquetFooter {
  readonly rows: number
  readonly rowsOfGroups: number
  readonly keyValues: ReadonlyMap<string, string>
}

/** Reads bytes of a file; fewer where it ends before. */
export type RangeReader = (offset: number, length: number) => Promise<Uint8Array>

/** A data page, as the indexes of its column tell of it. */
export interface IndexedPage {
  /** Of the row group. */
  readonly firstRow: number
  readonly rows: number
  /** As stored, header included. */
  readonly bytes: number
  /** Undefined: not stated. */
  readonly nulls: number | undefined
  /** Bounds in Parquet's plain encoding, possibly cut; undefined: not stated, or the page has only nulls. */
  readonly min: Uint8Array | undefined
  readonly max: Uint8Array | undefined
}

export interface IndexedColumn {
  readonly group: number
  /** Names joined by dots, as DuckDB's parquet_metadata has them. */
  readonly path: string
  /** Parquet's physical type as its number: 1 INT32, 2 INT64, 5 DOUBLE, 6 BYTE_ARRAY, ... */
  readonly physicalType: number
  /** Undefined: the column has no offset index. */
  readonly pages: readonly IndexedPage[] | undefined
}

/**
 * Reads the footer of a Parquet file of `fileBytes` bytes through `read`.
 * @throws AppError invalid_file
 */
export async function readParquetFooter(
  fileBytes: number,
  read: RangeReader,
): Promise<ParquetFooter> {
  const footer = await readFileMetadata(fileBytes, read)
  const groups = footer.row_groups ?? []
  return {
    rows: Number(footer.num_rows),
    rowsOfGroups: groups.reduce((sum, group) => sum + Number(group.num_rows), 0),
    keyValues: new Map(
      (footer.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? '']),
    ),
  }
}

/**
 * Gives the pages of every column chunk, row group by row group, one chunk in memory at a time.
 * @throws AppError invalid_file
 */
export async function* readPageIndexes(
  fileBytes: number,
  read: RangeReader,
): AsyncGenerator<IndexedColumn> {
  const footer = await readFileMetadata(fileBytes, read)
  for (const [group, { columns, num_rows }] of (footer.row_groups ?? []).entries()) {
    for (const chunk of listed(columns)) {
      const indexBytes = (offset: unknown, length: unknown): Promise<Buffer> => {
        const [start, count] = [Number(offset), Number(length)]
        const isInside = start >= 0 && count >= 0 && start + count <= fileBytes
        if (!isInside || count > INDEX_BYTES_MAX) throw invalid('has a page index outside of it')
        return read(start, count).then((bytes) => Buffer.from(bytes))
      }
      const { meta_data, offset_index_offset, column_index_offset } = chunk
      if (!meta_data?.path_in_schema) throw invalid('has a column without metadata')
      const locations = new OffsetIndex()
      const bounds = new ColumnIndex()
      const hasLocations = isStated(offset_index_offset)
      const hasBounds = isStated(column_index_offset)
      if (hasLocations) {
        decode(locations, await indexBytes(offset_index_offset, chunk.offset_index_length))
      }
      if (hasBounds) {
        decode(bounds, await indexBytes(column_index_offset, chunk.column_index_length))
      }
      yield {
        group,
        path: meta_data.path_in_schema.join('.'),
        physicalType: meta_data.type,
        pages: hasLocations
          ? pagesOf(locations, hasBounds ? bounds : undefined, Number(num_rows))
          : undefined,
      }
    }
  }
}

function pagesOf(
  { page_locations }: OffsetIndex,
  bounds: ColumnIndex | undefined,
  groupRows: number,
): IndexedPage[] {
  const firstRows = listed(page_locations).map(({ first_row_index }) => Number(first_row_index))
  return page_locations.map(({ compressed_page_size }, page) => {
    if (!isStated(compressed_page_size)) throw invalid('has a page without a size')
    const isOfNulls = bounds !== undefined && listed(bounds.null_pages)[page] === true
    const nulls = bounds?.null_counts?.[page]
    return {
      firstRow: firstRows[page]!,
      rows: (firstRows[page + 1] ?? groupRows) - firstRows[page]!,
      bytes: compressed_page_size,
      nulls: nulls === undefined ? undefined : Number(nulls),
      min: isOfNulls || bounds === undefined ? undefined : listed(bounds.min_values)[page],
      max: isOfNulls || bounds === undefined ? undefined : listed(bounds.max_values)[page],
    }
  })
}

/** A list that the format requires: the generated classes don't ask whether it was there. */
function listed<T>(list: readonly T[] | null | undefined): readonly T[] {
  if (!list) throw invalid('lacks a required list')
  return list
}

/** Absent fields of the generated classes are null or undefined. */
function isStated(value: unknown): boolean {
  return value !== undefined && value !== null
}

async function readFileMetadata(fileBytes: number, read: RangeReader): Promise<FileMetaData> {
  if (fileBytes < 2 * TRAILER_BYTES) throw invalid('is too short for a Parquet file')
  const trailer = Buffer.from(await read(fileBytes - TRAILER_BYTES, TRAILER_BYTES))
  if (trailer.length !== TRAILER_BYTES || trailer.toString('latin1', 4) !== MAGIC) {
    throw invalid('does not end as a Parquet file')
  }
  const footerBytes = trailer.readUInt32LE(0)
  if (footerBytes > fileBytes - TRAILER_BYTES || footerBytes > FOOTER_BYTES_MAX) {
    throw invalid('has a footer larger than itself')
  }
  const bytes = Buffer.from(await read(fileBytes - TRAILER_BYTES - footerBytes, footerBytes))
  const footer = new FileMetaData()
  decode(footer, bytes)
  return footer
}

function decode(into: FileMetaData | ColumnIndex | OffsetIndex, bytes: Buffer): void {
  try {
    decodeThrift(into, bytes)
  } catch (error) {
    throw invalid('has a part that is no Thrift', error)
  }
}

function invalid(problem: string, cause?: unknown): AppError {
  return new AppError('invalid_file', `file ${problem}`, { cause })
}
