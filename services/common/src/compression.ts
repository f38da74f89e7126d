/**
 * Decompression of request bodies under a size limit and a ratio limit. Small outputs are made in
 * place, larger ones in the thread pool, so that the event loop is never held for more than a few
 * milliseconds. A body is whole and well-formed, or an AppError: truncation, a bad checksum and
 * trailing bytes are errors (zero padding after gzip is not). Several gzip members or zstd frames
 * are one body. What the bytes mean is left to the caller.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as zlib from 'node:zlib'

import { AppError } from './errors.ts'
import { zstdFrames } from './zstd-frames.ts'
import type { ZstdFrame } from './zstd-frames.ts'

export const COMPRESSIONS = ['identity', 'gzip', 'deflate', 'zstd'] as const
export type Compression = (typeof COMPRESSIONS)[number]

export interface DecompressionLimits {
  /** Decompressed bytes at most. */
  readonly bytesMax: number
  /** Decompressed over compressed bytes at most, once the output exceeds RATIO_FREE_BYTES. */
  readonly ratioMax: number
  /** Called with the output's size so far when it grows; may throw to refuse more. */
  readonly onOutput?: (bytes: number) => void
}

/**
 * Outputs up to this size may have any ratio: a small batch of equal records compresses 1,000 times
 * without being an attack, and 4 MiB is no more than a plain request costs.
 */
const RATIO_FREE_BYTES = 4 * 1024 * 1024
/** Made in place up to this size: gzip at 800 MB/s holds the event loop for 1.3 ms, the pool's hop costs 0.1 ms. */
const IN_PLACE_OUTPUT_MAX = 1024 * 1024
/** No attempt in place above this: such a body hardly ever stays below 1 MiB. */
const IN_PLACE_INPUT_MAX = 512 * 1024
/** Output buffers of the thread pool: each costs a hop of 50 us, and 256 KiB take gzip 0.4 ms. */
const POOL_CHUNK_BYTES = 256 * 1024
const IN_PLACE_CHUNK_BYTES = 64 * 1024
/** Bytes copied without a pause: 4 MiB with their page faults take 2 ms. */
const COPY_SLICE_BYTES = 4 * 1024 * 1024

/** The name of a content coding, lower case or not, or undefined where it is none of ours. */
export function compressionOf(coding: string | undefined): Compression | undefined {
  if (coding === undefined) return 'identity'
  const name = coding.trim().toLowerCase()
  if (name === 'x-gzip') return 'gzip'
  return COMPRESSIONS.find((known) => known === name)
}

/**
 * The decompressed body. Identity returns the bytes themselves, within the same size limit.
 * @throws AppError malformed_compression, request_too_large, or what `onOutput` throws
 */
export async function decompress(
  bytes: Uint8Array,
  compression: Compression,
  limits: DecompressionLimits,
): Promise<Uint8Array> {
  return (
    decompressInPlace(bytes, compression, limits) ?? decompressInPool(bytes, compression, limits)
  )
}

/**
 * The decompressed body when it is small enough to be made at once, else undefined: then
 * `decompress` must be used. Saves the promise for the many small requests.
 * @throws AppError malformed_compression, request_too_large
 */
export function decompressInPlace(
  bytes: Uint8Array,
  compression: Compression,
  limits: DecompressionLimits,
): Uint8Array | undefined {
  if (compression === 'identity') {
    if (bytes.length > limits.bytesMax) throw tooLarge(limits.bytesMax)
    return bytes
  }
  if (bytes.length > IN_PLACE_INPUT_MAX) return undefined
  const outputMax = outputBytesMax(bytes.length, limits)
  const frames = compression === 'zstd' ? checkedFrames(bytes) : undefined
  const claimed = claimedBytes(bytes, compression, frames)
  if (claimed !== undefined && claimed > IN_PLACE_OUTPUT_MAX) return undefined
  const options = {
    maxOutputLength: Math.min(IN_PLACE_OUTPUT_MAX, outputMax),
    chunkSize: chunkSizeFor(claimed ?? bytes.length * 8),
  }
  try {
    if (frames === undefined) {
      return compression === 'gzip'
        ? zlib.gunzipSync(bytes, options)
        : zlib.inflateSync(bytes, strict(options))
    }
    const parts = frames.map((frame) =>
      zlib.zstdDecompressSync(bytes.subarray(frame.start, frame.end), strict(options)),
    )
    const [first] = parts
    if (parts.length === 1 && first !== undefined) return first
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    if (length > options.maxOutputLength) return undefined
    return Buffer.concat(parts, length)
  } catch (error) {
    if (isTooLarge(error)) {
      if (outputMax <= IN_PLACE_OUTPUT_MAX) throw tooLarge(outputMax)
      return undefined
    }
    throw malformed(compression, error)
  }
}

