/**
 * Whatever lies in a bucket, reading it ends in a value that keeps the rules or in an AppError.
 * FUZZ_SEED replays a run, FUZZ_SECONDS lengthens it.
 */
import assert from 'node:assert/strict'
import { it } from 'node:test'

import { parseSidecar, serializeSidecar } from '../../src/commit/chunk-sidecar.ts'
import {
  commitProblem,
  parseCommitRecord,
  serializeCommitRecord,
} from '../../src/commit/commit-record.ts'
import { AppError } from '../../src/errors.ts'
import { hashesKey, parseDataKey } from '../../src/paths.ts'
import { parseSchemaVersion, serializeSchemaVersion } from '../../src/schema/schema-chain.ts'
import { SchemaState } from '../../src/schema/schema-state.ts'
import { randomSource } from '../../src/testing/seeded-random.ts'
import { readPageIndexes, readParquetFooter } from '../../src/verify/parquet-footer.ts'
import { PARTITION, commitFile, commitRecord } from './sample-commit.ts'
import { writeSample } from '../parquet/sample-file.ts'
import { parquetFile } from '../verify/sample-store.ts'

const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000_007)
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 1)

const RANGE = { start: 5n, end: 90n }
const commit = serializeCommitRecord(
  commitRecord(5n, 90n, {
    files: [commitFile(RANGE), commitFile(RANGE, { hour: 'late' })],
    holes: [{ start: '7', end: '9', reason: 'damaged' }],
    hashes: hashesKey(PARTITION, RANGE, 'ab'.repeat(32)),
  }),
)
const sidecar = serializeSidecar(PARTITION, RANGE, [
  { hashes: new Uint8Array(16).fill(1), appendUnixMs: 5 },
  { hashes: new Uint8Array(16).fill(2), appendUnixMs: 6 },
])
const wanted = (['int', 'any'] as const).map((type) => ({
  namespace: 'attributes' as const,
  key: 'k@',
  type,
}))
const schema = serializeSchemaVersion(
  'acme',
  'logs',
  1,
  SchemaState.empty('acme', 'logs').additionsFor(wanted),
)
const parquet = await parquetFile(RANGE, {})

const leaf = { kind: 'leaf', optional: true, bloom: false } as const
const indexed = writeSample({
  columns: [
    {
      field: { ...leaf, name: 'n', physical: 'INT64', logical: undefined },
      rows: Array.from({ length: 40 }, (_, row) => BigInt(row)),
    },
    {
      field: { ...leaf, name: 's', physical: 'BYTE_ARRAY', logical: 'STRING' },
      rows: Array.from({ length: 40 }, (_, row) => (row % 3 === 0 ? null : `text ${row}`)),
    },
  ],
  options: { pageRowsMax: 8 },
})

const FRAGMENTS = [
  ...['null', 'true', '-0', '1e999', '1E400', '9007199254740993', '1.5', '""', '{}', '[]', '[[]]'],
  ...['"__proto__":', '"constructor":{}', '"../../etc"', '"\\u0000"', '"\\ud800"', ',', ':', '"'],
  ...[
    '{"a":',
    '['.repeat(5000),
    '"'.repeat(2),
    '18446744073709551616',
    '"-1"',
    '"9223372036854775808"',
  ],
].map((text) => Buffer.from(text))

/** A few random changes: bits, cuts, doubled parts, odd JSON. */
function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  let result = Buffer.from(bytes)
  const below = (bound: number) => Math.floor(random() * bound)
  for (let change = below(4); change >= 0; change--) {
    const at = below(result.length + 1)
    const end = Math.min(result.length, at + below(random() < 0.5 ? 4 : 60))
    switch (below(5)) {
      case 0:
        if (at < result.length) result[at]! ^= 1 << below(8)
        break
      case 1:
        result = Buffer.concat([result.subarray(0, at), result.subarray(end)])
        break
      case 2:
        result = Buffer.concat([result.subarray(0, end), result.subarray(at)])
        break
      case 3:
        result = Buffer.concat([
          result.subarray(0, at),
          FRAGMENTS[below(FRAGMENTS.length)]!,
          result.subarray(end),
        ])
        break
      default:
        if (at < result.length) result[at] = below(256)
    }
  }
  return result
}

function checkCommit(bytes: Uint8Array): void {
  const record = parseCommitRecord(bytes)
  for (const { key } of record.files) {
    assert.equal(parseDataKey(key)?.start, BigInt(record.start))
    assert.ok(!key.includes('..'))
  }
  assert.ok(BigInt(record.start) < BigInt(record.end))
  assert.ok(record.holes.every(({ reason }) => reason !== ''))
  if (commitProblem(record) === undefined) {
    assert.deepEqual(parseCommitRecord(serializeCommitRecord(record)), record)
  }
}

function checkSidecar(bytes: Uint8Array): void {
  const { chunks, start, end } = parseSidecar(bytes)
  assert.equal(bytes.length, 48 + 24 * chunks.length)
  assert.ok(start < end)
}

function checkSchema(bytes: Uint8Array): void {
  const { additions } = parseSchemaVersion(bytes)
  const state = SchemaState.restore({ tenant: 'acme', signal: 'logs', version: 1, additions })
  for (const { namespace, key, type, column } of additions) {
    assert.equal(state.resolve(namespace, key, type), column)
  }
}

async function checkFooter(bytes: Uint8Array): Promise<void> {
  const read = (offset: number, length: number): Promise<Uint8Array> =>
    Promise.resolve(bytes.subarray(offset, offset + length))
  const footer = await readParquetFooter(bytes.length, read)
  assert.equal(typeof footer.rows, 'number')
  for await (const { path, pages } of readPageIndexes(bytes.length, read)) {
    assert.equal(typeof path, 'string')
    for (const page of pages ?? []) assert.equal(typeof page.bytes, 'number')
  }
}

const targets: [string, Uint8Array, (bytes: Uint8Array) => void | Promise<void>][] = [
  ['a commit', commit, checkCommit],
  ['a sidecar', sidecar, checkSidecar],
  ['a schema version', schema, checkSchema],
  ['a Parquet footer', parquet, checkFooter],
  ['a Parquet footer with page indexes', indexed, checkFooter],
]

for (const [name, valid, check] of targets) {
  it(`any bytes in place of ${name} are read or refused (FUZZ_SEED=${SEED})`, async () => {
    const random = randomSource(SEED)
    await check(valid)
    let refused = 0
    for (const end = Date.now() + SECONDS * 1000; Date.now() < end;) {
      const bytes = mutate(valid, random)
      try {
        await check(bytes)
      } catch (error) {
        if (error instanceof AppError) refused++
        else
          throw new Error(`FUZZ_SEED=${SEED}: ${Buffer.from(bytes).toString('base64')}`, {
            cause: error,
          })
      }
    }
    assert.ok(refused > 0)
  })
}
