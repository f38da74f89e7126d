/**
 * Reads the frames of one segment in order, whatever was done to the file. Invariant: a frame comes
 * out only if both its CRCs hold under the segment's salt and its offset ascends; everything else is
 * skipped and recorded as a damaged range, and reading goes on at the next frame whose CRC holds.
 * It judges bytes, not offsets: what a damaged range means is decided by `recovery`.
 */
import { Buffer } from 'node:buffer'

import { CARRY_ROOM_BYTES, CHUNK_BYTES } from './chunk-source.ts'
import type { ChunkSource } from './chunk-source.ts'
import { FRAME_HEADER_BYTES, decodeFrameHeader, frameBytes, isPayloadIntact } from './frame.ts'
import type { FrameHeader } from './frame.ts'

export interface ReadFrame {
  readonly header: FrameHeader
  /** Valid until the next `read` of this reader; its memory starts 8-byte aligned. */
  readonly payload: Uint8Array
}

export interface DamagedRange {
  readonly startPosition: number
  endPosition: number
  /** The offset that was due where the damage begins. */
  readonly startOffset: bigint
  /** The first offset read behind the damage; undefined up to the end of the file. */
  endOffset: bigint | undefined
}

/** More than these run together: a list of what is broken, not a map. */
const DAMAGED_RANGES_MAX = 64

export class SegmentReader {
  readonly damages: DamagedRange[] = []
  /** Everything below was acknowledged, as far as headers that hold (also of lost payloads) tell. */
  acknowledgedEnd: bigint
  lastCrc = 0
  readonly #source: ChunkSource
  readonly #salt: number
  #window: Buffer = Buffer.alloc(0)
  /** The same bytes. */
  #view = new DataView(this.#window.buffer)
  #at = 0
  #end = 0
  /** Position in the file of #window[0]. */
  #origin = 0
  #isAtEnd = false
  /** Bytes of the segment's header yet to be passed over. */
  #skipBytes: number
  #isSynchronized = true
  /** Where a run of zeros began: the end of the log, or damage if anything follows. */
  #zerosStart: number | undefined
  #nextOffset: bigint
  /** The index of the next frame in its group, if it is of the same. */
  #groupIndexDue = 0

  constructor(source: ChunkSource, salt: number, dataStart: number, baseOffset: bigint) {
    this.#source = source
    this.#salt = salt
    this.#skipBytes = dataStart
    this.#nextOffset = baseOffset
    this.acknowledgedEnd = 0n
  }

  /** One behind the highest offset read. */
  get nextOffset(): bigint {
    return this.#nextOffset
  }

