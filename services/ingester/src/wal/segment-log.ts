/**
 * The segments of a log as one sequence of frames: writing, rotation, giving up a file that failed,
 * and truncation. Calls must not overlap, except `truncate`.
 *
 * Invariants: `commit` returns only when its frames are as durable as `sync` promises; a file whose
 * write or fdatasync failed is never written or synced again, and nothing more is acknowledged
 * before every row that only it holds was rewritten to a new file (from `unflushed`) and synced.
 */
import { randomBytes } from 'node:crypto'

import { AppError } from '@tributary/common/errors'
import { failpoint } from '@tributary/common/failpoint'
import { isOutOfSpace, readFully, writeFully } from '@tributary/common/file-system'
import type { FileHandle } from '@tributary/common/file-system'

import { FrameType, frameBytes } from './frame.ts'
import type { NewFrame } from './frame.ts'
import type { Hole } from './hole.ts'
import type { SegmentFile } from './segment-directory.ts'
import { UUID_BYTES } from './segment-header.ts'
import type { Predecessor } from './segment-header.ts'
import { SegmentWriter } from './segment-writer.ts'
import type { WalOptions } from './wal-options.ts'

const COPY_BYTES = 1024 * 1024
/** u32: a longer hole takes several frames. */
const HOLE_COUNT_MAX = 0xffff_ffffn

export interface SegmentLogStart {
  readonly nextOffset: bigint
  readonly nextSequence: bigint
  readonly segments: readonly SegmentFile[]
  readonly holes: readonly Hole[]
  readonly predecessor: Predecessor | undefined
}

export class SegmentLog {
  readonly #options: WalOptions
  /** Not written any more, oldest first. */
  #sealed: SegmentFile[]
  #active: SegmentWriter | undefined
  /** Files that failed: unlinked once their rows are safe elsewhere. */
  #failed: SegmentFile[] = []
  /** The lowest offset that may be durable in no file; undefined: all is well. */
  #untrustedFrom: bigint | undefined
  /** Known holes not yet truncated: written into the first file after a recovery or a failure. */
  #holes: Hole[]
  #areHolesDurable: boolean
  /** The file that they were last written into. */
  #holesWriter: SegmentWriter | undefined
  #nextOffset: bigint
  #nextSequence: bigint
  #truncatedBelow = 0n
  #predecessor: Predecessor | undefined

  constructor(options: WalOptions, start: SegmentLogStart) {
    this.#options = options
    this.#sealed = [...start.segments]
    this.#holes = [...start.holes]
    this.#areHolesDurable = start.holes.length === 0
    this.#nextOffset = start.nextOffset
    this.#nextSequence = start.nextSequence
    this.#predecessor = start.predecessor
  }

  get nextOffset(): bigint {
    return this.#nextOffset
  }

