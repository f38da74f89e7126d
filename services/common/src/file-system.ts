/**
 * The file calls that hold data: the WAL and the file object store use nothing else, so that tests
 * can put a failing disk below them (testing/fault-file-system.ts). Errors are those of Node, with
 * `code` (ENOSPC, EIO, EEXIST, ENOENT ...).
 *
 * Invariant of every caller: a name is durable only after `syncDirectory` of its folder, content
 * only after `datasync` or `sync` of its file, and a sync that failed once is never tried again on
 * the same file (the kernel marks the lost pages clean: the next sync "succeeds").
 */
import * as fs from 'node:fs'
import * as fsPromises from 'node:fs/promises'

export interface FileStat {
  readonly sizeBytes: number
  readonly modifiedUnixMs: number
  readonly isDirectory: boolean
}

export interface FileHandle {
  /** Writes the buffers one after the other; answers the bytes written, which may be fewer than given. */
  write(buffers: readonly Uint8Array[], position: number): Promise<number>
  /** Fills the buffer from `position`; answers the bytes read: 0 at the end of the file. */
  read(buffer: Uint8Array, position: number): Promise<number>
  /** fdatasync: content and size are durable. */
  datasync(): Promise<void>
  /** fsync: content and all metadata are durable. */
  sync(): Promise<void>
  truncate(sizeBytes: number): Promise<void>
  stat(): Promise<FileStat>
  close(): Promise<void>
}

/** read: must exist; create: must not exist (EEXIST), read and write; update: must exist, read and write. */
export type OpenMode = 'read' | 'create' | 'update'

export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<FileHandle>
  /** With all missing parents; no error where it exists. */
  mkdir(path: string): Promise<void>
  /** The names in a folder, unsorted. */
  readdir(path: string): Promise<string[]>
  stat(path: string): Promise<FileStat>
  statfs(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>
  /** Replaces the target where it exists. */
  rename(from: string, to: string): Promise<void>
  /** A second name; EEXIST where the target exists: the create-only publish of a finished file. */
  link(existing: string, target: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Removes an empty folder. */
  rmdir(path: string): Promise<void>
  /** fsync of a folder: its names are durable. */
  syncDirectory(path: string): Promise<void>
}

/** The `code` of a failed file call, or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** No room: a full disk, a quota or a file size limit. */
export function isOutOfSpace(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
}

/**
 * Writes all bytes of the buffers, however short the single writes are.
 * @returns the position behind the last byte
 */
export async function writeFully(
  handle: FileHandle,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<number> {
  let rest = buffers
  for (;;) {
    let written = await handle.write(rest, position)
    position += written
    let index = 0
    while (index < rest.length && written >= rest[index]!.length) written -= rest[index++]!.length
    if (index === rest.length) return position
    const first = rest[index]!
    rest = [first.subarray(written), ...rest.slice(index + 1)]
  }
}

/**
 * Fills the buffer from `position`, however short the single reads are.
 * @returns the bytes read: fewer than the buffer only at the end of the file
 */
export async function readFully(
  handle: FileHandle,
  buffer: Uint8Array,
  position: number,
): Promise<number> {
  let filled = 0
  while (filled < buffer.length) {
    const read = await handle.read(
      filled === 0 ? buffer : buffer.subarray(filled),
      position + filled,
    )
    if (read === 0) break
    filled += read
  }
  return filled
}

const OPEN_FLAGS = { read: 'r', create: 'wx+', update: 'r+' } as const satisfies Record<
  OpenMode,
  string
>

export const nodeFileSystem: FileSystem = {
  open: openFile,
  async mkdir(path) {
    await fsPromises.mkdir(path, { recursive: true })
  },
  readdir: (path) => fsPromises.readdir(path),
  stat: async (path) => fileStat(await fsPromises.stat(path)),
  async statfs(path) {
    const { bavail, blocks, bsize } = await fsPromises.statfs(path)
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  },
  rename: (from, to) => fsPromises.rename(from, to),
  link: (existing, target) => fsPromises.link(existing, target),
  unlink: (path) => fsPromises.unlink(path),
  rmdir: (path) => fsPromises.rmdir(path),
  async syncDirectory(path) {
    const handle = await fsPromises.open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}

function fileStat(stats: fs.Stats): FileStat {
  return {
    sizeBytes: stats.size,
    modifiedUnixMs: stats.mtimeMs,
    isDirectory: stats.isDirectory(),
  }
}

function openFile(path: string, mode: OpenMode): Promise<FileHandle> {
  return new Promise((resolve, reject) => {
    fs.open(path, OPEN_FLAGS[mode], 0o640, (error, descriptor) => {
      if (error === null) resolve(nodeFileHandle(descriptor))
      else reject(error)
    })
  })
}

/** On the callback API: the promise API of node:fs costs three times the CPU per call. */
function nodeFileHandle(descriptor: number): FileHandle {
  return {
    write: (buffers, position) =>
      new Promise((resolve, reject) => {
        const done = (error: Error | null, written: number) => {
          if (error === null) resolve(written)
          else reject(error)
        }
        const only = buffers.length === 1 ? buffers[0] : undefined
        if (only !== undefined) fs.write(descriptor, only, 0, only.length, position, done)
        else fs.writev(descriptor, buffers, position, done)
      }),
    read: (buffer, position) =>
      new Promise((resolve, reject) => {
        fs.read(descriptor, buffer, 0, buffer.length, position, (error, read) => {
          if (error === null) resolve(read)
          else reject(error)
        })
      }),
    datasync: () => settle((done) => fs.fdatasync(descriptor, done)),
    sync: () => settle((done) => fs.fsync(descriptor, done)),
    truncate: (sizeBytes) => settle((done) => fs.ftruncate(descriptor, sizeBytes, done)),
    stat: () =>
      new Promise((resolve, reject) => {
        fs.fstat(descriptor, (error, stats) => {
          if (error === null) resolve(fileStat(stats))
          else reject(error)
        })
      }),
    close: () => settle((done) => fs.close(descriptor, done)),
  }
}

function settle(call: (done: (error: Error | null | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => {
      if (error === null || error === undefined) resolve()
      else reject(error)
    })
  })
}