async function decompressInPool(
  bytes: Uint8Array,
  compression: Compression,
  limits: DecompressionLimits,
): Promise<Uint8Array> {
  const outputMax = outputBytesMax(bytes.length, limits)
  const frames = compression === 'zstd' ? checkedFrames(bytes) : undefined
  const claimed = claimedBytes(bytes, compression, frames)
  // zstd's decoder holds a frame to its claim, and takes a window of that size for it.
  if (frames !== undefined && claimed !== undefined && claimed > outputMax)
    throw tooLarge(outputMax)
  const output = new OutputBytes(claimed, outputMax, limits.onOutput)
  if (frames === undefined) {
    const options = { chunkSize: POOL_CHUNK_BYTES }
    const engine =
      compression === 'gzip' ? zlib.createGunzip(options) : zlib.createInflate(strict(options))
    await pump(engine, bytes, output, compression)
  } else {
    for (const frame of frames) {
      const engine = zlib.createZstdDecompress(strict({ chunkSize: POOL_CHUNK_BYTES }))
      await pump(engine, bytes.subarray(frame.start, frame.end), output, compression)
    }
  }
  return output.joined()
}

type Engine = zlib.Gunzip | zlib.Inflate | zlib.ZstdDecompress

function pump(
  engine: Engine,
  input: Uint8Array,
  output: OutputBytes,
  compression: Compression,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (error: unknown): void => {
      engine.destroy()
      reject(error instanceof AppError ? error : malformed(compression, error))
    }
    engine.on('error', stop)
    engine.on('end', resolve)
    engine.on('data', (chunk: Buffer) => {
      try {
        output.add(chunk)
      } catch (error) {
        stop(error)
      }
    })
    engine.end(input)
  })
}

/** Collects output: straight into a buffer of the size that the body claims, the rest in pieces. */
class OutputBytes {
  readonly #claimed: Uint8Array | undefined
  readonly #bytesMax: number
  readonly #onOutput: ((bytes: number) => void) | undefined
  readonly #rest: Uint8Array[] = []
  #claimedUsed = 0
  #length = 0

  constructor(
    claimedBytes: number | undefined,
    bytesMax: number,
    onOutput: ((bytes: number) => void) | undefined,
  ) {
    // The claim is the client's: a page of this buffer costs memory only once it is written to.
    this.#claimed =
      claimedBytes !== undefined && claimedBytes > 0 && claimedBytes <= bytesMax
        ? Buffer.allocUnsafeSlow(claimedBytes)
        : undefined
    this.#bytesMax = bytesMax
    this.#onOutput = onOutput
  }

  add(chunk: Uint8Array): void {
    this.#length += chunk.length
    if (this.#length > this.#bytesMax) throw tooLarge(this.#bytesMax)
    this.#onOutput?.(this.#length)
    const claimed = this.#claimed
    if (
      claimed !== undefined &&
      this.#rest.length === 0 &&
      this.#claimedUsed + chunk.length <= claimed.length
    ) {
      claimed.set(chunk, this.#claimedUsed)
      this.#claimedUsed += chunk.length
      return
    }
    this.#rest.push(chunk)
  }

  async joined(): Promise<Uint8Array> {
    const claimed = this.#claimed?.subarray(0, this.#claimedUsed)
    if (claimed !== undefined && this.#rest.length === 0) return claimed
    const joined = Buffer.allocUnsafeSlow(this.#length)
    let at = 0
    for (const part of claimed === undefined ? this.#rest : [claimed, ...this.#rest]) {
      for (let from = 0; from < part.length; from += COPY_SLICE_BYTES) {
        const slice = part.subarray(from, from + COPY_SLICE_BYTES)
        if (
          at > 0 &&
          Math.trunc(at / COPY_SLICE_BYTES) !== Math.trunc((at + slice.length) / COPY_SLICE_BYTES)
        ) {
          await nextTurn()
        }
        joined.set(slice, at)
        at += slice.length
      }
    }
    return joined
  }
}

function outputBytesMax(inputBytes: number, limits: DecompressionLimits): number {
  return Math.min(limits.bytesMax, Math.max(RATIO_FREE_BYTES, inputBytes * limits.ratioMax))
}

function checkedFrames(bytes: Uint8Array): readonly ZstdFrame[] {
  const frames = zstdFrames(bytes)
  if (frames === undefined) throw malformed('zstd', undefined)
  return frames
}

/** What the body says of its own decompressed size: a hint only. */
function claimedBytes(
  bytes: Uint8Array,
  compression: Compression,
  frames: readonly ZstdFrame[] | undefined,
): number | undefined {
  if (compression === 'gzip' && bytes.length >= 18) {
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(
      bytes.length - 4,
      true,
    )
  }
  if (frames === undefined) return undefined
  let sum = 0
  for (const frame of frames) {
    if (frame.contentBytes === undefined) return undefined
    sum += frame.contentBytes
  }
  return sum
}

function chunkSizeFor(expectedBytes: number): number {
  return Math.min(IN_PLACE_CHUNK_BYTES * 4, Math.max(1024, expectedBytes + 64))
}

/** Trailing bytes are an error; Node's types do not know the option yet. */
function strict<T extends object>(options: T): T {
  return { ...options, rejectGarbageAfterEnd: true }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
}

function tooLarge(bytesMax: number): AppError {
  return new AppError('request_too_large', 'decompressed body is larger than allowed', {
    details: { bytesMax },
  })
}

function malformed(compression: Compression, cause: unknown): AppError {
  return new AppError('malformed_compression', `body is not valid ${compression}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { compression },
  })
}
