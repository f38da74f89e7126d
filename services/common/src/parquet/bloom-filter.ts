/**
 * Split-block bloom filters (parquet-format, BloomFilter.md; XXH64, blocks of 256 bits), sized
 * from the chunk's distinct values. All values are hashed in a few calls into a small wasm
 * module, 10-20 ns each: XXH64 without 64-bit integers costs JavaScript ten times that.
 *
 * The module's memory, laid out anew for each chunk:
 *
 *     hashes, 8 bytes a value | a batch of values and its offsets, then the table of distinct
 *     hashes, then the filter, one after the other in the same place
 */
import assert from 'node:assert/strict'
import { BLOOM_KERNELS_BASE64 } from './bloom-kernels.ts'
import type { ByteSink } from './byte-sink.ts'
import {
  BloomFilterAlgorithm,
  BloomFilterCompression,
  BloomFilterHash,
  BloomFilterHeader,
  type ColumnMetaData,
  filled,
  int64,
  serializeThrift,
  SplitBlockAlgorithm,
  Uncompressed,
  XxHash,
} from './thrift.ts'

/** A chunk's values, distinct or not, as their PLAIN bytes without lengths. */
export interface BloomInput {
  readonly data: Uint8Array
  /** count + 1 positions; undefined where every value is `width` bytes. */
  readonly offsets: Int32Array | undefined
  readonly width: number
  readonly count: number
}

/** Bits per value for 1 % false positives: -8 / ln(1 - 0.01^(1/8)). */
const BITS_PER_VALUE = -8 / Math.log(1 - 0.01 ** (1 / 8))
const BLOCK_BYTES = 32
/** The format's readers take at most 128 MiB. */
const FILTER_BYTES_MAX = 128 * 1024 * 1024
/** Values are copied into wasm in pieces of about this size. */
const BATCH_BYTES = 1024 * 1024
const BATCH_VALUES = 32 * 1024
const WASM_PAGE_BYTES = 64 * 1024
/** After a chunk that needed more, the memory is given back. */
const RETAINED_BYTES_MAX = 32 * 1024 * 1024

interface Kernels {
  readonly memory: WasmMemory
  hashArrays(data: number, offsets: number, count: number, hashes: number): void
  hashFixed(data: number, width: number, count: number, hashes: number): void
  countDistinct(hashes: number, count: number, table: number, mask: number): number
  insert(hashes: number, count: number, filter: number, blocks: number): void
}

interface WasmMemory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

/** As much of the global as is used here: its declarations come with the DOM's only. */
interface WasmEngine {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: Kernels }
}

const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WasmEngine }

let compiled: object | undefined
let kernels: Kernels | undefined

function loadKernels(): Kernels {
  compiled ??= new WebAssembly.Module(Buffer.from(BLOOM_KERNELS_BASE64, 'base64'))
  kernels ??= new WebAssembly.Instance(compiled).exports
  return kernels
}

/**
 * Bytes of a filter for so many distinct values. A power of two, although the format asks for
 * multiples of 32 only: Arrow's C++ reader refuses anything else.
 */
export function bloomFilterBytes(distinct: number): number {
  const bytes = Math.ceil((distinct * BITS_PER_VALUE) / 8)
  const rounded = 2 ** Math.ceil(Math.log2(Math.max(BLOCK_BYTES, bytes)))
  return Math.min(rounded, FILTER_BYTES_MAX)
}

export interface BloomFilter {
  readonly blocks: Uint8Array
  /** Distinct values: as given, or counted by their hashes. */
  readonly distinct: number
}

