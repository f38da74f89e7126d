import { randomUUID } from 'node:crypto'
import { mkdir, open, rm, statfs } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { errorText, failure, ok, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const SYNCS = 20
/** A slow disk is not measured for longer. */
const SYNCS_MS_MAX = 3000
const BLOCK_BYTES = 4096
/** Standalone acknowledges after one; a cluster after Kafka's. */
const SYNC_OK_MS = 20
const FREE_BYTES_MIN = 256 * 1024 ** 2

/** Whether the data folder can be written, how long a sync takes, and what room there is. */
export async function checkDisk(dataDir: string, walBytesMax: number): Promise<readonly Finding[]> {
  const folder = resolve(dataDir)
  const path = join(folder, `.doctor-${randomUUID()}`)
  try {
    await mkdir(folder, { recursive: true })
    const tookMs = await timeSyncs(path)
    const { bavail, bsize } = await statfs(folder)
    return [
      ok('disk', 'data folder', folder),
      syncFinding(tookMs),
      spaceFinding(bavail * bsize, walBytesMax),
    ]
  } catch (error) {
    const remedy = 'name a folder that this user may write with --data-dir'
    return [failure('disk', 'data folder', `${folder}: ${errorText(error)}`, remedy)]
  } finally {
    await rm(path, { force: true }).catch(() => undefined)
  }
}

/** Of fdatasync after a block at the end of a file, as the write-ahead log does it. Ascending. */
async function timeSyncs(path: string): Promise<readonly number[]> {
  const handle = await open(path, 'wx')
  const tookMs: number[] = []
  try {
    const block = Buffer.alloc(BLOCK_BYTES, 1)
    const deadlineMs = performance.now() + SYNCS_MS_MAX
    while (tookMs.length < SYNCS && performance.now() < deadlineMs) {
      await handle.write(block)
      const startMs = performance.now()
      await handle.datasync()
      tookMs.push(performance.now() - startMs)
    }
  } finally {
    await handle.close()
  }
  return tookMs.sort((left, right) => left - right)
}

function syncFinding(tookMs: readonly number[]): Finding {
  const medianMs = tookMs[tookMs.length >> 1]!
  const found = `${medianMs.toFixed(1)} ms, at most ${tookMs.at(-1)!.toFixed(1)} ms`
  return medianMs > SYNC_OK_MS
    ? warning(
        'disk',
        'fdatasync',
        found,
        'standalone acknowledges no sooner: take a disk with a quick flush',
      )
    : ok('disk', 'fdatasync', found)
}

function spaceFinding(freeBytes: number, walBytesMax: number): Finding {
  const found = `${mebibytes(freeBytes)} free, the log may take ${mebibytes(walBytesMax)}`
  const remedy = 'make room, or set --wal-bytes-max lower: on a full disk clients are told to retry'
  if (freeBytes < FREE_BYTES_MIN) return failure('disk', 'free space', found, remedy)
  return freeBytes < walBytesMax
    ? warning('disk', 'free space', found, remedy)
    : ok('disk', 'free space', found)
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 1024 ** 2)} MiB`
}
