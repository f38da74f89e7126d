/**
 * Local copies of files that a bucket holds, for an engine that reads only local files. A copy is
 * named after the content's SHA-256, so it is never stale and any number of processes may share the
 * folder; it appears by rename, whole or not at all. The folder keeps at most `bytesMax`: the copies
 * longest unused go first, those of the running query stay.
 */
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'

import type { CommitFile } from '@tributary/common/commit/commit-record'
import { AppError } from '@tributary/common/errors'
import type { ObjectStore } from '@tributary/common/object-store/object-store'

/** Downloads at the same time. */
const DOWNLOADS_MAX = 4
/** A download left behind by a process that died. */
const ABANDONED_AFTER_MS = 3_600_000

export interface FileCacheOptions {
  readonly folder: string
  readonly bytesMax: number
}

export class FileCache {
  readonly #store: ObjectStore
  readonly #folder: string
  readonly #bytesMax: number

  constructor(store: ObjectStore, options: FileCacheOptions) {
    this.#store = store
    this.#folder = options.folder
    this.#bytesMax = options.bytesMax
  }

  /**
   * Paths of local copies, in the order of the files.
   * @throws AppError invalid_config where they do not fit into the folder's bound together
   */
  async fetch(files: readonly CommitFile[]): Promise<readonly string[]> {
    const distinct = new Map(files.map((file) => [file.sha256, file]))
    const bytes = [...distinct.values()].reduce((sum, file) => sum + file.bytes, 0)
    if (bytes > this.#bytesMax) {
      throw new AppError('invalid_config', 'the files do not fit into the cache', {
        details: {
          problems: [
            `the query needs ${bytes} bytes of files, --cache-bytes-max allows ${this.#bytesMax}: ` +
              'raise it, or take fewer files with --tenant and the flags of time',
          ],
        },
      })
    }
    await mkdir(this.#folder, { recursive: true })
    await this.#evict(new Set(distinct.keys()), bytes)
    const queue = [...distinct.values()]
    const download = async (): Promise<void> => {
      for (let file = queue.pop(); file !== undefined; file = queue.pop()) await this.#ensure(file)
    }
    await Promise.all(Array.from({ length: DOWNLOADS_MAX }, download))
    return files.map((file) => this.#pathOf(file.sha256))
  }

  #pathOf(sha256: string): string {
    return join(this.#folder, `${sha256}.parquet`)
  }

  async #ensure(file: CommitFile): Promise<void> {
    const path = this.#pathOf(file.sha256)
    const now = new Date()
    try {
      if ((await stat(path)).size === file.bytes) {
        await utimes(path, now, now)
        return
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    const partial = `${path}.${process.pid}.part`
    try {
      await this.#store.getToFile(file.key, partial)
      await rename(partial, path)
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    }
  }

  /** Makes room for `bytesNeeded`, some of which may be there already under the names to keep. */
  async #evict(keep: ReadonlySet<string>, bytesNeeded: number): Promise<void> {
    const removable: { path: string; bytes: number; usedMs: number }[] = []
    let removableBytes = 0
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name)
      const found = await stat(path).catch(() => undefined)
      if (found === undefined || !found.isFile()) continue
      if (name.endsWith('.part')) {
        if (Date.now() - found.mtimeMs > ABANDONED_AFTER_MS) await rm(path, { force: true })
      } else if (name.endsWith('.parquet') && !keep.has(name.slice(0, -'.parquet'.length))) {
        removable.push({ path, bytes: found.size, usedMs: found.mtimeMs })
        removableBytes += found.size
      }
    }
    removable.sort((left, right) => left.usedMs - right.usedMs)
    for (const { path, bytes } of removable) {
      if (bytesNeeded + removableBytes <= this.#bytesMax) return
      await rm(path, { force: true })
      removableBytes -= bytes
    }
  }
}
