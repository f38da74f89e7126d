/**
 * Replays the segments of a log by offset: one pass that merges the segments (they overlap where an
 * abandoned one was rewritten) and gives every intact frame from `startOffset` on to the visitor,
 * once, ascending; and every range of offsets that is provably gone as a hole. It changes no
 * segment: killed at any moment, the next run sees the same. What is provable: docs/format/wal.md.
 * Memory: two open segments at a time in the usual case, read ahead by a few MiB each.
 */
import { Buffer } from 'node:buffer'

import type { Clock } from '@tributary/common/clock'
import { failpoint } from '@tributary/common/failpoint'
import type { FileSystem } from '@tributary/common/file-system'
import type { Logger } from '@tributary/common/logger'

import { ChunkSource } from './chunk-source.ts'
import { FrameType, frameBytes } from './frame.ts'
import type { FrameHeader } from './frame.ts'
import { isHoleReason } from './hole.ts'
import type { Hole, HoleReason } from './hole.ts'
import type { FoundSegment } from './segment-directory.ts'
import { segmentSalt } from './segment-header.ts'
import type { SegmentIdentity } from './segment-header.ts'
import { SegmentReader, countOf } from './segment-reader.ts'
import type { DamagedRange, ReadFrame } from './segment-reader.ts'

export interface RecoveryVisitor {
  /** Once per frame, ascending. The payload (8-byte aligned) is valid until the visitor is done: copy what stays. */
  frame(offset: bigint, payload: Uint8Array): void | Promise<void>
  /** In order with the frames: after the one before `start`, before the one at `end`. */
  hole(start: bigint, end: bigint, reason: HoleReason): void | Promise<void>
  progress?(doneBytes: number, totalBytes: number, etaMs: number): void
}

export interface RecoveryContext {
  readonly fs: FileSystem
  readonly clock: Clock
  readonly logger: Logger
  readonly identity: SegmentIdentity
}

/** A damaged range that acknowledged rows were lost in: worth keeping aside. */
export interface BrokenRange {
  readonly segment: FoundSegment
  readonly range: DamagedRange
}

export interface RecoveryOutcome {
  /** The next free offset: max(start offset, one behind the highest offset known to have been given). */
  readonly nextOffset: bigint
  /** Everything below was acknowledged or given up, as later frames or files prove. */
  readonly provenEnd: bigint
  readonly holes: Hole[]
  readonly broken: BrokenRange[]
  readonly frameCount: number
}

interface Cursor {
  readonly segment: FoundSegment
  readonly reader: SegmentReader
  frames: ReadFrame[]
  index: number
}

const PROGRESS_INTERVAL_MS = 250

export class Recovery {
  readonly #context: RecoveryContext
  readonly #segments: FoundSegment[]
  readonly #visitor: RecoveryVisitor
  readonly #waiting: FoundSegment[]
  readonly #cursors: Cursor[] = []
  #upcoming: Cursor | undefined
  readonly #holes: Hole[] = []
  /** All that can be known of what was acknowledged is known. */
  #hasLookedAhead = false
  readonly #damages: BrokenRange[] = []
  #expected: bigint
  #acknowledgedEnd: bigint
  #frameCount = 0
  #doneBytes = 0
  readonly #totalBytes: number
  readonly #startedMs: number
  #reportedMs: number

  constructor(
    context: RecoveryContext,
    segments: FoundSegment[],
    startOffset: bigint,
    visitor: RecoveryVisitor,
  ) {
    this.#context = context
    this.#segments = segments
    this.#visitor = visitor
    this.#expected = startOffset
    this.#acknowledgedEnd = headerEvidence(segments)
    this.#waiting = segments.filter((segment) => !isWhollyBelow(segment, segments, startOffset))
    this.#totalBytes = this.#waiting.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    this.#startedMs = context.clock.monotonicMs()
    this.#reportedMs = this.#startedMs
  }

