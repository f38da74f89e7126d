/**
 * The WAL of a partition whose log is Kafka: a local copy of records that are not committed yet, so
 * that a restart on the same disk need not fetch them again. Nothing depends on it: no sync is waited
 * for, and a file that is damaged, cut, foreign or does not go on where the one before ended is
 * dropped with all behind it; what it held is fetched again.
 *
 * Invariants: offsets of the records that it gives back ascend by one from the wanted offset on, each
 * with both its checksums intact. A file is never written again after a write to it failed, unless
 * the disk was full and what that write left could be cut off.
 */
import { join } from 'node:path'
import type { Clock } from '@tributary/common/clock'
import { failpoint } from '@tributary/common/failpoint'
import { isOutOfSpace, type FileSystem } from '@tributary/common/file-system'
import type { Logger } from '@tributary/common/logger'
import { ChunkSource } from './chunk-source.ts'
import { FrameType, frameBytes, type NewFrame } from './frame.ts'
import { listSegments, type FoundSegment, type SegmentFile } from './segment-directory.ts'
import { parseSegmentFileName, segmentSalt, type SegmentIdentity } from './segment-header.ts'
import { SegmentVersion, UUID_BYTES } from './segment-header.ts'
import { walError } from './segment-log.ts'
import { SegmentReader, type ReadFrame } from './segment-reader.ts'
import { SegmentWriter } from './segment-writer.ts'

/** A record of the other log. */
export interface CachedRecord {
  readonly offset: bigint
  readonly appendUnixMs: number
  readonly payload: Uint8Array
}

export interface WalCacheOptions {
  readonly directory: string
  readonly fs: FileSystem
  readonly clock: Clock
  readonly logger: Logger
  readonly randomBytes: (count: number) => Uint8Array
  readonly segmentBytesMax: number
  readonly segmentIdentity: SegmentIdentity
}

/**
 * False: the record is of no use, it and what follows are dropped. The payload is valid until the
 * visitor is done: copy what stays.
 */
export type CacheVisitor = (record: CachedRecord) => boolean | Promise<boolean>

export class WalCache {
  readonly #options: WalCacheOptions
  #sealed: SegmentFile[] = []
  #active: SegmentWriter | undefined
  #nextSequence = 0n
  /** Whoever changes files holds the end of this chain. */
  #exclusive: Promise<void> = Promise.resolve()

  private constructor(options: WalCacheOptions) {
    this.#options = options
  }

  /**
   * Gives every record from `startOffset` (the end of the commit chain) on to the visitor that is
   * there without a gap, and drops all files that hold anything else.
   * @throws what the visitor throws; a disk that fails is an empty cache
   */
  static async open(
    options: WalCacheOptions,
    startOffset: bigint,
    visitor: CacheVisitor,
  ): Promise<WalCache> {
    const cache = new WalCache(options)
    const { fs, directory, segmentIdentity, logger } = options
    let segments: FoundSegment[]
    try {
      const listing = await listSegments(
        fs,
        directory,
        segmentIdentity,
        logger,
        SegmentVersion.cache,
      )
      if (listing.foreignCount > 0) throw new Error('files of another log')
      cache.#nextSequence = listing.highestSequence + 1n
      segments = listing.segments
    } catch (error) {
      logger.warn({ err: error, directory }, 'wal can not be read, its records are fetched again')
      await cache.#dropDirectory()
      return cache
    }
    await cache.#replay(segments, startOffset, visitor)
    return cache
  }

