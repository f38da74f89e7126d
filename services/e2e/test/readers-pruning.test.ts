/** What the sort order and the page indexes spare a query for one minute and for one resource. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { BatchBuilder } from '@tributary/common/columnar/batch-builder'
import { decodeInto } from '@tributary/common/otlp/decoder'
import { Signal } from '@tributary/common/signal'
import { exportRequest } from '@tributary/common/testing/otlp-messages'
import { runPython } from '@tributary/common/testing/python'
import { envelopeOf, flush } from '../src/fidelity/round-trip.ts'
import { readIndexes, type FileIndexes } from '../src/readers/page-indexes.ts'
import { microsBetween, prune, textEquals, type Pruned } from '../src/readers/row-pruning.ts'

const ROWS = 120_000
const ROW_GROUP_ROWS_MAX = 30_000
const HOUR_MICROS = 1_700_002_800_000_000n
const MINUTE_MICROS = 60_000_000n
const MINUTE = microsBetween(
  'timestamp',
  HOUR_MICROS + 20n * MINUTE_MICROS,
  HOUR_MICROS + 21n * MINUTE_MICROS,
)
const SERVICE = 'resource.service.name'
const CHECK = new URL('../src/readers/check-files.py', import.meta.url)

void describe('pruning of an hour of logs', () => {
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tributary-pruning-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  void it('reads a fraction for one of 60 resources, and for its minute', async (t) => {
    const path = await writeHour(directory, 60)
    const indexes = readIndexes(path)
    const service = textEquals(SERVICE, 'service-017')
    const resource = noted(t, 'one of 60 resources', prune(indexes, [service]))
    assert.equal(resource.rows, ROWS)
    assert.equal(resource.rowGroupsRead, 1, 'of 4')
    assert.ok(resource.rowsRead <= ROWS / 4)
    const minute = noted(t, 'a minute of one of 60 resources', prune(indexes, [service, MINUTE]))
    assert.ok(minute.rowsRead <= resource.rowsRead)
    assert.equal(rowsFound(path, `"${SERVICE}" = 'service-017'`), ROWS / 60)
    // every page holds many resources, and so every minute: the price of the order by resource
    noted(t, 'a minute of all 60 resources', prune(indexes, [MINUTE]))
  })

  void it('reads a sixth for one minute of two resources', async (t) => {
    const path = await writeHour(directory, 2)
    const indexes = readIndexes(path)
    const minute = noted(t, 'a minute of 2 resources', prune(indexes, [MINUTE]))
    assert.ok(minute.rowsRead <= ROWS / 6 && minute.rowGroupsRead < 4)
    const service = textEquals(SERVICE, 'service-001')
    const both = noted(t, 'a minute of one of 2 resources', prune(indexes, [service, MINUTE]))
    assert.ok(both.rowsRead <= ROWS / 4)
    assert.equal(rowsFound(path, `minute(timestamp) = 20`), ROWS / 60)
    assert.equal(rowsFound(path, `minute(timestamp) = 20 and "${SERVICE}" = 'service-001'`), 1000)
    assertTrue(path, indexes)
  })
})

/** A file of one hour: rows of all services at even distances, as if batches had arrived in turn. */
async function writeHour(directory: string, services: number): Promise<string> {
  const builder = new BatchBuilder(Signal.logs)
  const perService = ROWS / services
  const stepMicros = (60n * MINUTE_MICROS) / BigInt(perService)
  for (let service = 0; service < services; service++) {
    const logRecords = Array.from({ length: perService }, (_, index) => ({
      timeUnixNano: String((HOUR_MICROS + BigInt(index) * stepMicros) * 1000n),
      body: { stringValue: `order ${String(index)}` },
    }))
    const name = { stringValue: `service-${String(service).padStart(3, '0')}` }
    const body = exportRequest('logs').encode({
      resourceLogs: [
        {
          resource: { attributes: [{ key: 'service.name', value: name }] },
          scopeLogs: [{ logRecords }],
        },
      ],
    })
    decodeInto(builder, body, {
      tenant: 'default',
      arrivalUnixNano: (HOUR_MICROS + 60n * MINUTE_MICROS) * 1000n,
    })
  }
  const entries = [{ bytes: envelopeOf(builder), suppressed: new Int32Array(0) }]
  const { files } = await flush('logs', entries, directory, 100, ROW_GROUP_ROWS_MAX)
  assert.equal(files.length, 1)
  return files[0]!.path
}

function noted(t: TestContext, query: string, pruned: Pruned): Pruned {
  const { rowsRead, rows, rowGroupsRead, rowGroups } = pruned
  t.diagnostic(
    `${query}: ${String(rowsRead)} of ${String(rows)} rows, ` +
      `${String(rowGroupsRead)} of ${String(rowGroups)} row groups`,
  )
  return pruned
}

function rowsFound(path: string, condition: string): number {
  const script = `
import duckdb, sys
con = duckdb.connect()
con.execute("set timezone='UTC'")
print(con.execute('select count(*) from read_parquet(?) where ' + sys.argv[2], [sys.argv[1]]).fetchone()[0])`
  return Number(runPython(script, [path, condition]))
}

/** The pages that were skipped by their indexes have no other rows than the indexes say. */
function assertTrue(path: string, { exact, indexes }: FileIndexes): void {
  const { problems, checked } = check(path, { exact, indexes })
  assert.deepEqual(problems.slice(0, 10), [])
  assert.ok(checked.pages > checked.chunks, 'chunks have several pages')
  // and the check itself sees an index that is wrong: the bounds of another page
  const shifted = indexes.map((group) =>
    group.map((index) => index && { ...index, mins: [...index.mins.slice(1), index.mins[0]!] }),
  )
  assert.notDeepEqual(check(path, { exact, indexes: shifted }).problems, [])
}

interface Answer {
  readonly problems: readonly string[]
  readonly checked: { readonly pages: number; readonly chunks: number }
}

function check(path: string, { exact, indexes }: Omit<FileIndexes, 'metadata'>): Answer {
  const claims = [{ path, rowGroupRowsMax: ROW_GROUP_ROWS_MAX, exact, indexes }]
  const answer = runPython(readFileSync(CHECK, 'utf8'), [], Buffer.from(JSON.stringify(claims)))
  return JSON.parse(answer) as Answer
}