  get #position(): number {
    return this.#origin + this.#at
  }

  /** The frames of the next stretch of the file; undefined at the end. */
  async read(): Promise<ReadFrame[] | undefined> {
    const frames: ReadFrame[] = []
    while (frames.length === 0) {
      if (!(await this.#fill(FRAME_HEADER_BYTES))) {
        this.#finish()
        return undefined
      }
      if (this.#skipBytes > 0) {
        const skipped = Math.min(this.#skipBytes, this.#end - this.#at)
        this.#at += skipped
        this.#skipBytes -= skipped
        continue
      }
      const missingBytes = this.#parse(frames)
      if (missingBytes > 0 && frames.length === 0) await this.#readLarge(missingBytes, frames)
    }
    return frames
  }

  close(): Promise<void> {
    return this.#source.close()
  }

  /**
   * Takes every frame that lies whole in the window.
   * @returns the bytes of the frame that does not; 0 where the window is used up
   */
  #parse(frames: ReadFrame[]): number {
    while (this.#end - this.#at >= FRAME_HEADER_BYTES) {
      const header = decodeFrameHeader(this.#view, this.#at, this.#salt)
      if (header === undefined || header.firstOffset < this.#nextOffset) {
        this.#skipWord()
        continue
      }
      const bytes = frameBytes(header.payloadBytes)
      if (this.#end - this.#at < bytes) return bytes
      this.#take(header, bytes, frames)
    }
    return 0
  }

  /** Frames begin at multiples of 8: looks for the next one there. */
  #skipWord(): void {
    const isZero =
      this.#view.getInt32(this.#at, true) === 0 && this.#view.getInt32(this.#at + 4, true) === 0
    if (isZero && this.#isSynchronized) this.#zerosStart ??= this.#position
    else this.#markDamaged(8)
    this.#at += 8
  }

  #take(header: FrameHeader, bytes: number, frames: ReadFrame[]): void {
    if (this.#zerosStart !== undefined) this.#markDamaged(0)
    const payloadStart = this.#at + FRAME_HEADER_BYTES
    const { buffer, byteOffset } = this.#window
    const payload = new Uint8Array(buffer, byteOffset + payloadStart, header.payloadBytes)
    this.#noteGroup(header)
    if (isPayloadIntact(header, payload)) {
      if (!this.#isSynchronized) {
        this.#isSynchronized = true
        this.damages.at(-1)!.endOffset = header.firstOffset
      }
      this.#nextOffset = header.firstOffset + countOf(header)
      this.lastCrc = header.frameCrc
      frames.push({ header, payload })
    } else {
      this.#markDamaged(bytes)
    }
    this.#at += bytes
  }

  /** Frames of a group follow each other: a look at its first, and behind a gap, is enough. */
  #noteGroup({ firstOffset, groupIndex, count }: FrameHeader): void {
    const isNext = firstOffset === this.#nextOffset && groupIndex === this.#groupIndexDue
    if (groupIndex === 0 || !isNext) {
      const acknowledgedEnd = firstOffset - BigInt(groupIndex)
      if (acknowledgedEnd > this.acknowledgedEnd) this.acknowledgedEnd = acknowledgedEnd
    }
    this.#groupIndexDue = groupIndex + count
  }

  #setWindow(window: Buffer): void {
    this.#window = window
    this.#view = new DataView(window.buffer, window.byteOffset, window.length)
  }

  /** A frame that the window does not hold: gets the rest, or finds that the file ends within it. */
  async #readLarge(bytes: number, frames: ReadFrame[]): Promise<void> {
    if (await this.#fill(bytes)) {
      this.#parse(frames)
      return
    }
    const header = decodeFrameHeader(this.#view, this.#at, this.#salt)!
    const restBytes = this.#end - this.#at
    if (restBytes >= FRAME_HEADER_BYTES + header.payloadBytes) {
      // cut within the padding
      this.#take(header, restBytes, frames)
      return
    }
    // the length is trusted (header crc), so the file was cut: nothing can follow
    this.#markDamaged(this.#end - this.#at)
    this.#at = this.#end
  }

  #markDamaged(bytes: number): void {
    const start = this.#zerosStart ?? this.#position
    const end = this.#position + bytes
    this.#zerosStart = undefined
    const last = this.damages.at(-1)
    const isFull = this.damages.length >= DAMAGED_RANGES_MAX
    if (last !== undefined && (!this.#isSynchronized || isFull)) {
      last.endPosition = end
      last.endOffset = undefined
    } else {
      this.damages.push({
        startPosition: start,
        endPosition: end,
        startOffset: this.#nextOffset,
        endOffset: undefined,
      })
    }
    this.#isSynchronized = false
  }

  #finish(): void {
    const rest = this.#window.subarray(this.#at, this.#end)
    if (rest.some((byte) => byte !== 0) || !this.#isSynchronized) this.#markDamaged(rest.length)
    this.#at = this.#end
  }

  /** Makes `bytes` bytes available from #at on; false where the file ends before. */
  async #fill(bytes: number): Promise<boolean> {
    while (this.#end - this.#at < bytes && !this.#isAtEnd) {
      if (bytes > CARRY_ROOM_BYTES) await this.#fillLarge(bytes)
      else await this.#advance()
    }
    return this.#end - this.#at >= bytes
  }

  async #advance(): Promise<void> {
    const chunk = await this.#source.next()
    if (chunk === undefined) {
      this.#isAtEnd = true
      return
    }
    const carryBytes = this.#end - this.#at
    const start = chunk.start - carryBytes
    this.#window.copy(chunk.buffer, start, this.#at, this.#end)
    this.#origin += this.#at - start
    this.#source.release(this.#window)
    this.#setWindow(chunk.buffer)
    this.#at = start
    this.#end = chunk.end
  }

  /** The frame gets a buffer of its own, with room for the chunk in which it ends. */
  async #fillLarge(bytes: number): Promise<void> {
    const large = Buffer.allocUnsafeSlow(bytes + CHUNK_BYTES)
    let end = this.#window.copy(large, 0, this.#at, this.#end)
    this.#origin += this.#at
    this.#source.release(this.#window)
    while (end < bytes && !this.#isAtEnd) {
      const chunk = await this.#source.next()
      if (chunk === undefined) {
        this.#isAtEnd = true
        break
      }
      end += chunk.buffer.copy(large, end, chunk.start, chunk.end)
      this.#source.release(chunk.buffer)
    }
    this.#setWindow(large)
    this.#at = 0
    this.#end = end
  }
}

/** The offsets that a frame covers: nearly always one, without making a BigInt. */
export function countOf({ count }: FrameHeader): bigint {
  return count === 1 ? 1n : BigInt(count)
}
