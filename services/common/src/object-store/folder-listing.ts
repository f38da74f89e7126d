import { join, resolve } from 'node:path'

import type { FileStat, FileSystem } from '../file-system.ts'
import type { ObjectEntry } from './object-store.ts'
import { errorCode } from '../file-system.ts'
import { isObjectKey } from '../paths.ts'

/**
 * The objects below a folder by ascending key, as S3 lists them: a folder sorts as its name with
 * `/` at the end. Folders that cannot hold a key in question are not opened. One folder's names are
 * in memory at a time and level; names that are no keys (hidden ones, foreign files) are left out.
 */
export async function* listFolder(
  fs: FileSystem,
  root: string,
  prefix: string,
  startAfter: string,
): AsyncGenerator<ObjectEntry> {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  if (folder !== '' && !isObjectKey(folder.slice(0, -1))) return
  yield* walk(fs, root, folder, prefix, startAfter)
}

/** `folder` is empty or ends in `/`. */
async function* walk(
  fs: FileSystem,
  root: string,
  folder: string,
  prefix: string,
  startAfter: string,
): AsyncGenerator<ObjectEntry> {
  const names = await namesOf(fs, resolve(root, folder))
  // an object `a.json` sorts before a folder `a/`: both forms are compared where they may differ
  const wanted = names
    .filter((name) => isObjectKey(name) && mayHold(`${folder}${name}`, prefix, startAfter))
    .sort()
  const entries: { key: string; stat: FileStat }[] = []
  let previous: string | undefined
  for (const name of wanted) {
    // names that continue one another (a, a-b, a.b) may swap places with folders: keep them together
    if (previous !== undefined && !name.startsWith(previous)) {
      yield* entriesInOrder(fs, root, entries, prefix, startAfter)
      previous = undefined
    }
    previous ??= name
    const key = `${folder}${name}`
    const stat = await statOf(fs, join(root, key))
    if (stat !== undefined) entries.push({ key: stat.isDirectory ? `${key}/` : key, stat })
  }
  yield* entriesInOrder(fs, root, entries, prefix, startAfter)
}

/** Empties `entries`. */
async function* entriesInOrder(
  fs: FileSystem,
  root: string,
  entries: { key: string; stat: FileStat }[],
  prefix: string,
  startAfter: string,
): AsyncGenerator<ObjectEntry> {
  entries.sort((a, b) => (a.key < b.key ? -1 : 1))
  for (const { key, stat } of entries.splice(0)) {
    if (stat.isDirectory) yield* walk(fs, root, key, prefix, startAfter)
    else if (key.startsWith(prefix) && key > startAfter) {
      yield { key, bytes: stat.sizeBytes, lastModifiedMs: stat.modifiedUnixMs }
    }
  }
}

/** Whether `path`, as an object or as a folder, can be or hold a wanted key. */
function mayHold(path: string, prefix: string, startAfter: string): boolean {
  const isOnTheWay = path.startsWith(prefix) || prefix.startsWith(`${path}/`)
  // everything in a folder is below its name with the character after `/`
  return isOnTheWay && (path > startAfter || `${path}0` > startAfter)
}

async function namesOf(fs: FileSystem, folder: string): Promise<string[]> {
  try {
    return await fs.readdir(folder)
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** undefined where it vanished since its folder was read. */
async function statOf(fs: FileSystem, path: string): Promise<FileStat | undefined> {
  try {
    return await fs.stat(path)
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

function isGone(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR'
}
