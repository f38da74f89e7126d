/** What lies in the object store beside the data files. */
import { COMMIT_FORMAT_VERSION, parseCommitRecord } from '@tributary/common/commit/commit-record'
import { serializeCommitRecord, type CommitRecord } from '@tributary/common/commit/commit-record'
import { CHECKPOINT_FORMAT_VERSION } from '@tributary/common/commit/checkpoint'
import { parseCheckpoint, serializeCheckpoint } from '@tributary/common/commit/checkpoint'
import { parseSidecar, serializeSidecar } from '@tributary/common/commit/chunk-sidecar'
import { dataKey, hashesKey } from '@tributary/common/paths'
import { parseSchemaVersion, SCHEMA_FORMAT_VERSION } from '@tributary/common/schema/schema-chain'
import { serializeSchemaVersion } from '@tributary/common/schema/schema-chain'

import { withJsonVersion, withUint16At, type FormatSample } from './format-sample.ts'

export const SAMPLE_ID = { logId: 'cluster-topic', topic: 'tributary', partition: 7 }
const RANGE = { start: 40n, end: 44n }
const SHA256 = '0123456789abcdef'.repeat(4)
const PLACE = { tenant: 'acme', signal: 'logs', hour: '2026-11-21T03' } as const
const TIMES = { timeMin: '1795230000123456789', timeMax: '1795230000123456790' }

export const SAMPLE_COMMIT: CommitRecord = {
  ...SAMPLE_ID,
  ...{ formatVersion: COMMIT_FORMAT_VERSION, start: '40', end: '44', epoch: 9 },
  writer: 'ingester-2.0f0e0d0c',
  schemaVersions: { 'acme/logs': 2 },
  files: [
    {
      key: dataKey({ ...SAMPLE_ID, ...RANGE, ...PLACE, sha256: SHA256 }),
      ...{ bytes: 4711, sha256: SHA256, rows: 2, ...PLACE, ...TIMES },
    },
  ],
  counts: { rowsIn: 5, rowsStored: 2, rowsSuppressed: 2, rowsQuarantined: 1 },
  holes: [{ start: '41', end: '43', reason: 'quarantined: a reason' }],
  hashes: hashesKey(SAMPLE_ID, RANGE, SHA256),
  committedAt: '2026-11-21T03:04:05.678Z',
}

const CHUNKS = [
  { hashes: Buffer.alloc(16, 0xab), appendUnixMs: 1_795_230_000_456 },
  { hashes: Buffer.alloc(16, 0xcd), appendUnixMs: 1_795_230_000_457 },
]
const ADDITIONS = [
  { namespace: 'attributes', key: 'http.method', type: 'string', column: 'http.method' },
  { namespace: 'resource', key: 'process.pid', type: 'int', column: 'process.pid' },
] as const

/** The commit before it, so that a checkpoint has lines of both kinds. */
const COMMIT_BEFORE: CommitRecord = {
  ...SAMPLE_COMMIT,
  ...{ start: '38', end: '40', epoch: 8, writer: 'ingester-1.0f0e0d0c' },
  ...{ schemaVersions: {}, files: [], holes: [], hashes: null },
  counts: { rowsIn: 2, rowsStored: 0, rowsSuppressed: 2, rowsQuarantined: 0 },
}

const NEWER = /written by a newer version/

export const STORE_SAMPLES: readonly FormatSample[] = [
  {
    name: 'commit',
    version: COMMIT_FORMAT_VERSION,
    write: () => serializeCommitRecord(SAMPLE_COMMIT),
    read: parseCommitRecord,
    withVersion: withJsonVersion,
    refusal: { code: 'commit_damaged', message: NEWER },
  },
  {
    name: 'checkpoint',
    version: CHECKPOINT_FORMAT_VERSION,
    write: () => {
      const records = [COMMIT_BEFORE, SAMPLE_COMMIT]
      const commits = records.map((record) => ({ record, bytes: serializeCommitRecord(record) }))
      return serializeCheckpoint(SAMPLE_ID, 17, commits)
    },
    read: (bytes) => {
      const { header, commits } = parseCheckpoint(SAMPLE_ID, RANGE.end, bytes)
      return { header, records: Array.from(commits, ({ record }) => record) }
    },
    withVersion: withJsonVersion,
    refusal: { code: 'commit_damaged', message: NEWER },
  },
  {
    name: 'sidecar',
    version: 1,
    write: () => serializeSidecar(SAMPLE_ID, RANGE, CHUNKS),
    read: (bytes) => parseSidecar(bytes),
    withVersion: withUint16At(8),
    refusal: { code: 'commit_damaged', message: /unknown version/ },
  },
  {
    name: 'schema',
    version: SCHEMA_FORMAT_VERSION,
    write: () => serializeSchemaVersion('acme', 'logs', 2, ADDITIONS),
    read: parseSchemaVersion,
    withVersion: withJsonVersion,
    refusal: { code: 'schema_conflict', message: NEWER },
  },
]
