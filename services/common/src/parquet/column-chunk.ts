/** One column chunk: dictionary page, then data pages at row boundaries, compressed and checked. */
import { crc32 } from 'node:zlib'
import type { ByteSink } from './byte-sink.ts'
import type { ChunkValues, DictionaryPage } from './chunk-values.ts'
import type { ColumnLevels } from './column-levels.ts'
import { type PageCompressor, UNCOMPRESSED } from './page-compressor.ts'
import { PageBuffer } from './page-buffer.ts'
import { PageIndex } from './page-index.ts'
import type { SchemaLeaf } from './schema.ts'
import {
  ColumnMetaData,
  type CompressionCodec,
  CompressionCodec as Codec,
  DataPageHeader,
  DictionaryPageHeader,
  Encoding,
  filled,
  int64,
  PageEncodingStats,
  PageHeader,
  PageType,
  serializeThrift,
  Type,
} from './thrift.ts'

export interface ChunkOptions {
  readonly compressor: PageCompressor
  readonly pageRowsMax: number
  readonly pageBytesMax: number
  /** Chunks in which no page can differ from another are one page, whatever their rows. */
  readonly joinsUniformPages: boolean
}

export interface WrittenChunk {
  readonly metaData: ColumnMetaData
  readonly index: PageIndex
  readonly bytes: number
  readonly uncompressedBytes: number
}

/** Chunks up to this size stay uncompressed: zstd's call costs 15 us and would save less. */
const TINY_BYTES_MAX = 128
/**
 * A delta page this many times smaller than PLAIN is taken without trying PLAIN: zstd brings plain
 * times of many resources to 4 bytes at best, and a delta below 3.2 is under that.
 */
const DELTA_CLEARLY_SMALLER = 2.5

/** Shared by all files of the thread: pages are built one at a time, synchronously. */
const page = new PageBuffer()

interface DataPage {
  readonly compressed: Uint8Array
  readonly uncompressedBytes: number
  readonly encoding: Encoding
}

export function writeColumnChunk(
  leaf: SchemaLeaf,
  values: ChunkValues,
  count: number,
  levels: ColumnLevels,
  options: ChunkOptions,
  sink: ByteSink,
): WrittenChunk {
  const compressor = isTiny(values, count, levels) ? UNCOMPRESSED : options.compressor
  const isWhole = options.joinsUniformPages && isUniform(values, count, levels)
  const pageRowsMax = isWhole ? levels.rowCount : options.pageRowsMax
  const index = new PageIndex(leaf.field, values)
  const start = sink.position
  let uncompressedBytes = 0
  if (values.dictionary !== undefined) {
    uncompressedBytes += writeDictionaryPage(values.dictionary, compressor, sink)
  }
  const dataStart = sink.position
  const pagesByEncoding = new Map<Encoding, number>()
  let valueFrom = 0
  for (let row = 0; row < levels.rowCount;) {
    const rowTo = pageEnd(row, valueFrom, values, levels, pageRowsMax, options.pageBytesMax)
    const valueTo = valueFrom + levels.valuesBetween(row, rowTo)
    const slots = levels.slotsBetween(row, rowTo)
    const data = buildDataPage(row, rowTo, valueFrom, valueTo, values, levels, compressor)
    const offset = sink.position
    uncompressedBytes += data.uncompressedBytes + writeDataPage(data, slots, sink)
    index.add({
      firstRow: row,
      offset,
      bytes: sink.position - offset,
      nullCount: slots - (valueTo - valueFrom),
      bounds:
        valueTo > valueFrom && values.isOrdered ? values.bounds(valueFrom, valueTo) : undefined,
    })
    pagesByEncoding.set(data.encoding, (pagesByEncoding.get(data.encoding) ?? 0) + 1)
    row = rowTo
    valueFrom = valueTo
  }
  const metaData = filled(new ColumnMetaData(), {
    type: Type[leaf.field.physical],
    encodings: chunkEncodings(pagesByEncoding, leaf, values),
    path_in_schema: [...leaf.path],
    codec: compressor.codec,
    num_values: int64(levels.slotCount),
    total_uncompressed_size: int64(uncompressedBytes),
    total_compressed_size: int64(sink.position - start),
    data_page_offset: int64(dataStart),
    statistics: index.statistics(levels.slotCount - count),
    encoding_stats: encodingStats(pagesByEncoding, values),
  })
  if (values.dictionary !== undefined) metaData.dictionary_page_offset = int64(start)
  return { metaData, index, bytes: sink.position - start, uncompressedBytes }
}

function isTiny(values: ChunkValues, count: number, levels: ColumnLevels): boolean {
  const dictionaryBytes = values.dictionary?.bytes.length ?? 0
  const levelBytes = count === 0 || count === levels.slotCount ? 0 : levels.slotCount >>> 3
  return dictionaryBytes + levelBytes + values.encodedBytes(0, count) <= TINY_BYTES_MAX
}

