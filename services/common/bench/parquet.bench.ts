/**
 * Encodes the same log rows to Parquet with our writer and with its rivals in JavaScript, and has
 * DuckDB check every file against ours. Rivals get their own input format ready made.
 *
 *     node services/common/bench/parquet.bench.ts [--rows 100000] [--runs 5] [--json FILE]
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ParquetFileWriter } from '../src/parquet/file-writer.ts'
import type { LeafField } from '../src/parquet/schema.ts'
import { runPython } from '../src/testing/python.ts'
import {
  benchRow,
  finishBench,
  parseBenchFlags,
  throughputFigures,
  timeRuns,
  type BenchRow,
  type RunSamples,
} from './bench-harness.ts'
import { type BenchColumn, logColumns } from './log-rows.ts'
import {
  arrowStream,
  encodeHyparquet,
  encodeParquetjs,
  encodeRust,
  type RivalColumn,
  type RivalType,
} from './rival-writers.ts'

interface Contender {
  readonly name: string
  readonly rival?: string
  prepare(columns: readonly BenchColumn[], rows: number): () => Promise<Uint8Array> | Uint8Array
}

interface Measured {
  readonly samples: RunSamples
  readonly fileBytes: number
  readonly rssMb: number
}

const SORTING = ['resource.service.name', 'resource_hash', 'timestamp', 'timestamp_nanos']

function encodeOurs(columns: readonly BenchColumn[], rows: number, bloom: boolean): Uint8Array {
  const parts: Uint8Array[] = []
  const writer = new ParquetFileWriter({
    fields: columns.map(({ field }) => ({ ...field, bloom: bloom && field.bloom === true })),
    sink: (bytes) => parts.push(bytes),
    sortingColumns: SORTING.map((column) => ({ column, descending: false, nullsFirst: true })),
    createdBy: 'tributary bench',
  })
  writer.startRowGroup(rows)
  for (const [i, { column }] of columns.entries()) writer.writeColumn(i, column)
  writer.finishRowGroup()
  writer.finish([])
  return Buffer.concat(parts)
}

/** The rows as plain values. */
function plain(columns: readonly BenchColumn[]): RivalColumn[] {
  return columns.map(({ field, column, rows }) => ({
    name: field.name,
    type: rivalType(field.physical, column.values.kind === 'bytes'),
    rows,
  }))
}

function rivalType(physical: LeafField['physical'], isPlainText: boolean): RivalType {
  switch (physical) {
    case 'INT32':
      return 'int32'
    case 'INT64':
      return 'int64'
    case 'DOUBLE':
      return 'double'
    case 'BOOLEAN':
      return 'boolean'
    case 'BYTE_ARRAY':
      return isPlainText ? 'text' : 'dictionary'
  }
}

/** What each contender encodes, from its own input made once. */
const CONTENDERS: readonly Contender[] = [
  {
    name: 'tributary',
    rival: 'parquet-wasm (arrow-rs), zstd',
    prepare: (columns, rows) => ourEncoder(columns, rows, true),
  },
  {
    name: 'tributary, no bloom filters',
    rival: 'hyparquet-writer, zstd',
    prepare: (columns, rows) => ourEncoder(columns, rows, false),
  },
  {
    name: 'parquet-wasm (arrow-rs), zstd',
    prepare: (columns, rows) => {
      const stream = arrowStream(plain(columns))
      return () => encodeRust(stream, rows)
    },
  },
  {
    name: 'hyparquet-writer, zstd',
    prepare: (columns, rows) => {
      const input = plain(columns)
      return () => encodeHyparquet(input, rows, 'zstd')
    },
  },
  {
    name: 'hyparquet-writer, snappy',
    prepare: (columns, rows) => {
      const input = plain(columns)
      return () => encodeHyparquet(input, rows, 'snappy')
    },
  },
  {
    name: '@dsnp/parquetjs, snappy',
    prepare: (columns, rows) => {
      const input = plain(columns)
      return () => encodeParquetjs(input, rows)
    },
  },
]

/** Without the plain rows, which only rivals read: a flush worker has no such heap to collect. */
function ourEncoder(columns: readonly BenchColumn[], rows: number, bloom: boolean) {
  const bare = columns.map((column) => ({ ...column, rows: [] }))
  return () => encodeOurs(bare, rows, bloom)
}

async function measure(contender: Contender, rows: number, runs: number, path: string) {
  const encode = contender.prepare(logColumns(rows), rows)
  let file = new Uint8Array(0)
  const samples = await timeRuns(
    async () => {
      file = new Uint8Array(await encode())
    },
    { runs, seconds: 0 },
  )
  writeFileSync(path, file)
  const rssMb = process.memoryUsage.rss() / 1e6
  return { samples, fileBytes: file.length, rssMb } satisfies Measured
}

/** In a process of its own: what others left on the heap would be charged to whoever comes next. */
function measureApart(index: number, rows: number, runs: number, path: string): Measured {
  const args = ['--contender', index, '--rows', rows, '--runs', runs, '--out', path].map(String)
  const child = spawnSync(process.execPath, [import.meta.filename, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  assert.equal(child.status, 0, `${CONTENDERS[index]!.name} ran`)
  return JSON.parse(child.stdout) as Measured
}

const VERIFY = String.raw`
import sys, duckdb
con = duckdb.connect()
con.execute("set timezone='UTC'")
def digest(path):
    names = [r[0] for r in con.execute("select name from parquet_schema(?) where type is not null", [path]).fetchall()]
    sums = ', '.join(f'sum(hash("{n}"::VARCHAR)::HUGEINT), count("{n}")' for n in names)
    return con.execute(f"select count(*), {sums} from read_parquet(?)", [path]).fetchone()
first = digest(sys.argv[1])
for path in sys.argv[2:]:
    assert digest(path) == first, path + ' holds other rows'
print(first[0])
`

function runParquetBench(rows: number, runs: number): BenchRow[] {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-bench-'))
  try {
    const paths = CONTENDERS.map((_, i) => join(folder, `${i}.parquet`))
    const results = paths.map((path, i) => measureApart(i, rows, runs, path))
    assert.equal(Number(runPython(VERIFY, paths)), rows, 'every file holds the rows')
    return CONTENDERS.map(({ name, rival }, i) => {
      const { samples, fileBytes, rssMb } = results[i]!
      const figures = { ...throughputFigures(samples, rows), rssMb }
      return benchRow(name, { ...figures, bytesPerRecord: fileBytes / rows }, rival)
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const { values } = parseArgs({
  strict: false,
  options: {
    rows: { type: 'string' },
    runs: { type: 'string' },
    contender: { type: 'string' },
    out: { type: 'string' },
  },
})
if (typeof values.contender === 'string' && typeof values.out === 'string') {
  const contender = CONTENDERS[Number(values.contender)]!
  const measured = await measure(contender, Number(values.rows), Number(values.runs), values.out)
  process.stdout.write(JSON.stringify(measured))
} else {
  const { rows, ...flags } = parseBenchFlags({ runs: 5, seconds: 0 }, { rows: 100_000 })
  finishBench('parquet', runParquetBench(flags.isSmoke ? 2000 : rows, flags.runs), flags)
}