  get bytesOnDisk(): number {
    let bytes = this.#active?.sizeBytes ?? 0
    for (const { sizeBytes } of this.#sealed) bytes += sizeBytes
    for (const { sizeBytes } of this.#failed) bytes += sizeBytes
    return bytes
  }

  get isTrusted(): boolean {
    return this.#untrustedFrom === undefined
  }

  /**
   * Appends payloads as one group.
   * @returns the offset of the first
   * @throws the error of the file system; then none of them was appended
   */
  async commit(payloads: readonly Uint8Array[]): Promise<bigint> {
    if (this.#untrustedFrom !== undefined) await this.#rewrite(this.#untrustedFrom)
    const first = this.#nextOffset
    const frames = payloads.map((payload, index) => dataFrame(first, index, payload))
    const writer = await this.#writerFor(payloads)
    try {
      await this.#makeHolesDurable(writer)
      await pauseAt('wal:before-write')
      await this.#write(writer, frames)
      await pauseAt('wal:after-write')
      if (this.#options.sync !== 'none') await this.#datasync(writer)
      await pauseAt('wal:after-sync')
    } catch (error) {
      // these offsets will be given again: never twice in one file
      if (this.#active === writer && writer.endOffset > first) await this.#distrust(writer, error)
      throw error
    }
    this.#nextOffset = first + BigInt(payloads.length)
    return first
  }

  /** Unlinks what lies wholly below; the active file only if `mayUseActive`. */
  async truncate(beforeOffset: bigint, mayUseActive: boolean): Promise<void> {
    if (beforeOffset > this.#truncatedBelow) this.#truncatedBelow = beforeOffset
    this.#holes = this.#holes.filter(({ end }) => end > beforeOffset)
    const active = this.#active
    if (mayUseActive && active !== undefined && !active.isEmpty) {
      if (active.endOffset <= beforeOffset) await this.#seal(active)
    }
    const done = this.#sealed.filter(({ endOffset }) => endOffset <= beforeOffset)
    if (done.length === 0) return
    this.#sealed = this.#sealed.filter((segment) => !done.includes(segment))
    await this.#unlink(done)
  }

  /**
   * Makes durable what recovery may have read from the page cache only; a file that cannot be synced
   * is rewritten before the next commit. Everything given out before is then proven by later frames.
   *
   * @param provenEnd from here on nobody knows whether a sync succeeded. Where one had failed in an
   *   earlier life, its pages count as clean and another sync succeeds without them: only what is
   *   written again can be synced.
   */
  async syncRecovered(provenEnd: bigint): Promise<void> {
    const { fs, logger } = this.#options
    for (const segment of this.#sealed) {
      try {
        const handle = await fs.open(segment.path, 'update')
        try {
          if (segment.endOffset > provenEnd) await writeAgain(handle)
          await handle.datasync()
        } finally {
          await handle.close()
        }
      } catch (error) {
        logger.error({ err: error, path: segment.path }, 'recovered wal segment is given up')
        this.#sealed = this.#sealed.filter((other) => other !== segment)
        this.#untrust(segment, segment.name.baseOffset)
      }
    }
  }

  /**
   * Writes, durably, that all so far was acknowledged or given up; nothing where nothing is open.
   * @throws the error of the file system; what was acknowledged is safe in any case
   */
  async mark(): Promise<void> {
    const active = this.#active
    if (active === undefined || active.isEmpty || !this.isTrusted) return
    await this.#write(active, [endFrame(this.#nextOffset)])
    await this.#datasync(active)
  }

  /**
   * Marks a clean end and closes the file; the log can be recovered, not continued. Never fails: all
   * that was acknowledged is as durable as promised already, the mark only helps to find damage.
   */
  async close(): Promise<void> {
    const active = this.#active
    this.#active = undefined
    if (active === undefined) return
    try {
      await active.write([endFrame(this.#nextOffset)])
      await active.datasync()
      await active.close()
    } catch (error) {
      this.#options.logger.error({ err: error, path: active.path }, 'wal did not close cleanly')
    }
  }

  async #writerFor(payloads: readonly Uint8Array[]): Promise<SegmentWriter> {
    let bytes = 0
    for (const payload of payloads) bytes += frameBytes(payload.length)
    const active = this.#active
    if (active !== undefined) {
      const hasRoom = active.sizeBytes + bytes <= this.#options.segmentBytesMax
      if (hasRoom || active.isEmpty) return active
      await this.#seal(active)
    }
    return this.#create(this.#nextOffset)
  }

  /** The next file, whose rows begin at `firstRow`; holes that it has to repeat lie before. */
  async #create(firstRow: bigint): Promise<SegmentWriter> {
    const { fs, directory, segmentIdentity, clock } = this.#options
    const newBytes = this.#options.randomBytes ?? randomBytes
    const nextOffset = this.#nextOffset
    const firstHole = this.#areHolesDurable ? undefined : this.#holes[0]?.start
    // the header proves what lies before; with holes that are not durable that would be an alarm
    const predecessor = this.#areHolesDurable ? this.#predecessor : undefined
    const writer = await SegmentWriter.create(fs, directory, firstRow, {
      uuid: new Uint8Array(newBytes(UUID_BYTES)),
      sequence: this.#nextSequence++,
      baseOffset: firstHole !== undefined && firstHole < firstRow ? firstHole : firstRow,
      identity: segmentIdentity,
      createdUnixMs: BigInt(Math.floor(clock.nowUnixMs())),
      predecessor: predecessor === undefined ? undefined : { ...predecessor, nextOffset },
    })
    this.#active = writer
    return writer
  }

  /** Ends the active file; with sync `none` this is where its rows become durable. */
  async #seal(writer: SegmentWriter): Promise<void> {
    if (this.#options.sync === 'none') await this.#datasync(writer)
    this.#retire(writer)
    this.#sealed.push(writer)
    await writer.close().catch((error: unknown) => {
      this.#options.logger.warn({ err: error, path: writer.path }, 'wal segment did not close')
    })
  }

  #retire(writer: SegmentWriter): void {
    this.#active = undefined
    const { uuid } = writer.name
    this.#predecessor = { uuid, nextOffset: this.#nextOffset, lastCrc: writer.lastCrc }
  }

  /** Before any row behind them: a row is proof that everything before it was acknowledged or given up. */
  async #makeHolesDurable(writer: SegmentWriter): Promise<void> {
    if (this.#areHolesDurable) return
    if (this.#holesWriter !== writer) await this.#write(writer, this.#holes.flatMap(holeFrames))
    this.#holesWriter = writer
    await this.#datasync(writer)
    this.#areHolesDurable = true
  }

  async #write(writer: SegmentWriter, frames: readonly NewFrame[]): Promise<void> {
    if (frames.length === 0) return
    try {
      await writer.write(frames)
    } catch (error) {
      // a full disk harms nothing that was written before: the file goes on once the rest is cut off
      if (!isOutOfSpace(error)) await this.#distrust(writer, error)
      else if (!(await writer.cut())) await this.#seal(writer)
      throw error
    }
  }

  async #datasync(writer: SegmentWriter): Promise<void> {
    try {
      await writer.datasync()
    } catch (error) {
      await this.#distrust(writer, error)
      throw error
    }
  }

  async #distrust(writer: SegmentWriter, error: unknown): Promise<void> {
    this.#options.logger.error({ err: error, path: writer.path }, 'wal segment is given up')
    this.#untrust(writer, writer.firstRow)
    if (this.#holesWriter === writer) {
      this.#holesWriter = undefined
      this.#areHolesDurable = this.#holes.length === 0
    }
    this.#retire(writer)
    await writer.close().catch(() => undefined)
  }

  #untrust(segment: SegmentFile, from: bigint): void {
    if (this.#untrustedFrom === undefined || from < this.#untrustedFrom) this.#untrustedFrom = from
    this.#failed.push(segment)
  }

  /** Writes every row at or above `untrusted` again, to new files, before anything else goes on. */
  async #rewrite(untrusted: bigint): Promise<void> {
    const from = untrusted > this.#truncatedBelow ? untrusted : this.#truncatedBelow
    const before = new Set([...this.#sealed, ...this.#failed])
    let isComplete: boolean
    try {
      isComplete = await this.#rewriteFrames(from)
    } catch (error) {
      await this.#dropRewritten(before)
      throw error
    }
    const failed = this.#failed
    this.#untrustedFrom = undefined
    this.#failed = []
    if (isComplete) {
      await this.#unlink(failed)
      return
    }
    // what the memtable no longer holds may still be readable there: recovery merges by offset
    for (const segment of failed) segment.endOffset = this.#nextOffset
    this.#sealed.push(...failed)
  }

  async #rewriteFrames(from: bigint): Promise<boolean> {
    let writer = await this.#create(from)
    if (this.#holes.every(({ end }) => end <= from)) await this.#makeHolesDurable(writer)
    let next = from
    let isComplete = true
    for (const frame of this.#framesFrom(from)) {
      const { firstOffset, payload, type } = frame
      if (type === FrameType.data) {
        isComplete &&= this.#isCoveredByHoles(next, firstOffset)
        next = firstOffset + 1n
      }
      if (writer.sizeBytes + frameBytes(payload.length) > this.#options.segmentBytesMax) {
        await this.#datasync(writer)
        await this.#seal(writer)
        writer = await this.#create(firstOffset)
      }
      // one at a time: the payload is only lent until the next step of the iteration
      await this.#write(writer, [frame])
    }
    isComplete &&= this.#isCoveredByHoles(next, this.#nextOffset)
    await this.#datasync(writer)
    this.#areHolesDurable = true
    if (!isComplete) {
      this.#options.logger.error({ from: from.toString() }, 'wal rewrite lacks unflushed rows')
    }
    return isComplete
  }

  /** A rewrite that failed half-way goes as a whole: all it held is still elsewhere. */
  async #dropRewritten(before: ReadonlySet<SegmentFile>): Promise<void> {
    const dropped = [...this.#sealed, ...this.#failed].filter((segment) => !before.has(segment))
    this.#sealed = this.#sealed.filter((segment) => before.has(segment))
    this.#failed = this.#failed.filter((segment) => before.has(segment))
    const active = this.#active
    if (active !== undefined) {
      this.#retire(active)
      await active.close().catch(() => undefined)
      dropped.push(active)
    }
    await this.#unlink(dropped).catch(() => undefined)
  }

  /** Known holes and unflushed rows, ascending. */
  *#framesFrom(from: bigint): Iterable<NewFrame> {
    const holes = this.#areHolesDurable ? [] : [...this.#holes]
    let next = from
    for (const { offset, payload } of this.#options.unflushed?.(from) ?? []) {
      if (offset < next || offset >= this.#nextOffset) continue
      while (holes.length > 0 && holes[0]!.start < offset) yield* holeFrames(holes.shift()!)
      yield dataFrame(offset, 0, payload)
      next = offset + 1n
    }
    for (const hole of holes) yield* holeFrames(hole)
  }

  #isCoveredByHoles(start: bigint, end: bigint): boolean {
    let next = start
    for (const hole of this.#holes) {
      if (hole.start <= next && hole.end > next) next = hole.end
    }
    return next >= end
  }

  async #unlink(segments: readonly SegmentFile[]): Promise<void> {
    const { fs, directory, logger } = this.#options
    for (const segment of segments) {
      try {
        await fs.unlink(segment.path)
      } catch (error) {
        logger.warn({ err: error, path: segment.path }, 'wal segment could not be removed')
        this.#sealed.push(segment)
      }
    }
    await pauseAt('wal:truncate')
    await fs.syncDirectory(directory)
  }
}

function dataFrame(first: bigint, index: number, payload: Uint8Array): NewFrame {
  return {
    type: FrameType.data,
    firstOffset: first + BigInt(index),
    count: 1,
    groupIndex: index,
    payload,
  }
}

/** No offset of its own: all below `firstOffset` was acknowledged or given up. */
function endFrame(firstOffset: bigint): NewFrame {
  return { type: FrameType.end, firstOffset, count: 0, groupIndex: 0, payload: new Uint8Array() }
}

function holeFrames({ start, end, reason }: Hole): NewFrame[] {
  const frames: NewFrame[] = []
  const payload = Buffer.from(reason)
  while (start < end) {
    const count = end - start < HOLE_COUNT_MAX ? end - start : HOLE_COUNT_MAX
    frames.push({
      type: FrameType.hole,
      firstOffset: start,
      count: Number(count),
      groupIndex: 0,
      payload,
    })
    start += count
  }
  return frames
}

/** The same bytes in the same places. */
async function writeAgain(handle: FileHandle): Promise<void> {
  const buffer = Buffer.allocUnsafe(COPY_BYTES)
  for (let position = 0; ; position += COPY_BYTES) {
    const bytes = await readFully(handle, buffer, position)
    if (bytes > 0) await writeFully(handle, [buffer.subarray(0, bytes)], position)
    if (bytes < COPY_BYTES) return
  }
}

async function pauseAt(name: string): Promise<void> {
  const pause = failpoint(name)
  if (pause !== undefined) await pause
}

/** What a failed append is told as. */
export function walError(error: unknown): AppError {
  if (error instanceof AppError && error.code !== 'internal') return error
  return isOutOfSpace(error)
    ? new AppError('log_full', 'no space for the log', { cause: error })
    : new AppError('log_unavailable', 'the log could not be written', { cause: error })
}
