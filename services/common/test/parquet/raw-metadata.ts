/** Footer, indexes and page headers of a file, read with other people's Thrift readers. */
import * as generated from '@dsnp/parquetjs/dist/gen-nodejs/parquet_types.js'
import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js'
import { decodeThrift } from '@dsnp/parquetjs/dist/lib/util.js'

export function readFooter(file: Uint8Array): generated.FileMetaData {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  const length = bytes.readUInt32LE(bytes.length - 8)
  const footer = new generated.FileMetaData()
  decode(footer, bytes.subarray(bytes.length - 8 - length, bytes.length - 8))
  return footer
}

/** Decodes into the structure; returns the bytes that it took. */
export function decode(struct: object, bytes: Uint8Array): number {
  // the generated declarations leave the read method out
  return decodeThrift(struct as Parameters<typeof decodeThrift>[0], Buffer.from(bytes))
}

function decodeAt<T extends object>(struct: T, file: Uint8Array, offset: unknown): T {
  decode(struct, file.subarray(Number(offset)))
  return struct
}

export function readColumnIndex(file: Uint8Array, chunk: generated.ColumnChunk) {
  if (typeof chunk.column_index_offset !== 'object' || chunk.column_index_offset === null)
    return undefined
  const index = decodeAt(new generated.ColumnIndex(), file, chunk.column_index_offset)
  // Thrift's reader takes every boolean of a list for false
  const view = new DataView(file.buffer, file.byteOffset + Number(chunk.column_index_offset))
  index.null_pages = deserializeTCompactProtocol({ view, offset: 0 }).field_1 as boolean[]
  return index
}

export function readOffsetIndex(file: Uint8Array, chunk: generated.ColumnChunk) {
  const index = decodeAt(new generated.OffsetIndex(), file, chunk.offset_index_offset)
  return index.page_locations.map((location) => ({
    offset: Number(location.offset),
    bytes: location.compressed_page_size,
    firstRow: Number(location.first_row_index),
  }))
}

export interface RawPage {
  readonly header: generated.PageHeader
  readonly offset: number
  readonly body: Uint8Array
}

/** All pages of a chunk, walked header by header. */
export function readPages(file: Uint8Array, chunk: generated.ColumnChunk): RawPage[] {
  const metaData = chunk.meta_data!
  const pages: RawPage[] = []
  let at = Number(metaData.dictionary_page_offset ?? metaData.data_page_offset)
  const end = at + Number(metaData.total_compressed_size)
  while (at < end) {
    const header = new generated.PageHeader()
    const length = decode(header, file.subarray(at, end))
    const bodyEnd = at + length + header.compressed_page_size
    pages.push({ header, offset: at, body: file.subarray(at + length, bodyEnd) })
    at = bodyEnd
  }
  return pages
}