/** All null, or everywhere the same value: an index of pages would say nothing. */
function isUniform(values: ChunkValues, count: number, levels: ColumnLevels): boolean {
  return count === 0 || (count === levels.slotCount && values.dictionary?.entryCount === 1)
}

/** Rows halve until the page fits; a single row is never split. */
function pageEnd(
  row: number,
  valueFrom: number,
  values: ChunkValues,
  levels: ColumnLevels,
  pageRowsMax: number,
  pageBytesMax: number,
): number {
  let rows = Math.min(pageRowsMax, levels.rowCount - row)
  while (rows > 1) {
    const valueTo = valueFrom + levels.valuesBetween(row, row + rows)
    const levelBytes = levels.slotsBetween(row, row + rows) >>> 2
    if (values.encodedBytes(valueFrom, valueTo) + levelBytes <= pageBytesMax) break
    rows = (rows + 1) >>> 1
  }
  return row + rows
}

function buildDataPage(
  rowFrom: number,
  rowTo: number,
  valueFrom: number,
  valueTo: number,
  values: ChunkValues,
  levels: ColumnLevels,
  compressor: PageCompressor,
): DataPage {
  page.reset()
  levels.write(page, rowFrom, rowTo)
  const levelsEnd = page.length
  const isDictionary = values.dictionary !== undefined
  if (valueFrom === valueTo && !isDictionary) {
    // no delta encoding of nothing: an empty PLAIN section is read everywhere
    const compressed = compressor.compress(page.written())
    return { compressed, uncompressedBytes: page.length, encoding: Encoding.PLAIN }
  }
  let best: DataPage | undefined
  for (const encoding of values.encodings) {
    page.length = levelsEnd
    values.encode(encoding, valueFrom, valueTo, page)
    const compressed = compressor.compress(page.written())
    if (best === undefined || compressed.length < best.compressed.length) {
      best = {
        compressed: ownBytes(compressed, compressor.codec, values.encodings.length),
        uncompressedBytes: page.length,
        encoding,
      }
    }
    const encodedBytes = page.length - levelsEnd
    if (encodedBytes * DELTA_CLEARLY_SMALLER <= values.encodedBytes(valueFrom, valueTo)) break
  }
  return best!
}

/** Uncompressed bytes are the page itself, which the next candidate overwrites. */
function ownBytes(bytes: Uint8Array, codec: CompressionCodec, candidates: number): Uint8Array {
  return codec === Codec.UNCOMPRESSED && candidates > 1 ? bytes.slice() : bytes
}

/** Returns the header's size, which counts as uncompressed bytes of the chunk. */
function writeDataPage(data: DataPage, slots: number, sink: ByteSink): number {
  const header = serializeThrift(
    filled(new PageHeader(), {
      type: PageType.DATA_PAGE,
      uncompressed_page_size: data.uncompressedBytes,
      compressed_page_size: data.compressed.length,
      crc: crc32(data.compressed) | 0,
      data_page_header: filled(new DataPageHeader(), {
        num_values: slots,
        encoding: data.encoding,
        definition_level_encoding: Encoding.RLE,
        repetition_level_encoding: Encoding.RLE,
      }),
    }),
  )
  sink.append(header)
  sink.append(data.compressed)
  return header.length
}

function writeDictionaryPage(
  dictionary: DictionaryPage,
  compressor: PageCompressor,
  sink: ByteSink,
): number {
  const compressed = compressor.compress(dictionary.bytes)
  const header = serializeThrift(
    filled(new PageHeader(), {
      type: PageType.DICTIONARY_PAGE,
      uncompressed_page_size: dictionary.bytes.length,
      compressed_page_size: compressed.length,
      crc: crc32(compressed) | 0,
      dictionary_page_header: filled(new DictionaryPageHeader(), {
        num_values: dictionary.entryCount,
        encoding: Encoding.PLAIN,
      }),
    }),
  )
  sink.append(header)
  sink.append(compressed)
  return header.length + dictionary.bytes.length
}

function chunkEncodings(
  pages: ReadonlyMap<Encoding, number>,
  leaf: SchemaLeaf,
  values: ChunkValues,
): Encoding[] {
  const encodings = new Set(pages.keys())
  if (values.dictionary !== undefined) encodings.add(Encoding.PLAIN)
  if (leaf.maxDefinitionLevel > 0) encodings.add(Encoding.RLE)
  return [...encodings].sort((a, b) => a - b)
}

function encodingStats(
  pages: ReadonlyMap<Encoding, number>,
  values: ChunkValues,
): PageEncodingStats[] {
  const stats = [...pages].map(([encoding, count]) =>
    filled(new PageEncodingStats(), { page_type: PageType.DATA_PAGE, encoding, count }),
  )
  if (values.dictionary !== undefined) {
    const encoding = Encoding.PLAIN
    stats.unshift(
      filled(new PageEncodingStats(), { page_type: PageType.DICTIONARY_PAGE, encoding, count: 1 }),
    )
  }
  return stats
}
