/**
 * Rows that are not committed yet, as Parquet files made by the flush workers and thrown away after they
 * were read. A snapshot begins where a commit ends: with the commits up to there every row is read once,
 * whatever is flushed meanwhile.
 */
import { COMMIT_FILES_MAX } from '@tributary/common/commit/commit-record'
import { readFully, type FileSystem } from '@tributary/common/file-system'
import type { PartitionId } from '@tributary/common/paths'
import { tableJob, tablesOf, type FlushTable } from '../flush/frozen-range.ts'
import type { TableEncoder } from '../flush/table-encoder.ts'
import type { FlushSettings, TableFile } from '../flush/table-writer.ts'
import type { UnflushedSnapshot } from '../partition.ts'

export interface UnflushedReaderOptions {
  readonly encoder: TableEncoder
  readonly fs: FileSystem
  readonly settings: FlushSettings
}

/** Which rows; empty: all. */
export interface UnflushedSelection {
  readonly tenant: string
  readonly signal: string
}

export interface UnflushedFilePart {
  readonly kind: 'file'
  readonly table: FlushTable
  readonly file: TableFile
}

export type UnflushedPart =
  UnflushedFilePart | { readonly kind: 'data'; readonly bytes: Uint8Array }

/** Of one answer: far below what one message of gRPC may have. */
const PART_BYTES = 256 * 1024

/**
 * Writes and reads the files of a snapshot, one table after the other. Its memory is read until the
 * generator has ended.
 * @throws AppError encode_failed, cancelled, store_unavailable for a full disk
 */
export async function* readUnflushed(
  options: UnflushedReaderOptions,
  id: PartitionId,
  snapshot: UnflushedSnapshot,
  selection: UnflushedSelection,
  signal: AbortSignal,
): AsyncGenerator<UnflushedPart> {
  const { encoder, settings } = options
  const selected = snapshot.entries.length === 0 ? [] : tablesOf(snapshot.entries, COMMIT_FILES_MAX)
  for (const table of selected) {
    if (selection.tenant !== '' && table.tenant !== selection.tenant) continue
    if (selection.signal !== '' && table.signal !== selection.signal) continue
    const { files } = await encoder.run(tableJob(id, snapshot, table, settings), signal)
    yield* readFiles(options.fs, table, files)
  }
}

async function* readFiles(
  fs: FileSystem,
  table: FlushTable,
  files: readonly TableFile[],
): AsyncGenerator<UnflushedPart> {
  try {
    for (const file of files) {
      yield { kind: 'file', table, file }
      yield* readParts(fs, file)
    }
  } finally {
    for (const { path } of files) await fs.unlink(path).catch(() => undefined)
  }
}

async function* readParts(
  fs: FileSystem,
  { path, bytes }: TableFile,
): AsyncGenerator<UnflushedPart> {
  const handle = await fs.open(path, 'read')
  try {
    for (let at = 0; at < bytes; at += PART_BYTES) {
      const part = new Uint8Array(Math.min(PART_BYTES, bytes - at))
      await readFully(handle, part, at)
      yield { kind: 'data', bytes: part }
    }
  } finally {
    await handle.close()
  }
}
