/**
 * Encodes the same log rows to Parquet with our writer and with its rivals in JavaScript, and has
 * DuckDB check every file against ours. Rivals get their own input format ready made.
 *
 *     node services/common/bench/parquet.bench.ts [--rows 100000] [--runs 5] [--json FILE]
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { zstdCompressSync, constants } from 'node:zlib'
import { ParquetSchema, ParquetWriter } from '@dsnp/parquetjs'
import * as arrow from 'apache-arrow'
import { parquetWriteBuffer } from 'hyparquet-writer'
import * as rust from 'parquet-wasm'
import { ParquetFileWriter } from '../src/parquet/file-writer.ts'
import { runPython } from '../src/testing/python.ts'
import { type BenchColumn, logColumns } from './log-rows.ts'

interface Contender {
  readonly name: string
  readonly runs: number
  encode(): Promise<Uint8Array> | Uint8Array
}

export interface ParquetBenchRow {
  readonly name: string
  readonly recordsPerSecond: number
  readonly usPerRecord: number
  readonly cpuUsPerRecord: number
  readonly bytesPerRecord: number
  readonly fileBytes: number
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

function arrowType({ field, column }: BenchColumn): arrow.DataType {
  switch (field.physical) {
    case 'INT32':
      return new arrow.Int32()
    case 'INT64':
      return new arrow.Int64()
    case 'DOUBLE':
      return new arrow.Float64()
    case 'BOOLEAN':
      return new arrow.Bool()
    case 'BYTE_ARRAY':
      return column.values.kind === 'bytes'
        ? new arrow.Utf8()
        : new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32())
  }
}

function arrowStream(columns: readonly BenchColumn[]): Uint8Array {
  const vectors = columns.map((column) => [
    column.field.name,
    arrow.vectorFromArray(column.rows as unknown[], arrowType(column)),
  ])
  return arrow.tableToIPC(
    new arrow.Table(Object.fromEntries(vectors) as Record<string, arrow.Vector>),
    'stream',
  )
}

function encodeRust(stream: Uint8Array, rows: number): Uint8Array {
  const properties = new rust.WriterPropertiesBuilder()
    .setCompression(rust.Compression.ZSTD)
    .setMaxRowGroupSize(rows)
    .build()
  return rust.writeParquet(rust.Table.fromIPCStream(stream), properties)
}

const HYPARQUET_TYPES = {
  BOOLEAN: 'BOOLEAN',
  INT32: 'INT32',
  INT64: 'INT64',
  DOUBLE: 'DOUBLE',
  BYTE_ARRAY: 'STRING',
} as const

function encodeHyparquet(columns: readonly BenchColumn[], rows: number, zstd: boolean): Uint8Array {
  const params = { [constants.ZSTD_c_compressionLevel]: 1 }
  return new Uint8Array(
    parquetWriteBuffer({
      columnData: columns.map(({ field, rows: data }) => ({
        name: field.name,
        data: data as unknown[],
        type: HYPARQUET_TYPES[field.physical],
        nullable: true,
      })),
      rowGroupSize: rows,
      ...(zstd
        ? {
            codec: 'ZSTD' as const,
            compressors: { ZSTD: (bytes: Uint8Array) => zstdCompressSync(bytes, { params }) },
          }
        : {}),
    }),
  )
}

const PARQUETJS_TYPES = {
  BOOLEAN: 'BOOLEAN',
  INT32: 'INT32',
  INT64: 'INT64',
  DOUBLE: 'DOUBLE',
  BYTE_ARRAY: 'UTF8',
} as const

/** Snappy, the best that it has. */
async function encodeParquetjs(columns: readonly BenchColumn[], rows: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  const stream = {
    write: (bytes: Uint8Array, callback: (error?: Error | null) => void) => {
      parts.push(bytes)
      callback()
    },
    end: (callback: (error?: Error | null) => void) => callback(),
  } as unknown as Parameters<typeof ParquetWriter.openStream>[1]
  const schema = new ParquetSchema(
    Object.fromEntries(
      // a dot is a path to it
      columns.map(({ field }) => [
        field.name.replaceAll('.', '_'),
        { type: PARQUETJS_TYPES[field.physical], optional: true, compression: 'SNAPPY' as const },
      ]),
    ),
  )
  const names = columns.map(({ field }) => field.name.replaceAll('.', '_'))
  const writer = await ParquetWriter.openStream(schema, stream)
  writer.setRowGroupSize(rows)
  for (let row = 0; row < rows; row++) {
    const values: Record<string, unknown> = {}
    for (const [i, name] of names.entries()) values[name] = columns[i]!.rows[row] ?? undefined
    await writer.appendRow(values)
  }
  await writer.close()
  return Buffer.concat(parts)
}

