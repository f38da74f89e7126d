import { hostname } from 'node:os'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'

import type { FileSystem } from '../file-system.ts'
import { errorCode } from '../file-system.ts'

/** Hidden from listings; on the volume of the objects, so that link and rename work. */
export const TEMPORARY_FOLDER = '.temporary'
/** No put takes this long: what is older is nobody's, whatever its name says. */
const STALE_AFTER_MS = 3_600_000
const NAME = /^([A-Za-z0-9.-]+)~(\d+)~[0-9a-f-]{36}$/

/** `<host>~<process id>~<uuid>`: says whose it is, so that a start can tell what a crash left. */
export function temporaryName(): string {
  return `${hostPart()}~${process.pid}~${randomUUID()}`
}

/**
 * Removes the temporary files that no living process writes; others may share the folder (a tool
 * beside the server). Returns how many.
 */
export async function removeStaleTemporaries(fs: FileSystem, folder: string): Promise<number> {
  let removed = 0
  for (const name of await fs.readdir(folder)) {
    try {
      const path = join(folder, name)
      const { modifiedUnixMs } = await fs.stat(path)
      if (!isStale(name, modifiedUnixMs)) continue
      await fs.unlink(path)
      removed++
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error
    }
  }
  return removed
}

function isStale(name: string, modifiedUnixMs: number): boolean {
  if (Date.now() - modifiedUnixMs > STALE_AFTER_MS) return true
  const match = NAME.exec(name)
  if (match === null || match[1] !== hostPart()) return false
  const processId = Number(match[2])
  if (processId !== process.pid) return !isAlive(processId)
  // in a container every process is number 1: what is older than us was our predecessor's
  const startUnixMs = Date.now() - process.uptime() * 1000
  return isMainThread && modifiedUnixMs < startUnixMs - 1000
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0)
    return true
  } catch (error) {
    return errorCode(error) !== 'ESRCH'
  }
}

function hostPart(): string {
  return hostname().replace(/[^A-Za-z0-9.-]/g, '-') || 'host'
}
