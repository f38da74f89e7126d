/**
 * The segments that a WAL folder holds, read from their names and headers, oldest first. A segment
 * of another log or partition is left untouched and never read; one with a damaged header is read by
 * its name, which repeats the uuid that its frames are salted with.
 */
import { Buffer } from 'node:buffer'
import { dirname, join } from 'node:path'

import { AppError } from '@tributary/common/errors'
import { errorCode, readFully } from '@tributary/common/file-system'
import type { FileSystem } from '@tributary/common/file-system'
import type { Logger } from '@tributary/common/logger'

import {
  SEGMENT_HEADER_BYTES_MAX,
  SegmentVersion,
  decodeSegmentHeader,
  isSameIdentity,
  parseSegmentFileName,
} from './segment-header.ts'
import type { SegmentHeader, SegmentIdentity, SegmentName } from './segment-header.ts'

export interface SegmentFile {
  readonly path: string
  readonly name: SegmentName
  sizeBytes: number
  /** Every offset in it is below; truncation waits for it. */
  endOffset: bigint
}

export interface FoundSegment extends SegmentFile {
  /** Undefined: damaged, or only half of it was written. */
  readonly header: SegmentHeader | undefined
  /** Where frames begin; 0 with a damaged header: they are searched. */
  readonly dataStart: number
  /** Of its last frame, once it was read. */
  lastCrc: number
}

export interface SegmentListing {
  readonly segments: FoundSegment[]
  readonly foreignCount: number
  readonly highestSequence: bigint
}

/**
 * Reads the folder, creating it if missing.
 * @throws AppError wal_damaged where the log is of another version or as a whole of another owner
 */
export async function listSegments(
  fs: FileSystem,
  directory: string,
  identity: SegmentIdentity,
  logger: Logger,
  version: SegmentVersion = SegmentVersion.log,
): Promise<SegmentListing> {
  await createDirectory(fs, directory)
  const segments: FoundSegment[] = []
  const uuids = new Set<string>()
  let foreignCount = 0
  let highestSequence = -1n
  for (const fileName of (await fs.readdir(directory)).sort()) {
    const name = parseSegmentFileName(fileName)
    if (name === undefined) continue
    if (name.sequence > highestSequence) highestSequence = name.sequence
    const found = await inspectSegment(fs, join(directory, fileName), name, version)
    if (found.header !== undefined && !isSameIdentity(found.header.identity, identity)) {
      foreignCount++
      logger.error({ path: found.path, owner: found.header.identity }, 'wal segment of another log')
      continue
    }
    const uuid = Buffer.from(found.name.uuid).toString('hex')
    if (uuids.has(uuid)) logger.warn({ path: found.path }, 'wal segment is there twice')
    uuids.add(uuid)
    if (found.name.sequence > highestSequence) highestSequence = found.name.sequence
    segments.push(found)
  }
  if (foreignCount > 0 && segments.length === 0) {
    throw new AppError('wal_damaged', 'the log belongs to another store, topic or partition', {
      details: { directory, segments: foreignCount, expected: identity },
    })
  }
  segments.sort((a, b) => compareSegments(a.name, b.name))
  return { segments, foreignCount, highestSequence }
}

/** With all its parents, each name durable: a log in a folder that vanishes is no log. */
async function createDirectory(fs: FileSystem, directory: string): Promise<void> {
  const parents: string[] = []
  for (let folder = directory; !(await exists(fs, folder)); folder = dirname(folder)) {
    parents.push(dirname(folder))
  }
  if (parents.length === 0) return
  await fs.mkdir(directory)
  for (const parent of parents.reverse()) await fs.syncDirectory(parent)
}

async function exists(fs: FileSystem, path: string): Promise<boolean> {
  try {
    await fs.stat(path)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

async function inspectSegment(
  fs: FileSystem,
  path: string,
  fileName: SegmentName,
  version: SegmentVersion,
): Promise<FoundSegment> {
  const handle = await fs.open(path, 'read')
  try {
    const { sizeBytes } = await handle.stat()
    const head = Buffer.alloc(Math.min(SEGMENT_HEADER_BYTES_MAX, sizeBytes))
    const headBytes = await readFully(handle, head, 0).catch(() => 0)
    const outcome = decodeSegmentHeader(head.subarray(0, headBytes))
    const header = outcome.kind === 'valid' ? outcome.header : undefined
    const found = outcome.kind === 'newer_version' ? outcome.version : (header?.version ?? version)
    if (found !== version) {
      throw new AppError(
        'wal_damaged',
        'the log was written by a newer version or for another role',
        {
          details: { path, version: found },
        },
      )
    }
    const name = header ?? fileName
    return {
      path,
      name,
      sizeBytes,
      endOffset: name.baseOffset,
      header,
      lastCrc: 0,
      dataStart: outcome.kind === 'valid' ? outcome.headerBytes : 0,
    }
  } finally {
    await handle.close()
  }
}

/** By base offset, as recovery merges by offset; the newer one later. */
function compareSegments(a: SegmentName, b: SegmentName): number {
  if (a.baseOffset !== b.baseOffset) return a.baseOffset < b.baseOffset ? -1 : 1
  if (a.sequence !== b.sequence) return a.sequence < b.sequence ? -1 : 1
  return 0
}