function contenders(columns: readonly BenchColumn[], rows: number, runs: number): Contender[] {
  const stream = arrowStream(columns)
  return [
    { name: 'tributary', runs, encode: () => encodeOurs(columns, rows, true) },
    { name: 'tributary, no bloom filters', runs, encode: () => encodeOurs(columns, rows, false) },
    { name: 'parquet-wasm (arrow-rs), zstd', runs, encode: () => encodeRust(stream, rows) },
    { name: 'hyparquet-writer, zstd', runs, encode: () => encodeHyparquet(columns, rows, true) },
    { name: 'hyparquet-writer, snappy', runs, encode: () => encodeHyparquet(columns, rows, false) },
    { name: '@dsnp/parquetjs, snappy', runs: 1, encode: () => encodeParquetjs(columns, rows) },
  ]
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >>> 1]!
}

async function measure(contender: Contender, rows: number, folder: string, index: number) {
  const seconds: number[] = []
  const cpu: number[] = []
  let file = new Uint8Array(0)
  // one run more: the first compiles
  for (let run = 0; run <= contender.runs; run++) {
    const cpuStart = process.cpuUsage()
    const start = performance.now()
    file = new Uint8Array(await contender.encode())
    if (run === 0 && contender.runs > 1) continue
    seconds.push((performance.now() - start) / 1000)
    const used = process.cpuUsage(cpuStart)
    cpu.push(used.user + used.system)
  }
  const path = join(folder, `${index}.parquet`)
  writeFileSync(path, file)
  const result: ParquetBenchRow = {
    name: contender.name,
    recordsPerSecond: Math.round(rows / median(seconds)),
    usPerRecord: (median(seconds) * 1e6) / rows,
    cpuUsPerRecord: median(cpu) / rows,
    bytesPerRecord: file.length / rows,
    fileBytes: file.length,
  }
  return { result, path }
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

export async function runParquetBench(rows: number, runs: number): Promise<ParquetBenchRow[]> {
  const columns = logColumns(rows)
  const folder = mkdtempSync(join(tmpdir(), 'tributary-bench-'))
  try {
    const results: ParquetBenchRow[] = []
    const paths: string[] = []
    for (const [i, contender] of contenders(columns, rows, runs).entries()) {
      const { result, path } = await measure(contender, rows, folder, i)
      results.push(result)
      paths.push(path)
    }
    assert.equal(Number(runPython(VERIFY, paths)), rows, 'every file holds the rows')
    return results
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: '100000' },
      runs: { type: 'string', default: '5' },
      json: { type: 'string' },
    },
  })
  const results = await runParquetBench(Number(values.rows), Number(values.runs))
  const ours = results[0]!
  console.table(
    results.map((row) => ({
      writer: row.name,
      'records/s': row.recordsPerSecond,
      'us/record': Number(row.usPerRecord.toFixed(3)),
      'CPU us/record': Number(row.cpuUsPerRecord.toFixed(3)),
      'B/record': Number(row.bytesPerRecord.toFixed(2)),
      'ours is faster by': Number((row.usPerRecord / ours.usPerRecord).toFixed(2)),
    })),
  )
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(results, null, 2))
}
