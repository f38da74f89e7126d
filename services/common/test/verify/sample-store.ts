/** A small whole store in memory: two chains, three tables, late rows, a hole, sidecars, schemas. */
import { ByteWriter, parquetWrite } from 'hyparquet-writer'

import { CommitChain } from '../../src/commit/commit-chain.ts'
import { serializeSidecar } from '../../src/commit/chunk-sidecar.ts'
import type { CommitFile, CommitRecord } from '../../src/commit/commit-record.ts'
import type { ObjectStore } from '../../src/object-store/object-store.ts'
import { hashesKey } from '../../src/paths.ts'
import type { OffsetRange } from '../../src/paths.ts'
import { resolveOrExtend } from '../../src/schema/schema-chain.ts'
import { PARTITION, commitFile, commitRecord, sha256 } from '../commit/sample-commit.ts'
import type { SampleFile } from '../commit/sample-commit.ts'

/** A Parquet file by a foreign writer, with the footer that a flush writes. */
export async function parquetFile(
  range: OffsetRange,
  sample: SampleFile,
  schemaVersion = 0,
): Promise<Uint8Array> {
  const { tenant = 'acme', signal = 'logs', hour = '2026-11-21T03', rows = 10 } = sample
  const writer = new ByteWriter()
  const facts = {
    tenant,
    signal,
    topic: PARTITION.topic,
    partition: PARTITION.partition,
    start: range.start,
    end: range.end,
    rows,
    schema_version: schemaVersion,
  }
  await parquetWrite({
    writer,
    columnData: [
      { name: 'row', data: Array.from({ length: rows }, (_, n) => `${hour} ${n}`), type: 'STRING' },
    ],
    rowGroupSize: 7,
    kvMetadata: Object.entries(facts).map(([key, value]) => ({
      key: `tributary.${key}`,
      value: String(value),
    })),
  })
  return writer.getBytes()
}

/** Stores the file of a commit, and describes it. */
export async function putDataFile(
  store: ObjectStore,
  range: OffsetRange,
  sample: SampleFile,
  schemaVersion = 0,
): Promise<CommitFile> {
  const body = await parquetFile(range, sample, schemaVersion)
  const file = commitFile(range, { ...sample, body })
  await store.put(file.key, body)
  return file
}

export async function putSidecar(store: ObjectStore, range: OffsetRange): Promise<string> {
  const chunks = [{ hashes: new Uint8Array(16).fill(7), appendUnixMs: 1_795_230_000_000 }]
  const body = serializeSidecar(PARTITION, range, chunks)
  const key = hashesKey(PARTITION, range, sha256(body))
  await store.put(key, body)
  return key
}

/** 45 rows in five files: [0, 100) with a hole and a sidecar, [100, 250), [250, 251) without rows. */
export async function fillStore(store: ObjectStore): Promise<CommitRecord[]> {
  const schema = await resolveOrExtend(store, 'acme', 'logs', [
    { namespace: 'attributes', key: 'http.method', type: 'string' },
  ])
  const chain = await CommitChain.open(store, PARTITION)
  const first = { start: 0n, end: 100n }
  const second = { start: 100n, end: 250n }
  const version = schema.version
  const records = [
    commitRecord(0n, 100n, {
      files: [
        await putDataFile(store, first, {}, version),
        await putDataFile(store, first, { hour: 'late', rows: 5 }, version),
        await putDataFile(store, first, { tenant: 'zeta', signal: 'spans' }),
      ],
      schemaVersions: { 'acme/logs': version, 'zeta/spans': 0 },
      holes: [{ start: '40', end: '42', reason: 'log damaged' }],
      hashes: await putSidecar(store, first),
    }),
    commitRecord(100n, 250n, {
      files: [
        await putDataFile(store, second, {}, version),
        await putDataFile(store, second, { hour: '2026-11-21T04' }, version),
      ],
      schemaVersions: { 'acme/logs': version },
      hashes: await putSidecar(store, second),
    }),
    commitRecord(250n, 251n, { files: [] }),
  ]
  for (const record of records) await chain.append(record)
  const other = { ...PARTITION, partition: 4 }
  await (await CommitChain.open(store, other)).append(commitRecord(0n, 9n, { ...other, files: [] }))
  return records
}
