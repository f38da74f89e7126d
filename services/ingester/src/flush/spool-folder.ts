import { join } from 'node:path'
import type { FileSystem } from '@tributary/common/file-system'

/** The folder of finished files that wait for their upload, empty: those of a dead process go. */
export async function emptySpool(fs: FileSystem, directory: string): Promise<string> {
  const spool = join(directory, 'spool')
  await fs.mkdir(spool)
  for (const name of await fs.readdir(spool)) await fs.unlink(join(spool, name))
  return spool
}
