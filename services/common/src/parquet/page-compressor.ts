/** Page compression through node:zlib: one synchronous call per page. */
import assert from 'node:assert/strict'
import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { CompressionCodec } from './thrift.ts'

const ZSTD_LEVEL_MAX = 22

export type Compression = 'zstd' | 'gzip' | 'brotli' | 'none'

export interface PageCompressor {
  readonly codec: CompressionCodec
  /** The returned bytes may alias the page. */
  compress(page: Uint8Array): Uint8Array
}

/**
 * Output buffer that nearly every page fits: hex ids halve, all else shrinks more. A fixed part of
 * the input, so that the same page always takes the same path through the compressor.
 */
function chunkSizeFor(length: number): number {
  return 512 + Math.ceil(length * 0.625)
}

export function pageCompressor(compression: Compression, zstdLevel: number): PageCompressor {
  switch (compression) {
    case 'zstd': {
      assert(zstdLevel >= 1 && zstdLevel <= ZSTD_LEVEL_MAX, 'a zstd level; -1 would mean 3')
      const params = { [constants.ZSTD_c_compressionLevel]: zstdLevel }
      return {
        codec: CompressionCodec.ZSTD,
        compress: (page) =>
          zstdCompressSync(page, { params, chunkSize: chunkSizeFor(page.length) }),
      }
    }
    case 'gzip':
      return {
        codec: CompressionCodec.GZIP,
        compress: (page) => gzipSync(page, { chunkSize: chunkSizeFor(page.length) }),
      }
    case 'brotli':
      return {
        codec: CompressionCodec.BROTLI,
        compress: (page) =>
          brotliCompressSync(page, {
            params: { [constants.BROTLI_PARAM_QUALITY]: 4 },
            chunkSize: chunkSizeFor(page.length),
          }),
      }
    case 'none':
      return UNCOMPRESSED
  }
}

/** Also for column chunks of a few bytes, where a call costs more than it saves. */
export const UNCOMPRESSED: PageCompressor = {
  codec: CompressionCodec.UNCOMPRESSED,
  compress: (page) => page,
}
