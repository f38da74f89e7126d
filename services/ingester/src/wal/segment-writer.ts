/**
 * One open segment, written at its end only. Invariant: `endPosition` lies behind the last frame of
 * a write that succeeded as a whole; what a failed write left behind it is cut off or the segment is
 * given up. Whether bytes are durable is the caller's business (`datasync`).
 */
import { join } from 'node:path'

import { failpoint, isFailpointArmed } from '@tributary/common/failpoint'
import { writeFully } from '@tributary/common/file-system'
import type { FileHandle, FileSystem } from '@tributary/common/file-system'

import { encodeFrames } from './frame.ts'
import type { EncodedFrames, NewFrame } from './frame.ts'
import type { SegmentFile } from './segment-directory.ts'
import { encodeSegmentHeader, segmentFileName, segmentSalt } from './segment-header.ts'
import type { SegmentHeader, SegmentName } from './segment-header.ts'

export class SegmentWriter implements SegmentFile {
  readonly path: string
  readonly name: SegmentName
  /** The first row it was made for; frames of holes may lie before. */
  readonly firstRow: bigint
  /** One behind the highest offset written. */
  endOffset: bigint
  lastCrc = 0
  readonly headerBytes: number
  readonly #handle: FileHandle
  readonly #salt: number
  #endPosition: number

  private constructor(
    path: string,
    firstRow: bigint,
    header: SegmentHeader,
    handle: FileHandle,
    bytes: number,
  ) {
    this.path = path
    this.name = header
    this.firstRow = firstRow
    this.endOffset = header.baseOffset
    this.headerBytes = bytes
    this.#handle = handle
    this.#salt = segmentSalt(header.uuid, header.identity)
    this.#endPosition = bytes
  }

  /** Creates the file and makes its name durable; the header becomes so with the first datasync. */
  static async create(
    fs: FileSystem,
    directory: string,
    firstRow: bigint,
    header: SegmentHeader,
  ): Promise<SegmentWriter> {
    const path = join(directory, segmentFileName(header))
    const encoded = encodeSegmentHeader(header)
    const handle = await fs.open(path, 'create')
    try {
      await writeFully(handle, [encoded], 0)
      const pause = failpoint('wal:rotate')
      if (pause !== undefined) await pause
      await fs.syncDirectory(directory)
    } catch (error) {
      await handle.close().catch(() => undefined)
      // nothing in it was ever acknowledged; if it stays, recovery takes it as empty
      await fs.unlink(path).catch(() => undefined)
      throw error
    }
    return new SegmentWriter(path, firstRow, header, handle, encoded.length)
  }

  get sizeBytes(): number {
    return this.#endPosition
  }

  get isEmpty(): boolean {
    return this.#endPosition === this.headerBytes
  }

  /** Writes frames behind the last good one; after a failure the caller must `cut` or give up. */
  async write(frames: readonly NewFrame[]): Promise<void> {
    const encoded = encodeFrames(frames, this.#salt)
    if (isFailpointArmed('wal:mid-write')) await this.#tear(encoded)
    await writeFully(this.#handle, encoded.buffers, this.#endPosition)
    this.#endPosition += encoded.byteLength
    this.lastCrc = encoded.lastCrc
    const last = frames.at(-1)!
    this.endOffset = last.firstOffset + BigInt(last.count)
  }

  /** Removes what a failed write left; false where even that fails. */
  async cut(): Promise<boolean> {
    try {
      await this.#handle.truncate(this.#endPosition)
      return true
    } catch {
      return false
    }
  }

  datasync(): Promise<void> {
    return this.#handle.datasync()
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  /** For tests: half of the group is in the file when the failpoint acts. */
  async #tear(encoded: EncodedFrames): Promise<void> {
    const whole = Buffer.concat(encoded.buffers)
    await writeFully(
      this.#handle,
      [whole.subarray(0, Math.floor(whole.length / 2))],
      this.#endPosition,
    )
    await failpoint('wal:mid-write')
  }
}
