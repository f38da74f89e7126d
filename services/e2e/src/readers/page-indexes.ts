/** Page indexes and exactness flags of a file, through hyparquet's Thrift reader. */
import { readFileSync } from 'node:fs'
import { parquetMetadata, type FileMetaData } from 'hyparquet'
import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js'

export interface PageIndex {
  readonly firstRows: readonly number[]
  readonly compressedBytes: readonly number[]
  readonly nullPages: readonly boolean[]
  readonly nullCounts: readonly number[] | null
  /** Bounds as hex of Parquet's plain encoding. */
  readonly mins: readonly string[]
  readonly maxs: readonly string[]
}

export interface FileIndexes {
  readonly metadata: FileMetaData
  /** Per row group and column: whether min and max are exact. */
  readonly exact: readonly (readonly [boolean, boolean])[][]
  readonly indexes: readonly (PageIndex | null)[][]
}

interface ColumnIndexStruct {
  readonly field_1: boolean[]
  readonly field_2: Uint8Array[]
  readonly field_3: Uint8Array[]
  readonly field_5?: bigint[]
}

interface OffsetIndexStruct {
  readonly field_1: readonly { field_2: number; field_3: bigint }[]
}

export function readIndexes(path: string): FileIndexes {
  const bytes = readFileSync(path)
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
  const metadata = parquetMetadata(buffer)
  const exact: (readonly [boolean, boolean])[][] = []
  const indexes: (PageIndex | null)[][] = []
  const struct = (offset: bigint): unknown =>
    deserializeTCompactProtocol({ view: new DataView(buffer, Number(offset)), offset: 0 })
  for (const { columns } of metadata.row_groups) {
    exact.push(
      columns.map(({ meta_data }) => [
        meta_data?.statistics?.is_min_value_exact === true,
        meta_data?.statistics?.is_max_value_exact === true,
      ]),
    )
    indexes.push(
      columns.map(({ column_index_offset, offset_index_offset }) =>
        column_index_offset === undefined || offset_index_offset === undefined
          ? null
          : pageIndex(
              struct(column_index_offset) as ColumnIndexStruct,
              struct(offset_index_offset) as OffsetIndexStruct,
            ),
      ),
    )
  }
  return { metadata, exact, indexes }
}

function pageIndex(column: ColumnIndexStruct, { field_1: pages }: OffsetIndexStruct): PageIndex {
  const hex = (bounds: readonly Uint8Array[]): string[] =>
    bounds.map((bound) => Buffer.from(bound).toString('hex'))
  return {
    firstRows: pages.map((page) => Number(page.field_3)),
    compressedBytes: pages.map((page) => page.field_2),
    nullPages: column.field_1,
    nullCounts: column.field_5?.map(Number) ?? null,
    mins: hex(column.field_2),
    maxs: hex(column.field_3),
  }
}
