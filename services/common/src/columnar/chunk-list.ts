/** The chunks of a batch: parallel arrays that tile its rows in order, each at least one row. */
import { growBytes, growInt32 } from './row-numbers.ts'

export const CHUNK_HASH_BYTES = 16

export class ChunkList {
  count = 0
  /** 16 bytes per chunk. */
  hashes: Uint8Array = new Uint8Array(CHUNK_HASH_BYTES * 4)
  rowStarts: Int32Array = new Int32Array(4)
  rowCounts: Int32Array = new Int32Array(4)
  /** 1 where the chunk may be dropped as a repeat. */
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

  truncateRows(row: number): void {
    while (this.count > 0 && this.rowStarts[this.count - 1]! >= row) this.count -= 1
  }

  reset(): void {
    this.count = 0
  }
}
