import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { CommitFile } from '@tributary/common/commit/commit-record'
import { bytes, text } from '@tributary/common/config/setting'
import type { ConfigOf } from '@tributary/common/config/setting-table'
import type { ObjectStore } from '@tributary/common/object-store/object-store'

import { FileCache } from './file-cache.ts'

const GIB = 1024 ** 3

export const cacheSettings = {
  cacheDir: text({
    default: undefined,
    sentence: 'Folder for copies of files from a bucket; default: ~/.cache/tributary.',
  }),
  cacheBytesMax: bytes({
    default: 20 * GIB,
    min: 1024 ** 2,
    max: 1024 ** 5,
    sentence: 'Size of that folder; copies longest unused go first.',
  }),
}

/** Paths of the files: those of a folder in place, those of a bucket through the cache. */
export async function localPaths(
  store: ObjectStore,
  files: readonly CommitFile[],
  config: ConfigOf<typeof cacheSettings>,
): Promise<readonly string[]> {
  if (store.url.startsWith('file:')) {
    const root = fileURLToPath(store.url)
    return files.map((file) => join(root, file.key))
  }
  const cache = new FileCache(store, {
    folder: config.cacheDir ?? join(homedir(), '.cache', 'tributary'),
    bytesMax: config.cacheBytesMax,
  })
  return cache.fetch(files)
}
