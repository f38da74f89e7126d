/**
 * Keeps aside what could not be read where acknowledged rows were lost: `<segment>.<start>-<end>.broken`
 * holds the bytes of the segment from start to end. For people; never read by the log again.
 */
import { Buffer } from 'node:buffer'
import { basename, join } from 'node:path'

import { readFully, writeFully } from '@tributary/common/file-system'
import type { FileSystem } from '@tributary/common/file-system'
import type { Logger } from '@tributary/common/logger'

import type { BrokenRange } from './recovery.ts'

const COPY_BYTES = 1024 * 1024

/** Idempotent; a failure is logged and stops nothing: the rows are lost already. */
export async function keepBrokenRanges(
  fs: FileSystem,
  directory: string,
  logger: Logger,
  ranges: readonly BrokenRange[],
): Promise<void> {
  if (ranges.length === 0) return
  const present = new Set(await fs.readdir(directory))
  for (const { segment, range } of ranges) {
    const { startPosition, endPosition } = range
    const name = `${basename(segment.path)}.${startPosition}-${endPosition}.broken`
    if (present.has(name)) continue
    try {
      await copyRange(fs, segment.path, join(directory, name), startPosition, endPosition)
      await fs.syncDirectory(directory)
      logger.warn({ path: join(directory, name) }, 'kept a damaged range of the wal aside')
    } catch (error) {
      logger.error({ err: error, name }, 'could not keep a damaged range of the wal aside')
    }
  }
}

async function copyRange(
  fs: FileSystem,
  from: string,
  to: string,
  start: number,
  end: number,
): Promise<void> {
  const temporary = `${to}.tmp`
  await fs.unlink(temporary).catch(() => undefined)
  const source = await fs.open(from, 'read')
  try {
    const target = await fs.open(temporary, 'create')
    try {
      const buffer = Buffer.alloc(Math.min(COPY_BYTES, end - start))
      for (let at = start; at < end; at += buffer.length) {
        const part = buffer.subarray(0, Math.min(buffer.length, end - at))
        part.fill(0)
        // an unreadable page stays zeros: that is all there is to keep
        await readFully(source, part, at).catch(() => 0)
        await writeFully(target, [part], at - start)
      }
      await target.sync()
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
  await fs.rename(temporary, to)
}
