/** The chunks of a batch: parallel arrays that tile its rows in order, each at least one row. */
import { growBytes, growInt32 } from './row-numbers.ts'

export const CHUNK_HASH_BYTES = 16

/** A batch of small requests has a chunk per request: arrays, because an object each fills the heap. */
export interface BatchChunks {
  readonly count: number
  /** 16 bytes per chunk: what makes it equal to another. */
  readonly hashes: Uint8Array
  readonly rowStarts: Int32Array
  readonly rowCounts: Int32Array
  /** 1 where the chunk may be dropped as a repeat of an equal one. */
  readonly removable: Uint8Array
}

/** One of them, for people and tests. */
export interface BatchChunk {
  /** 16 bytes, a view. */
  readonly hash: Uint8Array
  readonly rowStart: number
  readonly rowCount: number
  readonly removable: boolean
}

export function chunkEntries(chunks: BatchChunks): BatchChunk[] {
  return Array.from({ length: chunks.count }, (_, chunk) => ({
    hash: chunks.hashes.subarray(chunk * CHUNK_HASH_BYTES, (chunk + 1) * CHUNK_HASH_BYTES),
    rowStart: chunks.rowStarts[chunk]!,
    rowCount: chunks.rowCounts[chunk]!,
    removable: chunks.removable[chunk] === 1,
  }))
}

/** What `chunkEntries` undoes. */
export function batchChunks(entries: readonly BatchChunk[]): BatchChunks {
  const list = new ChunkList()
  for (const { hash, rowStart, rowCount, removable } of entries) {
    list.push(hash, rowStart, rowCount, removable)
  }
  return list.copy()
}

export class ChunkList implements BatchChunks {
  count = 0
  hashes: Uint8Array = new Uint8Array(CHUNK_HASH_BYTES * 4)
  rowStarts: Int32Array = new Int32Array(4)
  rowCounts: Int32Array = new Int32Array(4)
  removable: Uint8Array = new Uint8Array(4)

  /** Adds a chunk of `rowCount` rows; the first 16 bytes of `hash` count. */
  push(hash: Uint8Array, rowStart: number, rowCount: number, isRemovable: boolean): void {
    const chunk = this.count
    if (chunk === this.rowStarts.length) {
      this.rowStarts = growInt32(this.rowStarts, chunk + 1)
      this.rowCounts = growInt32(this.rowCounts, chunk + 1)
      this.hashes = growBytes(this.hashes, this.rowStarts.length * CHUNK_HASH_BYTES)
      this.removable = growBytes(this.removable, this.rowStarts.length)
    }
    for (let i = 0; i < CHUNK_HASH_BYTES; i++) {
      this.hashes[chunk * CHUNK_HASH_BYTES + i] = hash[i]!
    }
    this.rowStarts[chunk] = rowStart
    this.rowCounts[chunk] = rowCount
    this.removable[chunk] = isRemovable ? 1 : 0
    this.count = chunk + 1
  }

  /** The chunks as they are now, whatever becomes of the list. */
  copy(): BatchChunks {
    const { count } = this
    return {
      count,
      hashes: this.hashes.slice(0, count * CHUNK_HASH_BYTES),
      rowStarts: this.rowStarts.slice(0, count),
      rowCounts: this.rowCounts.slice(0, count),
      removable: this.removable.slice(0, count),
    }
  }

  truncateRows(row: number): void {
    while (this.count > 0 && this.rowStarts[this.count - 1]! >= row) this.count -= 1
  }

  reset(): void {
    this.count = 0
  }
}