/** A filter of all values of the input, which holds at least one. */
export function buildBloomFilter(input: BloomInput, known?: number): BloomFilter {
  const { count } = input
  assert(count > 0, 'a filter of some values')
  const wasm = loadKernels()
  const scratch = 8 * count
  hashValues(wasm, input, scratch)
  const distinct = known ?? countDistinct(wasm, count, scratch)
  const filterBytes = bloomFilterBytes(distinct)
  reserve(wasm, scratch + filterBytes)
  new Uint8Array(wasm.memory.buffer, scratch, filterBytes).fill(0)
  wasm.insert(0, count, scratch, filterBytes / BLOCK_BYTES)
  const blocks = new Uint8Array(wasm.memory.buffer, scratch, filterBytes).slice()
  releaseLargeMemory(wasm)
  return { blocks, distinct }
}

/** Distinct values of the input, by their hashes: at 128k one short in less than one of 10^9 chunks. */
export function countDistinctValues(input: BloomInput): number {
  const wasm = loadKernels()
  const scratch = 8 * input.count
  hashValues(wasm, input, scratch)
  const distinct = countDistinct(wasm, input.count, scratch)
  releaseLargeMemory(wasm)
  return distinct
}

function releaseLargeMemory(wasm: Kernels): void {
  if (wasm.memory.buffer.byteLength > RETAINED_BYTES_MAX) kernels = undefined
}

function hashValues(wasm: Kernels, input: BloomInput, scratch: number): void {
  const { data, offsets, width, count } = input
  for (let from = 0; from < count;) {
    const to = batchEnd(input, from)
    const start = offsets === undefined ? from * width : offsets[from]!
    const end = offsets === undefined ? to * width : offsets[to]!
    const offsetsAt = scratch + ((end - start + 7) & ~7)
    reserve(wasm, offsetsAt + 4 * (to - from + 1))
    new Uint8Array(wasm.memory.buffer, scratch).set(data.subarray(start, end))
    if (offsets === undefined) {
      wasm.hashFixed(scratch, width, to - from, 8 * from)
    } else {
      new Int32Array(wasm.memory.buffer, offsetsAt).set(offsets.subarray(from, to + 1))
      wasm.hashArrays(scratch, offsetsAt, to - from, 8 * from)
    }
    from = to
  }
}

/** Halves the batch until its bytes fit; a single value is never split. */
function batchEnd(input: BloomInput, from: number): number {
  const { offsets, count } = input
  let values = Math.min(BATCH_VALUES, count - from)
  if (offsets === undefined) return from + values
  while (values > 1 && offsets[from + values]! - offsets[from]! > BATCH_BYTES) {
    values = (values + 1) >>> 1
  }
  return from + values
}

function countDistinct(wasm: Kernels, count: number, scratch: number): number {
  const slots = 2 ** Math.ceil(Math.log2(2 * count))
  reserve(wasm, scratch + 8 * slots)
  new Uint8Array(wasm.memory.buffer, scratch, 8 * slots).fill(0)
  return wasm.countDistinct(0, count, scratch, slots - 1)
}

function reserve(wasm: Kernels, bytes: number): void {
  const missing = bytes - wasm.memory.buffer.byteLength
  if (missing > 0) wasm.memory.grow(Math.ceil(missing / WASM_PAGE_BYTES))
}

/** Holds a chunk's filter until its row group is written. */
export class BloomFilterWriter {
  readonly #blocks: Uint8Array
  readonly #metaData: ColumnMetaData

  constructor(filter: BloomFilter, metaData: ColumnMetaData) {
    this.#blocks = filter.blocks
    this.#metaData = metaData
  }

  write(sink: ByteSink): void {
    const header = serializeThrift(
      filled(new BloomFilterHeader(), {
        numBytes: this.#blocks.length,
        algorithm: new BloomFilterAlgorithm({ BLOCK: new SplitBlockAlgorithm() }),
        hash: new BloomFilterHash({ XXHASH: new XxHash() }),
        compression: new BloomFilterCompression({ UNCOMPRESSED: new Uncompressed() }),
      }),
    )
    this.#metaData.bloom_filter_offset = int64(sink.position)
    this.#metaData.bloom_filter_length = header.length + this.#blocks.length
    sink.append(header)
    sink.append(this.#blocks)
  }
}
