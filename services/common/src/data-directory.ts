/**
 * The data directory of one process: made where it is missing, held by a lock while the process
 * lives, with the id under which it writes commits. The lock is a listening socket, because the
 * kernel lets go of it however the process ends; a file with a pid would outlive kill -9.
 *
 * It is two sockets. One lies in the directory, so that two containers with one volume see each
 * other: with one writer id each would take the other's commits for late ones of its own. Where its
 * path is too long for a socket, or the file system has none, it lies in the system's temporary
 * folder. The other has a name and no file, where the system has such: a file that a dead process
 * left must be removed, and of two that do so at once both would get in.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AppError } from './errors.ts'

export interface DataDirectory {
  readonly path: string
  /** Names this directory's WAL in commits. */
  readonly writerId: string
  release(): Promise<void>
}

const WRITER_FILE = 'writer.json'
const LOCK_FILE = 'process.lock'
/** `sun_path` of macOS, the shortest, without its final zero. */
const SOCKET_PATH_BYTES_MAX = 103

/** @throws AppError invalid_config where another process holds the directory or it can't be written */
export async function openDataDirectory(path: string): Promise<DataDirectory> {
  try {
    await mkdir(path, { recursive: true })
  } catch (cause) {
    throw new AppError('invalid_config', 'data directory can not be made', {
      cause,
      details: { path },
    })
  }
  const real = await realpath(path)
  const locks = await takeLocks(real)
  return {
    path: real,
    writerId: await readWriterId(real),
    release: async () => {
      await Promise.all(locks.map(closed))
    },
  }
}

/** Servers that hold the directory until they are closed. */
async function takeLocks(directory: string): Promise<Server[]> {
  const name = await nameLock(directory)
  try {
    return [...name, await takeFileLock(directory)]
  } catch (error) {
    for (const server of name) server.close()
    throw error
  }
}

/** Linux: a socket without a file, for the directory's place on this machine. */
async function nameLock(directory: string): Promise<Server[]> {
  if (process.platform !== 'linux') return []
  const { dev, ino } = await stat(directory, { bigint: true })
  try {
    return [await listen(`\0tributary-${String(dev)}-${String(ino)}`)]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    throw directoryInUse(directory)
  }
}

async function takeFileLock(directory: string): Promise<Server> {
  const path = join(directory, LOCK_FILE)
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) {
    try {
      return await listenAlone(path, directory)
    } catch (error) {
      if (error instanceof AppError) throw error
    }
  }
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 24)
  return listenAlone(join(tmpdir(), `tributary-${name}.lock`), directory)
}

/** @throws AppError invalid_config where a living process listens there; of the system otherwise */
async function listenAlone(path: string, directory: string): Promise<Server> {
  try {
    return await listen(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
  }
  if (await isAlive(path)) throw directoryInUse(directory)
  await unlink(path)
  return listen(path)
}

function directoryInUse(directory: string): AppError {
  return new AppError('invalid_config', 'another process uses this data directory', {
    details: { directory },
  })
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve()
    })
  })
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject)
    server.listen(path, () => {
      server.unref()
      resolve(server)
    })
  })
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}

async function readWriterId(directory: string): Promise<string> {
  const path = join(directory, WRITER_FILE)
  try {
    return (JSON.parse(await readFile(path, 'utf8')) as { writerId: string }).writerId
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const writerId = randomUUID()
  const temporary = `${path}.tmp`
  const file = await open(temporary, 'w')
  await file.writeFile(JSON.stringify({ writerId }))
  await file.sync()
  await file.close()
  await rename(temporary, path)
  const folder = await open(directory)
  await folder.sync()
  await folder.close()
  return writerId
}
