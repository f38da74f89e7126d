import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { runPython } from '@tributary/common/testing/python'

import { runCommandLine } from '../../src/command-line.ts'
import { MemoryTerminal } from '../memory-terminal.ts'
import { StoreFixture } from '../store-fixture.ts'

describe('tributary query', () => {
  const store = new StoreFixture()
  const empty = new StoreFixture()

  before(async () => {
    await store.commit({
      sql: `SELECT timestamptz '2026-11-21 03:00:00.000001Z' AS timestamp, 'INFO' AS severity_text,
              9223372036854775807 AS "attributes.n", 'a' AS "attributes.Key"`,
      rows: 1,
    })
    const [orphan = ''] = await store.commit({
      sql: `SELECT timestamptz '2026-11-20 03:00:00Z' AS timestamp, 'WARN' AS severity_text,
              true AS "attributes.only here"`,
      rows: 1,
      hour: 'late',
    })
    await store.commit(
      {
        sql: `SELECT 'ERROR' AS severity_text, 1.5::DOUBLE AS "attributes.n"`,
        rows: 1,
        tenant: 'acme',
      },
      { sql: `SELECT 'checkout' AS name, 7 AS duration_ns`, rows: 1, signal: 'spans' },
    )
    // a file that no commit names is not data
    store.write(orphan.replace(/[0-9a-f]{16}\.parquet$/, '0000000000000000.parquet'), Buffer.of(1))
  })

  after(() => {
    store.remove()
    empty.remove()
  })

  async function query(...args: readonly string[]) {
    const terminal = new MemoryTerminal()
    const words = ['query', '--data-dir', store.dataDir, ...args]
    return { status: await runCommandLine(words, terminal, '0'), terminal }
  }

  async function rows(sql: string): Promise<unknown> {
    const { status, terminal } = await query(sql)
    assert.equal(status, 0, terminal.errText)
    return JSON.parse(terminal.outText)
  }

  it('unites committed files of all hours, late ones included, by column name', async () => {
    assert.deepEqual(
      await rows(
        `select severity_text, "attributes.Key" as k, "attributes.only here" as o
         from logs where tenant = 'default' order by 1`,
      ),
      [
        { severity_text: 'INFO', k: 'a', o: null },
        { severity_text: 'WARN', k: null, o: true },
      ],
    )
  })

  it('keeps every value as it is where tenants differ in the type of a column, and says where it is', async () => {
    const { terminal } = await query(
      `select tenant, "attributes.n@int" as i, "attributes.n" as d from logs
       where i is not null or d is not null order by 1`,
    )
    assert.equal(
      terminal.outText,
      '[{"tenant":"acme","i":null,"d":1.5},\n{"tenant":"default","i":9223372036854775807,"d":null}]\n',
    )
    assert.match(
      terminal.errText,
      /^columns of logs differ in type .*:\n {2}default: "attributes\.n" is "attributes\.n@int"\n$/,
    )
  })

  it('keeps tenants apart', async () => {
    const counts = await rows('select tenant, count(*) as n from logs group by 1 order by 1')
    assert.deepEqual(counts, [
      { tenant: 'acme', n: 1 },
      { tenant: 'default', n: 2 },
    ])
    const { terminal } = await query('--tenant', 'acme', 'select count(*) as n from logs')
    assert.deepEqual(JSON.parse(terminal.outText), [{ n: 1 }])
    assert.equal(terminal.errText, '')
  })

  it('writes all 64 bits of integers and microseconds in UTC', async () => {
    const { terminal } = await query(
      '--tenant=default',
      'select "attributes.n" as n, timestamp as t from logs where "attributes.n" is not null',
    )
    assert.equal(
      terminal.outText,
      '[{"n":9223372036854775807,"t":"2026-11-21T03:00:00.000001Z"}]\n',
    )
  })

  it('shows a view without files with its fixed columns', async () => {
    assert.deepEqual(await rows('select metric_name, exemplars from metrics'), [])
    const terminal = new MemoryTerminal()
    const words = ['query', '--data-dir', empty.dataDir, 'select body, timestamp from logs']
    assert.equal(await runCommandLine(words, terminal, '0'), 0)
    assert.equal(terminal.outText, '[]\n')
    assert.match(terminal.errText, /no files yet/)
  })

  it('shows a table on a terminal', async () => {
    const terminal = new MemoryTerminal({ isInteractive: true, columns: 80 })
    const sql = 'select severity_text, count(*) as n from logs group by 1 order by 1'
    await runCommandLine(['query', '--data-dir', store.dataDir, sql], terminal, '0')
    assert.equal(
      terminal.outText,
      [
        'severity_text  n',
        '─────────────  ─',
        'ERROR          1',
        'INFO           1',
        'WARN           1',
        '(3 rows)',
        '',
      ].join('\n'),
    )
  })

  it('writes CSV whose odd fields Python reads back', async () => {
    const sql = `select 'a,"b' as "x,y", e'two\\nlines' as l, null as n, '' as e, [1, 2] as list`
    const { terminal } = await query('--format', 'csv', sql)
    const path = join(store.dataDir, 'rows.csv')
    writeFileSync(path, terminal.outBytes)
    const read = runPython(
      'import csv, json, sys\nprint(json.dumps(list(csv.reader(open(sys.argv[1], newline="")))))',
      [path],
    )
    assert.deepEqual(JSON.parse(read), [
      ['x,y', 'l', 'n', 'e', 'list'],
      ['a,"b', 'two\nlines', '', '', '[1,2]'],
    ])
  })

  it('writes Parquet that PyArrow opens', async () => {
    const { terminal } = await query('--format', 'parquet', 'select * from spans;')
    const path = join(store.dataDir, 'rows.parquet')
    writeFileSync(path, terminal.outBytes)
    const read = runPython(
      'import sys, pyarrow.parquet as pq\nprint(pq.read_table(sys.argv[1]).column("name").to_pylist())',
      [path],
    )
    assert.equal(read.trim(), "['checkout']")
  })

  it('refuses Parquet on a terminal, wrong flags and missing SQL with status 2', async () => {
    const terminal = new MemoryTerminal({ isInteractive: true })
    const words = ['query', '--data-dir', store.dataDir, '--format', 'parquet', 'select 1']
    assert.equal(await runCommandLine(words, terminal, '0'), 2)
    assert.equal((await query('--format', 'xml', 'select 1')).status, 2)
    const missing = await query()
    assert.equal(missing.status, 2)
    assert.match(missing.terminal.errText, /missing SQL/)
  })

  it('says what is wrong with the SQL in one message without a stack, with status 1', async () => {
    const { status, terminal } = await query('select nothing from logs')
    assert.equal(status, 1)
    assert.match(terminal.errText, /^tributary query: Binder Error: .*nothing/)
    assert.doesNotMatch(terminal.errText, /\n\s+at /)
  })

  it('says that there is no data where the folder does not exist, and makes none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tributary-none-'))
    const terminal = new MemoryTerminal()
    const status = await runCommandLine(['query', '--data-dir', folder, 'select 1'], terminal, '0')
    assert.equal(status, 1)
    assert.match(terminal.errText, /there is no data yet: start "tributary standalone" first/)
    assert.deepEqual(readdirSync(folder), [])
    rmSync(folder, { recursive: true })
  })

  it('names the commit that cannot be read', async () => {
    const broken = new StoreFixture()
    const [key = ''] = await broken.commit()
    broken.write(key, Buffer.from('{'))
    const terminal = new MemoryTerminal()
    const words = ['query', '--data-dir', broken.dataDir, 'select 1']
    assert.equal(await runCommandLine(words, terminal, '0'), 1)
    assert.match(terminal.errText, /commit cannot be read \(key commits\//)
    broken.remove()
  })
})
