import type { CommitFile } from '@tributary/common/commit/commit-record'
import { replayRequests } from '@tributary/common/replay/replay'

import type { OtlpTarget } from './otlp-target.ts'
import { StoredRows } from './stored-rows.ts'
import type { TimeRange } from './stored-rows.ts'

export interface ReplayTally {
  files: number
  requests: number
  items: number
  /** Items that the target will never take. */
  rejectedItems: number
}

export interface ReplayRun {
  readonly files: readonly CommitFile[]
  readonly range: TimeRange
  readonly target: OtlpTarget
  /** A local path of the file, valid until the next call. */
  localPath(file: CommitFile): Promise<string>
  /** Hears of every request that was sent. */
  onProgress?(tally: ReplayTally): void
}

/** Sends the rows of the files, one request after the other, in the order of the commits. */
export async function replayFiles(run: ReplayRun): Promise<ReplayTally> {
  const tally: ReplayTally = { files: 0, requests: 0, items: 0, rejectedItems: 0 }
  const stored = await StoredRows.open()
  try {
    for (const file of run.files) {
      const path = await run.localPath(file)
      const columns = await stored.columnMap(path)
      const rows = stored.rows(path, run.range)
      for await (const { body, items } of replayRequests(file.signal, columns, rows)) {
        const { signal, tenant } = file
        tally.rejectedItems += await run.target.send({ signal, tenant, body, items })
        tally.requests++
        tally.items += items
        run.onProgress?.(tally)
      }
      tally.files++
    }
    return tally
  } finally {
    stored.close()
  }
}

/** Whether a file may hold rows of the range: its commit says from when to when its rows are. */
export function overlaps(file: CommitFile, range: TimeRange): boolean {
  const { fromMicros, untilMicros } = range
  if (fromMicros !== undefined && BigInt(file.timeMax) < fromMicros * 1000n) return false
  return untilMicros === undefined || BigInt(file.timeMin) < untilMicros * 1000n
}
