/**
 * The object store in a folder. An object is written to a temporary file, synced, and linked to its
 * name (renamed for a plain overwrite); then the folder is synced. So a name always holds a whole
 * object, link() answers EEXIST to all but one creator, and a crash between any two steps leaves
 * temporary files only, which the next start removes.
 *
 * Invariant: a put resolves only after content and name are durable, and nobody is told of an
 * existing object (object_exists) before its name is: folders are synced first. A folder whose sync
 * failed is not believed again until it was changed and synced anew.
 */
import { createHash, randomUUID } from 'node:crypto'
import { dirname, join, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { FileHandle, FileSystem } from '../file-system.ts'
import type {
  GetOptions,
  ObjectEntry,
  ObjectStore,
  ObjectStoreOptions,
  PutOptions,
} from './object-store.ts'
import { AppError } from '../errors.ts'
import { failpoint } from '../failpoint.ts'
import { errorCode, nodeFileSystem, readFully, writeFully } from '../file-system.ts'
import { checkObjectKey } from '../paths.ts'
import { listFolder } from './folder-listing.ts'
import { TEMPORARY_FOLDER, removeStaleTemporaries, temporaryName } from './temporary-files.ts'
import {
  GET_BYTES_MAX,
  checkObjectSize,
  checkSha256,
  objectExists,
  objectMissing,
  probeCreateOnly,
} from './object-contract.ts'

const COPY_BYTES = 1024 * 1024
/** Folders known to be durable: 10,000 paths of 200 B are 2 MB; then the memory starts anew. */
const DURABLE_FOLDERS_MAX = 10_000

export class FileObjectStore implements ObjectStore {
  readonly url: string
  readonly #root: string
  readonly #fs: FileSystem
  readonly #durableFolders = new Set<string>()
  readonly #doubtfulFolders = new Set<string>()

  private constructor(root: string, url: string, fs: FileSystem) {
    this.#root = root
    this.url = url
    this.#fs = fs
  }

  /** Makes the folder where missing and removes what crashed writers left. */
  static async open(url: URL, options: ObjectStoreOptions): Promise<FileObjectStore> {
    const root = folderOf(url)
    const store = new FileObjectStore(root, url.href, options.fs ?? nodeFileSystem)
    try {
      await store.#ensureFolder(root)
      await store.#ensureFolder(join(root, TEMPORARY_FOLDER))
      const removed = await removeStaleTemporaries(store.#fs, join(root, TEMPORARY_FOLDER))
      if (removed > 0) options.logger.info({ removed }, 'removed temporary files of a crash')
    } catch (error) {
      throw fileError(error, root)
    }
    return store
  }

  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<void> {
    const target = this.#path(key)
    checkSha256(key, body, options.sha256)
    await this.#publish(key, target, options.onlyIfAbsent === true, async (temporary) => {
      const handle = await this.#fs.open(temporary, 'create')
      await this.#writeAndSync(handle, async () => {
        await writeFully(handle, [body], 0)
      })
    })
  }

  async putFile(key: string, path: string, bytes: number, sha256: string): Promise<void> {
    const target = this.#path(key)
    try {
      if (await this.#linkFinished(key, target, path, bytes)) return
      // taken: by the same bytes, or by a damaged object that the right bytes replace
      if ((await this.#hashOf(target)) === sha256) return
    } catch (error) {
      if (!isWithoutLinks(error) && errorCode(error) !== 'EXDEV') throw this.#error(error, key)
    }
    await this.#publish(key, target, false, (temporary) =>
      this.#copyAndSync(key, path, temporary, bytes, sha256),
    )
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    return this.#withFile(key, async (handle, sizeBytes) => {
      const offset = Math.min(options.range?.offset ?? 0, sizeBytes)
      const length = Math.min(options.range?.length ?? sizeBytes, sizeBytes - offset)
      checkObjectSize(key, length, options.bytesMax ?? GET_BYTES_MAX)
      const body = new Uint8Array(length)
      const filled = await readFully(handle, body, offset)
      return filled === length ? body : body.subarray(0, filled)
    })
  }

  async getToFile(key: string, path: string): Promise<void> {
    await this.#withFile(key, async (source) => {
      await this.#unlinkIfPresent(path)
      const target = await this.#fs.open(path, 'create')
      try {
        await this.#copy(source, target)
      } finally {
        await target.close()
      }
    })
  }

  async head(key: string): Promise<{ bytes: number } | undefined> {
    try {
      const stat = await this.#fs.stat(this.#path(key))
      return stat.isDirectory ? undefined : { bytes: stat.sizeBytes }
    } catch (error) {
      if (isMissing(error)) return undefined
      throw fileError(error, key)
    }
  }

  async *list(prefix: string, startAfter = ''): AsyncIterable<ObjectEntry> {
    try {
      yield* listFolder(this.#fs, this.#root, prefix, startAfter)
    } catch (error) {
      throw fileError(error, prefix)
    }
  }

  async delete(key: string): Promise<void> {
    const path = this.#path(key)
    try {
      await this.#unlinkIfPresent(path)
      await this.#syncFolder(dirname(path))
    } catch (error) {
      if (!isMissing(error)) throw fileError(error, key)
    }
  }

  async settle(prefix: string): Promise<void> {
    const folder = resolve(this.#root, prefix.slice(0, prefix.lastIndexOf('/') + 1))
    try {
      await this.#fs.stat(folder)
      await this.#ensureFolder(folder)
      await this.#syncFolder(folder)
    } catch (error) {
      if (!isMissing(error)) throw fileError(error, prefix)
    }
  }

  probe(): Promise<void> {
    return probeCreateOnly(this)
  }

  async close(): Promise<void> {}

  #path(key: string): string {
    return join(this.#root, checkObjectKey(key))
  }

  /** Writes a temporary file through `write`, then gives it its name. */
  async #publish(
    key: string,
    target: string,
    onlyIfAbsent: boolean,
    write: (temporary: string) => Promise<void>,
  ): Promise<void> {
    const folder = join(this.#root, TEMPORARY_FOLDER)
    const temporary = join(folder, temporaryName())
    try {
      await this.#ensureFolder(folder)
      await write(temporary)
      await this.#ensureFolder(dirname(target))
      await failpoint('store:before-link')
      if (onlyIfAbsent) {
        if (!(await this.#link(temporary, target))) throw objectExists(key)
      } else {
        await this.#fs.rename(temporary, target)
        await failpoint('store:after-link')
        await this.#syncFolder(dirname(target))
      }
    } catch (error) {
      if (isWithoutLinks(error)) {
        throw new AppError('store_unfit', 'file system refuses hard links', {
          cause: error,
          details: { path: target },
        })
      }
      throw this.#error(error, key)
    } finally {
      // best effort: the next start removes what stays
      await this.#unlinkIfPresent(temporary).catch(() => undefined)
    }
  }

  /**
   * Whether the name was free. Where it was not, its creator may have died before it synced the
   * name: nobody hears of it before the folder is synced here.
   */
  async #link(existing: string, target: string): Promise<boolean> {
    let isCreated = true
    try {
      await this.#fs.link(existing, target)
      await failpoint('store:after-link')
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error
      isCreated = false
    }
    await this.#syncFolder(dirname(target))
    return isCreated
  }

  async #linkFinished(key: string, target: string, path: string, bytes: number): Promise<boolean> {
    const handle = await this.#fs.open(path, 'update')
    await this.#writeAndSync(handle, async () => {
      const { sizeBytes } = await handle.stat()
      if (sizeBytes === bytes) return
      throw new AppError('object_mismatch', 'file changed its size before it was published', {
        details: { key, bytes, actual: sizeBytes },
      })
    })
    await this.#ensureFolder(dirname(target))
    await failpoint('store:before-link')
    return this.#link(path, target)
  }

  async #copyAndSync(
    key: string,
    path: string,
    temporary: string,
    bytes: number,
    sha256: string,
  ): Promise<void> {
    const source = await this.#fs.open(path, 'read')
    try {
      const target = await this.#fs.open(temporary, 'create')
      await this.#writeAndSync(target, async () => {
        const copied = await this.#copy(source, target)
        if (copied.bytes === bytes && copied.sha256 === sha256) return
        throw new AppError('object_mismatch', 'file differs from its hash', {
          details: { key, bytes, actual: copied.bytes },
        })
      })
    } finally {
      await source.close()
    }
  }

  async #writeAndSync(handle: FileHandle, write: () => Promise<void>): Promise<void> {
    try {
      await write()
      await handle.sync()
    } finally {
      await handle.close()
    }
  }

  async #copy(
    source: FileHandle,
    target: FileHandle | undefined,
  ): Promise<{ bytes: number; sha256: string }> {
    const buffer = new Uint8Array(COPY_BYTES)
    const hash = createHash('sha256')
    for (let position = 0; ;) {
      const read = await readFully(source, buffer, position)
      const piece = buffer.subarray(0, read)
      if (read > 0 && target !== undefined) await writeFully(target, [piece], position)
      hash.update(piece)
      position += read
      if (read < COPY_BYTES) return { bytes: position, sha256: hash.digest('hex') }
    }
  }

  async #hashOf(path: string): Promise<string> {
    try {
      const handle = await this.#fs.open(path, 'read')
      try {
        return (await this.#copy(handle, undefined)).sha256
      } finally {
        await handle.close()
      }
    } catch (error) {
      throw fileError(error, path)
    }
  }

  async #withFile<Result>(
    key: string,
    read: (handle: FileHandle, sizeBytes: number) => Promise<Result>,
  ): Promise<Result> {
    try {
      const handle = await this.#fs.open(this.#path(key), 'read')
      try {
        const { sizeBytes, isDirectory } = await handle.stat()
        if (isDirectory) throw objectMissing(key)
        return await read(handle, sizeBytes)
      } finally {
        await handle.close()
      }
    } catch (error) {
      if (isMissing(error)) throw objectMissing(key, error)
      throw fileError(error, key)
    }
  }

  /** Makes a folder and its parents, and syncs every name on the way, once per process. */
  async #ensureFolder(folder: string): Promise<void> {
    if (this.#durableFolders.has(folder)) return
    await this.#fs.mkdir(folder)
    for (let child = folder; child !== dirname(child); child = dirname(child)) {
      if (this.#durableFolders.has(child)) break
      try {
        await this.#syncFolder(dirname(child))
      } catch (error) {
        // what lies above the root may be closed to us: then it is not ours to make durable
        const isInside = child.startsWith(`${this.#root}${sep}`)
        if (isInside || !isDenied(error)) throw error
      }
    }
    if (this.#durableFolders.size >= DURABLE_FOLDERS_MAX) this.#durableFolders.clear()
    this.#durableFolders.add(folder)
  }

  /**
   * A sync that failed may have dropped the names it should have written, and the next one would
   * not tell. So a doubtful folder gets a new name first: its entries are written again.
   */
  async #syncFolder(folder: string): Promise<void> {
    if (this.#doubtfulFolders.has(folder)) {
      const marker = join(folder, `.sync-${randomUUID()}`)
      const handle = await this.#fs.open(marker, 'create')
      await handle.close()
      await this.#fs.syncDirectory(folder)
      await this.#fs.unlink(marker)
    }
    try {
      await this.#fs.syncDirectory(folder)
      this.#doubtfulFolders.delete(folder)
    } catch (error) {
      if (!isMissing(error)) this.#doubtfulFolders.add(folder)
      throw error
    }
  }

  async #unlinkIfPresent(path: string): Promise<void> {
    try {
      await this.#fs.unlink(path)
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  }

  #error(error: unknown, key: string): AppError {
    // somebody removed folders below us: the next try makes them again
    if (isMissing(error)) this.#durableFolders.clear()
    return fileError(error, key)
  }
}

function folderOf(url: URL): string {
  try {
    return resolve(fileURLToPath(url))
  } catch (cause) {
    throw new AppError('invalid_config', 'object store is no file:///folder', {
      cause,
      details: { url: url.href },
    })
  }
}

/** ENOTDIR: a part of the path is an object, so nothing lies below it. */
function isMissing(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR'
}

function isDenied(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
}

/** FAT, some network and user-space file systems. */
function isWithoutLinks(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'EPERM' || code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'ENOSYS'
}

/** A full or failing disk, missing rights: it may work later, and its outcome is unknown. */
function fileError(error: unknown, what: string): AppError {
  if (error instanceof AppError) return error
  return new AppError('store_unavailable', 'file store failed', {
    cause: error,
    details: { what, error: errorCode(error) },
  })
}
