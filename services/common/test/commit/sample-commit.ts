/** Commits and stores that the tests of chain, sweep and verify start from. */
import { createHash } from 'node:crypto'

import { COMMIT_FORMAT_VERSION } from '../../src/commit/commit-record.ts'
import type { CommitFile, CommitRecord } from '../../src/commit/commit-record.ts'
import { createLogger } from '../../src/logger.ts'
import type { FileSystem } from '../../src/file-system.ts'
import type { ObjectStore } from '../../src/object-store/object-store.ts'
import { openObjectStore } from '../../src/object-store/object-store.ts'
import type { OffsetRange, PartitionId } from '../../src/paths.ts'
import { dataKey } from '../../src/paths.ts'
import type { SignalName } from '../../src/signal.ts'
import { FaultFileSystem } from '../../src/testing/fault-file-system.ts'

export const PARTITION: PartitionId = { logId: 'log-1', topic: 'tributary', partition: 3 }

export const sha256 = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex')

/** A file store in memory. */
export function memoryStore(fs: FileSystem = new FaultFileSystem(1)): Promise<ObjectStore> {
  return openObjectStore('file:///store', {
    logger: createLogger({ name: 'test', level: 'silent' }),
    fs,
  })
}

export interface SampleFile {
  readonly tenant?: string
  readonly signal?: SignalName
  readonly hour?: string
  readonly rows?: number
  readonly body?: Uint8Array
}

export function commitFile(range: OffsetRange, sample: SampleFile = {}): CommitFile {
  const { tenant = 'acme', signal = 'logs', hour = '2026-11-21T03', rows = 10 } = sample
  const body = sample.body ?? Buffer.from(`${tenant}${signal}${hour}${range.start}`)
  const hash = sha256(body)
  return {
    key: dataKey({ ...PARTITION, ...range, tenant, signal, hour, sha256: hash }),
    bytes: body.length,
    sha256: hash,
    rows,
    tenant,
    signal,
    hour,
    timeMin: '1795230000000000000',
    timeMax: '18446744073709551615',
  }
}

/** A commit of one file with ten rows, unless told otherwise. */
export function commitRecord(
  start: bigint,
  end: bigint,
  changes: Partial<CommitRecord> = {},
): CommitRecord {
  const files = changes.files ?? [commitFile({ start, end })]
  const rowsStored = files.reduce((sum, file) => sum + file.rows, 0)
  return {
    formatVersion: COMMIT_FORMAT_VERSION,
    ...PARTITION,
    start: String(start),
    end: String(end),
    epoch: 1,
    writer: 'writer-a',
    schemaVersions: Object.fromEntries(files.map((file) => [`${file.tenant}/${file.signal}`, 0])),
    files,
    counts: { rowsIn: rowsStored, rowsStored, rowsSuppressed: 0, rowsQuarantined: 0 },
    holes: [],
    hashes: null,
    committedAt: '2026-11-21T03:04:05.678Z',
    ...changes,
  }
}
