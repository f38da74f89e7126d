/**
 * Reads a file from start to end in chunks, a few of them ahead of the consumer. Each chunk comes
 * with room before it, where the consumer puts what was left of the chunk before: no frame is
 * copied unless it crosses a chunk. Memory: (ahead + 2) x (room + chunk), and buffers are reused.
 */
import { Buffer } from 'node:buffer'

import { readFully } from '@tributary/common/file-system'
import type { FileHandle } from '@tributary/common/file-system'

export const CHUNK_BYTES = 1024 * 1024
/** A frame of a full batch (256 KiB of estimated bytes) fits. */
export const CARRY_ROOM_BYTES = 512 * 1024
const CHUNKS_AHEAD = 3
/** What a failing read is retried in: one page. */
const SALVAGE_BYTES = 4096

export interface Chunk {
  readonly buffer: Buffer
  /** The chunk's bytes are buffer[start, end); before it is the room, unless it is the only chunk. */
  readonly start: number
  readonly end: number
}

export class ChunkSource {
  readonly #handle: FileHandle
  readonly #sizeBytes: number
  readonly #ahead: Promise<Chunk>[] = []
  readonly #free: Buffer[] = []
  readonly #onReadError: (position: number, error: unknown) => void
  #position = 0

  /** Reading begins at once. Unreadable pages come as zeros and are told to `onReadError`. */
  constructor(
    handle: FileHandle,
    sizeBytes: number,
    onReadError: (position: number, error: unknown) => void,
  ) {
    this.#handle = handle
    this.#sizeBytes = sizeBytes
    this.#onReadError = onReadError
    this.#readAhead()
  }

  /** The next chunk, or undefined at the end. */
  async next(): Promise<Chunk | undefined> {
    const chunk = await this.#ahead.shift()
    if (chunk !== undefined) this.#readAhead()
    return chunk
  }

  /** Gives a buffer back that no frame in use lies in. */
  release(buffer: Buffer): void {
    if (buffer.length === CARRY_ROOM_BYTES + CHUNK_BYTES) this.#free.push(buffer)
  }

  /** Waits for the reads under way, then closes the file. */
  async close(): Promise<void> {
    this.#position = this.#sizeBytes
    await Promise.allSettled(this.#ahead)
    this.#ahead.length = 0
    await this.#handle.close()
  }

  #readAhead(): void {
    while (this.#ahead.length < CHUNKS_AHEAD && this.#position < this.#sizeBytes) {
      const position = this.#position
      const length = Math.min(CHUNK_BYTES, this.#sizeBytes - position)
      this.#position += length
      this.#ahead.push(this.#read(position, length))
    }
  }

  async #read(position: number, length: number): Promise<Chunk> {
    const start = this.#sizeBytes > CHUNK_BYTES ? CARRY_ROOM_BYTES : 0
    const end = start + length
    // its own ArrayBuffer, so that positions in the file and in memory agree modulo 8
    const buffer =
      this.#free.pop() ?? Buffer.allocUnsafeSlow(start === 0 ? end : CARRY_ROOM_BYTES + CHUNK_BYTES)
    const target = buffer.subarray(start, end)
    try {
      const filled = await readFully(this.#handle, target, position)
      target.fill(0, filled)
    } catch (error) {
      this.#onReadError(position, error)
      await this.#salvage(target, position)
    }
    return { buffer, start, end }
  }

  async #salvage(target: Buffer, position: number): Promise<void> {
    for (let at = 0; at < target.length; at += SALVAGE_BYTES) {
      const page = target.subarray(at, at + SALVAGE_BYTES)
      try {
        page.fill(0, await readFully(this.#handle, page, position + at))
      } catch {
        page.fill(0)
      }
    }
  }
}