  get bytesOnDisk(): number {
    let bytes = this.#active?.sizeBytes ?? 0
    for (const { sizeBytes } of this.#sealed) bytes += sizeBytes
    return bytes
  }

  /**
   * Writes records behind those before; when it fails none of them is there.
   * @throws AppError log_full, log_unavailable
   */
  append(records: readonly CachedRecord[]): Promise<void> {
    return this.#exclusively(() => this.#append(records))
  }

  /** Forgets everything below an offset: files wholly below are unlinked. Never fails. */
  truncate(beforeOffset: bigint): Promise<void> {
    return this.#exclusively(async () => {
      const active = this.#active
      if (active !== undefined && !active.isEmpty && active.endOffset <= beforeOffset) {
        await this.#seal(active)
      }
      await this.#unlink(this.#sealed.filter(({ endOffset }) => endOffset <= beforeOffset))
    })
  }

  /** Forgets everything. Never fails. */
  drop(): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#active !== undefined) await this.#seal(this.#active)
      await this.#unlink([...this.#sealed])
    })
  }

  /** Leaves the files for the next open. Never fails. */
  close(): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#active !== undefined) await this.#seal(this.#active)
    })
  }

  async #replay(
    segments: readonly FoundSegment[],
    startOffset: bigint,
    visitor: CacheVisitor,
  ): Promise<void> {
    let expected = startOffset
    let isDoubtful = false
    const dropped: SegmentFile[] = []
    for (const [index, segment] of segments.entries()) {
      const next = segments[index + 1]?.name.baseOffset
      if (isDoubtful || (next !== undefined && next <= expected)) {
        dropped.push(segment)
        continue
      }
      const before = expected
      const outcome = await this.#replaySegment(segment, expected, visitor)
      expected = outcome.next
      isDoubtful = outcome.isDoubtful
      const isKept = !isDoubtful && expected > before
      if (isKept) this.#sealed.push(segment)
      else dropped.push(segment)
    }
    await this.#unlink(dropped)
  }

  async #replaySegment(
    segment: FoundSegment,
    expected: bigint,
    visitor: CacheVisitor,
  ): Promise<{ next: bigint; isDoubtful: boolean }> {
    const { logger } = this.#options
    let next = expected
    let isDoubtful = false
    const reader = await this.#open(segment).catch(() => undefined)
    if (reader === undefined) return { next, isDoubtful: true }
    try {
      for (let frames = await reader.read(); frames !== undefined; frames = await reader.read()) {
        const pause = failpoint('wal:recover')
        if (pause !== undefined) await pause
        for (const frame of frames) {
          const record = recordOf(frame, next)
          if (record === 'past') continue
          isDoubtful = record === 'doubt' || !(await visitor(record))
          if (isDoubtful) break
          next += 1n
        }
        if (isDoubtful) break
      }
      isDoubtful ||= reader.damages.length > 0
      segment.endOffset = reader.nextOffset
    } finally {
      await reader.close()
    }
    if (isDoubtful) {
      logger.warn({ path: segment.path, next: String(next) }, 'wal file is dropped: it has damage')
    }
    return { next, isDoubtful }
  }

  async #open(segment: FoundSegment): Promise<SegmentReader> {
    const { fs, logger, segmentIdentity } = this.#options
    const handle = await fs.open(segment.path, 'read')
    const source = new ChunkSource(handle, segment.sizeBytes, (position, error) => {
      logger.warn({ path: segment.path, position, err: error }, 'wal file is unreadable')
    })
    const salt = segmentSalt(segment.name.uuid, segmentIdentity)
    return new SegmentReader(source, salt, segment.dataStart, segment.name.baseOffset)
  }

  async #append(records: readonly CachedRecord[]): Promise<void> {
    const first = records[0]
    if (first === undefined) return
    const frames: NewFrame[] = records.map(({ offset, appendUnixMs, payload }) => ({
      type: FrameType.record,
      firstOffset: offset,
      count: 1,
      groupIndex: 0,
      appendUnixMs,
      payload,
    }))
    let writer: SegmentWriter | undefined
    try {
      writer = await this.#writerFor(first.offset, frames)
      await writer.write(frames)
      await failpoint('wal:after-write')
    } catch (error) {
      if (writer !== undefined) await this.#giveUp(writer, error)
      throw walError(error)
    }
  }

  /** A file that a write failed on goes, unless it was only full and is whole again. */
  async #giveUp(writer: SegmentWriter, error: unknown): Promise<void> {
    if (isOutOfSpace(error) && (await writer.cut())) return
    this.#options.logger.warn({ err: error, path: writer.path }, 'wal file is dropped')
    await this.#seal(writer)
    await this.#unlink([writer])
  }

  async #writerFor(offset: bigint, frames: readonly NewFrame[]): Promise<SegmentWriter> {
    const active = this.#active
    if (active !== undefined) {
      let bytes = active.sizeBytes
      for (const { payload } of frames) bytes += frameBytes(payload.length)
      // a file that was cut off may end before these records: they must not follow a gap
      const goesOn = active.isEmpty || active.endOffset === offset
      if (goesOn && (active.isEmpty || bytes <= this.#options.segmentBytesMax)) return active
      await this.#seal(active)
    }
    const { fs, directory, segmentIdentity, clock, randomBytes } = this.#options
    const writer = await SegmentWriter.create(fs, directory, offset, {
      version: SegmentVersion.cache,
      uuid: randomBytes(UUID_BYTES),
      sequence: this.#nextSequence++,
      baseOffset: offset,
      identity: segmentIdentity,
      createdUnixMs: BigInt(Math.floor(clock.nowUnixMs())),
      predecessor: undefined,
    })
    this.#active = writer
    return writer
  }

  async #seal(writer: SegmentWriter): Promise<void> {
    this.#active = undefined
    this.#sealed.push(writer)
    await writer.close().catch((error: unknown) => {
      this.#options.logger.warn({ err: error, path: writer.path }, 'wal file did not close')
    })
  }

  async #unlink(files: readonly SegmentFile[]): Promise<void> {
    if (files.length === 0) return
    const { fs, directory, logger } = this.#options
    const gone = new Set<SegmentFile>(files)
    this.#sealed = this.#sealed.filter((segment) => !gone.has(segment))
    for (const { path } of files) {
      // the next open drops what is left: its offsets lie below the chain, or it is damaged
      await fs.unlink(path).catch((error: unknown) => {
        logger.warn({ err: error, path }, 'wal file could not be removed')
      })
    }
    const pause = failpoint('wal:truncate')
    if (pause !== undefined) await pause
    await fs.syncDirectory(directory).catch((error: unknown) => {
      logger.warn({ err: error, directory }, 'wal folder could not be synced')
    })
  }

  /** Removes every segment of a folder that can not be made sense of. */
  async #dropDirectory(): Promise<void> {
    const { fs, directory, logger } = this.#options
    try {
      for (const name of await fs.readdir(directory)) {
        const segment = parseSegmentFileName(name)
        if (segment === undefined) continue
        if (segment.sequence >= this.#nextSequence) this.#nextSequence = segment.sequence + 1n
        await fs.unlink(join(directory, name))
      }
    } catch (error) {
      logger.warn({ err: error, directory }, 'wal folder could not be emptied')
    }
  }

  #exclusively(action: () => Promise<void>): Promise<void> {
    const done = this.#exclusive.then(action)
    this.#exclusive = done.catch(() => undefined)
    return done
  }
}

/** What a frame says: the record that is due, one that was had before, or nothing to rely on. */
function recordOf(
  { header, payload }: ReadFrame,
  expected: bigint,
): CachedRecord | 'past' | 'doubt' {
  const { type, firstOffset, appendUnixMs } = header
  if (type !== FrameType.record || firstOffset > expected) return 'doubt'
  if (firstOffset < expected) return 'past'
  return { offset: firstOffset, appendUnixMs, payload }
}