  async run(): Promise<RecoveryOutcome> {
    try {
      for (;;) {
        const cursor = await this.#lowestCursor()
        if (cursor === undefined) break
        do {
          const visited = this.#visit(cursor.frames[cursor.index++]!)
          if (visited !== undefined) await visited
        } while (this.#isAlone(cursor))
      }
      await this.#finish()
    } finally {
      for (const cursor of [...this.#cursors, this.#upcoming]) await cursor?.reader.close()
    }
    return {
      nextOffset: this.#expected,
      provenEnd: this.#acknowledgedEnd,
      holes: this.#holes,
      broken: this.#damages.filter((damage) => this.#isBehindHole(damage)),
      frameCount: this.#frameCount,
    }
  }

  /** The cursor whose frame is due next; on equal offsets data before holes, then the newer segment. */
  async #lowestCursor(): Promise<Cursor | undefined> {
    for (;;) {
      let lowest: Cursor | undefined
      for (const cursor of [...this.#cursors]) {
        if (cursor.index === cursor.frames.length && !(await this.#advance(cursor))) continue
        if (lowest === undefined || isBefore(cursor, lowest)) lowest = cursor
      }
      const next = this.#upcoming?.segment ?? this.#waiting[0]
      if (next === undefined) return lowest
      if (lowest !== undefined && next.name.baseOffset > headOf(lowest).firstOffset) return lowest
      this.#cursors.push(this.#upcoming ?? (await this.#open(this.#waiting.shift()!)))
      // the one after it reads ahead while this one is replayed
      const following = this.#waiting.shift()
      this.#upcoming = following === undefined ? undefined : await this.#open(following)
    }
  }

  /** True while no other segment can hold the next offset: the usual case, without a promise per frame. */
  #isAlone(cursor: Cursor): boolean {
    if (this.#cursors.length > 1 || cursor.index === cursor.frames.length) return false
    const next = this.#upcoming?.segment.name.baseOffset
    return next === undefined || next > headOf(cursor).firstOffset
  }

  async #advance(cursor: Cursor): Promise<boolean> {
    const pause = failpoint('wal:recover')
    if (pause !== undefined) await pause
    const frames = await cursor.reader.read()
    if (cursor.reader.acknowledgedEnd > this.#acknowledgedEnd) {
      this.#acknowledgedEnd = cursor.reader.acknowledgedEnd
    }
    if (frames === undefined) {
      await this.#closeCursor(cursor)
      return false
    }
    cursor.frames = frames
    cursor.index = 0
    for (const { header } of frames) this.#doneBytes += frameBytes(header.payloadBytes)
    this.#report()
    return true
  }

  async #open(segment: FoundSegment): Promise<Cursor> {
    const { fs, logger, identity } = this.#context
    const handle = await fs.open(segment.path, 'read')
    const source = new ChunkSource(handle, segment.sizeBytes, (position, error) => {
      logger.error({ path: segment.path, position, err: error }, 'wal segment is unreadable')
    })
    const salt = segmentSalt(segment.name.uuid, identity)
    const reader = new SegmentReader(source, salt, segment.dataStart, segment.name.baseOffset)
    return { segment, reader, frames: [], index: 0 }
  }

  async #closeCursor(cursor: Cursor): Promise<void> {
    this.#cursors.splice(this.#cursors.indexOf(cursor), 1)
    const { segment, reader } = cursor
    await reader.close()
    segment.endOffset = reader.nextOffset
    segment.lastCrc = reader.lastCrc
    for (const range of reader.damages) {
      this.#damages.push({ segment, range })
      const { startPosition, endPosition } = range
      this.#context.logger.warn(
        { path: segment.path, startPosition, endPosition },
        'wal segment has a range that holds no frame',
      )
    }
  }

  #visit({ header, payload }: ReadFrame): void | Promise<void> {
    const { firstOffset } = header
    const end = firstOffset + countOf(header)
    if (end <= this.#expected || header.type === FrameType.end) return undefined
    if (header.type === FrameType.hole || firstOffset !== this.#expected) {
      return this.#visitBehindGap(header, payload)
    }
    this.#expected = end
    this.#frameCount++
    return this.#visitor.frame(firstOffset, payload)
  }

  async #visitBehindGap(header: FrameHeader, payload: Uint8Array): Promise<void> {
    const { firstOffset } = header
    const end = firstOffset + BigInt(header.count)
    if (firstOffset > this.#expected) await this.#addGap(this.#expected, firstOffset)
    if (header.type === FrameType.hole) {
      const start = firstOffset > this.#expected ? firstOffset : this.#expected
      await this.#addHole(start, end, holeReason(payload))
    } else {
      this.#frameCount++
      await this.#visitor.frame(firstOffset, payload)
    }
    this.#expected = end
  }

  async #addGap(start: bigint, end: bigint): Promise<void> {
    if (start >= this.#acknowledgedEnd && !this.#hasLookedAhead) await this.#lookAhead()
    const isProven = start < this.#acknowledgedEnd
    await this.#addHole(start, end, isProven ? this.#gapReason(start, end) : 'wal_unacknowledged')
  }

  /** Reads all that is left once more, before its time: does a later group prove the gap acknowledged? */
  async #lookAhead(): Promise<void> {
    this.#hasLookedAhead = true
    const started = [...this.#cursors, this.#upcoming].flatMap((cursor) => cursor?.segment ?? [])
    for (const segment of [...started, ...this.#waiting]) {
      const { reader } = await this.#open(segment)
      try {
        while ((await reader.read()) !== undefined);
      } finally {
        await reader.close()
      }
      if (reader.acknowledgedEnd > this.#acknowledgedEnd) {
        this.#acknowledgedEnd = reader.acknowledgedEnd
      }
    }
  }

  async #addHole(start: bigint, end: bigint, reason: HoleReason): Promise<void> {
    this.#holes.push({ start, end, reason })
    const details = { start: start.toString(), end: end.toString(), reason }
    // what was never acknowledged is nobody's loss: a power cut takes the group it was in
    if (reason === 'wal_unacknowledged') this.#context.logger.info(details, 'wal hole')
    else this.#context.logger.error(details, 'wal hole: acknowledged rows are lost')
    await this.#visitor.hole(start, end, reason)
  }

  #gapReason(start: bigint, end: bigint): HoleReason {
    const isDamaged =
      this.#damages.some((damage) => this.#overlaps(damage, start, end)) ||
      this.#cursors.some(({ segment, reader }) =>
        reader.damages.some((range) => this.#overlaps({ segment, range }, start, end)),
      )
    return isDamaged ? 'wal_damaged' : 'wal_missing'
  }

