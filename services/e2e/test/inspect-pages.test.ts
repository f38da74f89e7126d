/** `tributary inspect --pages` tells of page indexes what a reader that shares no code with it finds. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { Signal, SIGNAL_NAMES } from '@tributary/common/signal'
import { payload } from '@tributary/common/testing/payloads'
import { readPageIndexes, type IndexedColumn } from '@tributary/common/verify/parquet-footer'

import { decodeAll, envelopeOf, flush } from '../src/fidelity/round-trip.ts'
import { readIndexes } from '../src/readers/page-indexes.ts'

const run = promisify(execFile)
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
const RECORDS = 30_000
/** Pages hold 20,000 rows. */
const PAGE_ROWS = 20_000
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

void describe('page indexes', () => {
  let directory: string

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tributary-pages-'))
  })

  after(() => rm(directory, { recursive: true, force: true }))

  for (const signal of SIGNAL_NAMES) {
    void it(`of ${signal} are read as another reader reads them`, async () => {
      const { entries } = decodeAll(signal, 'protobuf', [1, 2, 3, 4, 5, 6, 7, 8])
      const table = await flush(signal, entries, directory, 20, 10)
      let pages = 0
      for (const { path } of table.files) {
        const found = await indexesOf(path)
        const { indexes, metadata } = readIndexes(path)
        for (const { group, path: column, pages: ours } of found) {
          const { columns } = metadata.row_groups[group]!
          const at = columns.findIndex(
            ({ meta_data }) => meta_data?.path_in_schema.join('.') === column,
          )
          const theirs = indexes[group]![at]
          // a column index may be missing where bounds can't be stated: theirs is null then
          if (theirs === null || theirs === undefined) continue
          const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex')
          assert.deepEqual(
            ours!.map(({ firstRow }) => firstRow),
            theirs.firstRows,
          )
          assert.deepEqual(
            ours!.map(({ bytes }) => bytes),
            theirs.compressedBytes,
          )
          assert.deepEqual(
            ours!.map(({ nulls }) => nulls),
            theirs.nullCounts,
          )
          assert.deepEqual(
            ours!.map(({ min }) => hex(min)),
            theirs.mins,
          )
          assert.deepEqual(
            ours!.map(({ max }) => hex(max)),
            theirs.maxs,
          )
          pages += theirs.firstRows.length
        }
      }
      assert.ok(pages > 100)
    })
  }

  void it('are shown, a line per page', async () => {
    const builder = new BatchBuilder(Signal.logs)
    const options = { tenant: 'default', arrivalUnixNano: 1_800_000_000_000_000_000n }
    const entries = Array.from({ length: RECORDS / 1000 }, (_, call) => {
      builder.reset()
      decodeInto(builder, payload('logs', { records: 1000, call }), options)
      return { bytes: envelopeOf(builder), suppressed: new Int32Array(0) }
    })
    const { files } = await flush('logs', entries, directory, 1000, RECORDS)
    const { path, rows } = files.toSorted((left, right) => right.rows - left.rows)[0]!
    assert.ok(rows > PAGE_ROWS, String(rows))
    const { stdout } = await run(process.execPath, [COMMAND, 'inspect', '--pages', path], {
      maxBuffer: OUTPUT_BYTES_MAX,
    })
    const shown = stdout.slice(stdout.indexOf('\nPages of row group 0\n'))
    const size = String.raw`\S+ (?:K|M)?i?B`
    const time = String.raw`2026-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z`
    assert.match(
      shown,
      new RegExp(String.raw`\n  timestamp +0 +20000 +${size} +0 +${time} +${time}\n`),
    )
    assert.match(shown, new RegExp(String.raw`\n +20000 +${String(rows - PAGE_ROWS)} +${size} +0 `))
    assert.match(
      shown,
      new RegExp(String.raw`\n  severity_text +0 +\d+ +${size} +0 +DEBUG +WARN\n`),
    )
    assert.match(shown, new RegExp(String.raw`\n  severity_number +0 +\d+ +${size} +0 +5 +17\n`))
  })
})

async function indexesOf(path: string): Promise<IndexedColumn[]> {
  const bytes = await readFile(path)
  const read = (offset: number, length: number): Promise<Uint8Array> =>
    Promise.resolve(bytes.subarray(offset, offset + length))
  const columns: IndexedColumn[] = []
  for await (const column of readPageIndexes(bytes.length, read)) columns.push(column)
  return columns
}
