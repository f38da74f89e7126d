/** The log in a worker thread over synchronous file calls: the rival in wal.bench.ts. */
import * as fs from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

import { systemClock } from '@tributary/common/clock'
import { nodeFileSystem } from '@tributary/common/file-system'
import type { FileHandle, FileSystem } from '@tributary/common/file-system'
import { createLogger } from '@tributary/common/logger'

import { Wal } from '../src/wal/wal.ts'

export interface WorkerAppend {
  readonly id: number
  readonly payload: Uint8Array
}

const synchronousFileSystem: FileSystem = {
  ...nodeFileSystem,
  open(path, mode) {
    const flags = { read: 'r', create: 'wx+', update: 'r+' }[mode]
    return Promise.resolve(synchronousHandle(fs.openSync(path, flags)))
  },
}

function synchronousHandle(descriptor: number): FileHandle {
  return {
    write: (buffers, position) => Promise.resolve(fs.writevSync(descriptor, buffers, position)),
    read: (buffer, position) =>
      Promise.resolve(fs.readSync(descriptor, buffer, 0, buffer.length, position)),
    datasync: () => Promise.resolve(fs.fdatasyncSync(descriptor)),
    sync: () => Promise.resolve(fs.fsyncSync(descriptor)),
    truncate: (sizeBytes) => Promise.resolve(fs.ftruncateSync(descriptor, sizeBytes)),
    stat: () => Promise.reject(new Error('not needed')),
    close: () => Promise.resolve(fs.closeSync(descriptor)),
  }
}

const { directory } = workerData as { directory: string }
const wal = await Wal.recover(
  {
    directory,
    fs: synchronousFileSystem,
    clock: systemClock,
    logger: createLogger({ name: 'wal-bench', level: 'silent' }),
    sync: 'group',
    groupBytesMax: 1024 * 1024,
    segmentBytesMax: 64 * 1024 * 1024,
    diskBytesMax: 2 ** 40,
    segmentIdentity: { logId: 'bench', topic: 'default', partition: 0 },
  },
  0n,
  { frame: () => undefined, hole: () => undefined },
)

parentPort!.on('message', ({ id, payload }: WorkerAppend) => {
  void wal.append(payload).then(async (offset) => {
    parentPort!.postMessage({ id })
    if (offset % 200n === 0n) await wal.truncate(offset)
  })
})
parentPort!.postMessage('ready')