  /** A range up to the end of a segment can hold offsets up to where the next segment begins. */
  #overlaps({ segment, range }: BrokenRange, start: bigint, end: bigint): boolean {
    if (range.startOffset >= end) return false
    if (range.endOffset !== undefined) return range.endOffset > start
    const next = this.#segments[this.#segments.indexOf(segment) + 1]
    return next === undefined || next.name.baseOffset > start
  }

  #isBehindHole(damage: BrokenRange): boolean {
    return this.#holes.some(
      ({ start, end, reason }) =>
        reason !== 'wal_unacknowledged' && this.#overlaps(damage, start, end),
    )
  }

  async #finish(): Promise<void> {
    const proven = this.#acknowledgedEnd
    if (this.#expected < proven) {
      await this.#addHole(this.#expected, proven, this.#gapReason(this.#expected, proven))
      this.#expected = proven
    }
    this.#doneBytes = this.#totalBytes
    this.#visitor.progress?.(this.#totalBytes, this.#totalBytes, 0)
  }

  #report(): void {
    const nowMs = this.#context.clock.monotonicMs()
    if (nowMs - this.#reportedMs < PROGRESS_INTERVAL_MS) return
    this.#reportedMs = nowMs
    const leftBytes = Math.max(0, this.#totalBytes - this.#doneBytes)
    const etaMs = ((nowMs - this.#startedMs) * leftBytes) / Math.max(1, this.#doneBytes)
    this.#visitor.progress?.(this.#doneBytes, this.#totalBytes, etaMs)
  }
}

function headOf(cursor: Cursor): FrameHeader {
  return cursor.frames[cursor.index]!.header
}

function isBefore(a: Cursor, b: Cursor): boolean {
  const headA = headOf(a)
  const headB = headOf(b)
  if (headA.firstOffset !== headB.firstOffset) return headA.firstOffset < headB.firstOffset
  const isHoleA = headA.type === FrameType.hole
  if (isHoleA !== (headB.type === FrameType.hole)) return !isHoleA
  return a.segment.name.sequence > b.segment.name.sequence
}

/** A segment's header is written when everything below these offsets is acknowledged. */
function headerEvidence(segments: readonly FoundSegment[]): bigint {
  let evidence = 0n
  for (const { header } of segments) {
    if (header === undefined) continue
    const proven = header.predecessor?.nextOffset ?? header.baseOffset
    if (proven > evidence) evidence = proven
  }
  return evidence
}

/** Known without reading it where its successor says so: those are only waiting to be unlinked. */
function isWhollyBelow(
  segment: FoundSegment,
  segments: readonly FoundSegment[],
  startOffset: bigint,
): boolean {
  const successor = segments.find(
    ({ header }) =>
      header?.predecessor !== undefined &&
      Buffer.compare(header.predecessor.uuid, segment.name.uuid) === 0,
  )
  const end = successor?.header?.predecessor?.nextOffset
  if (end === undefined || end > startOffset) return false
  segment.endOffset = end
  return true
}

function holeReason(payload: Uint8Array): HoleReason {
  const word = Buffer.from(payload).toString()
  return isHoleReason(word) ? word : 'wal_damaged'
}
