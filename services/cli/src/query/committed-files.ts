import { AppError } from '@tributary/common/errors'
import { COMMIT_BYTES_MAX, parseCommitRecord } from '@tributary/common/commit/commit-record'
import type { CommitFile } from '@tributary/common/commit/commit-record'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { COMMITS_PREFIX, parseCommitKey } from '@tributary/common/paths'

/** Commits read at the same time: hides the round trips of S3. */
const READS_MAX = 16

/**
 * The files that the commits name, in order of log and offset: what is in the store without a commit
 * (an upload that lost its process) is not data.
 * @throws AppError commit_damaged for a commit that cannot be read
 */
export async function readCommittedFiles(store: ObjectStore): Promise<readonly CommitFile[]> {
  const keys: string[] = []
  for await (const entry of store.list(COMMITS_PREFIX)) {
    if (parseCommitKey(entry.key) !== undefined) keys.push(entry.key)
  }
  const files: CommitFile[] = []
  for (let index = 0; index < keys.length; index += READS_MAX) {
    const group = keys.slice(index, index + READS_MAX)
    const records = await Promise.all(group.map((key) => readCommit(store, key)))
    for (const record of records) files.push(...record.files)
  }
  return files
}

async function readCommit(store: ObjectStore, key: string) {
  try {
    return parseCommitRecord(await store.get(key, { bytesMax: COMMIT_BYTES_MAX }))
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'commit_damaged') throw error
    throw new AppError('commit_damaged', 'commit cannot be read', {
      cause: error,
      details: { key },
    })
  }
}
