/**
 * OTLP protobuf to finished Parquet in process (decode, merge, sort, statistics, bloom filters, one
 * core) beside the routes that JavaScript has; the size of the same rows written by arrow-rs and by
 * DuckDB; codecs; one and two flush workers. DuckDB counts the rows of every file.
 *
 *     node services/ingester/bench/flush.bench.ts [--records 130000] [--runs 5] [--json FILE] [part of a row's name...]
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import {
  benchRow,
  finishBench,
  heapBytesOf,
  isWanted,
  parseBenchFlags,
  throughputFigures,
  timeRuns,
  type BenchRow,
  type RunSamples,
} from '@tributary/common/bench/bench-harness'
import { rustReencoder, type RustCodec } from '@tributary/common/bench/rival-writers'
import { runPython } from '@tributary/common/testing/python'

import { CONTENDERS } from './flush-contenders.ts'
import { benchFlushWorkers } from './flush-workers.ts'

interface Measured {
  readonly samples: RunSamples
  readonly records: number
  readonly otlpBytes: number
  readonly fileBytes: number
  readonly heapBytes: number
  readonly rssMb: number
  /** Growth of the resident set over the bytes of the batches; 0 where there are none. */
  readonly peakRssPerBatchByte: number
}

/** In the contender's own process: what others left on the heap would be charged to it. */
async function measure(
  index: number,
  records: number,
  flags: { runs: number; seconds: number },
  out: string,
): Promise<Measured> {
  const prepared = await CONTENDERS[index]!.prepare(records)
  const rssBefore = process.memoryUsage.rss()
  const samples = await timeRuns(() => prepared.run(false), flags)
  const peakBytes = process.resourceUsage().maxRSS * 1024
  const heapBytes = await heapBytesOf(() => prepared.run(false))
  const files = await prepared.run(true)
  files.forEach((file, i) => {
    writeFileSync(`${out}.${i}.parquet`, file)
  })
  prepared.close()
  return {
    samples,
    records: prepared.records,
    otlpBytes: prepared.otlpBytes,
    fileBytes: files.reduce((sum, { length }) => sum + length, 0),
    heapBytes,
    rssMb: peakBytes / 1e6,
    peakRssPerBatchByte:
      prepared.batchBytes === 0 ? 0 : Math.max(0, peakBytes - rssBefore) / prepared.batchBytes,
  }
}

function measureApart(index: number, records: number, runs: number, out: string): Measured {
  const args = ['--contender', index, '--records', records, '--runs', runs, '--out', out]
  const child = spawnSync(process.execPath, [import.meta.filename, ...args.map(String)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  assert.equal(child.status, 0, `${CONTENDERS[index]!.name} ran`)
  return JSON.parse(child.stdout) as Measured
}

/** Rows of each contender's files: `<prefix>.*.parquet`. */
const COUNT = String.raw`
import sys, json, duckdb
con = duckdb.connect()
def count(prefix):
    return con.execute(f"select count(*) from read_parquet('{prefix}.*.parquet')").fetchone()[0]
print(json.dumps([count(prefix) for prefix in sys.argv[1:]]))
`

function benchContenders(
  records: number,
  runs: number,
  names: (name: string) => boolean,
  folder: string,
): BenchRow[] {
  const wanted = [...CONTENDERS.keys()].filter((index) => names(CONTENDERS[index]!.name))
  const prefixes = wanted.map((index) => join(folder, String(index)))
  const measured = wanted.map((index, i) => measureApart(index, records, runs, prefixes[i]!))
  if (wanted.length > 0) {
    const counts = JSON.parse(runPython(COUNT, prefixes)) as number[]
    measured.forEach((each, i) => {
      assert.equal(counts[i], each.records, `${CONTENDERS[wanted[i]!]!.name}: every row is stored`)
    })
  }
  return measured.map((each, i) => {
    const { name, rival } = CONTENDERS[wanted[i]!]!
    const figures = {
      ...throughputFigures(each.samples, each.records, each.otlpBytes),
      rssMb: each.rssMb,
      heapBytesPerRecord: each.heapBytes / each.records,
      fileBytesPerRecord: each.fileBytes / each.records,
      otlpBytesPerRecord: each.otlpBytes / each.records,
      ...(each.peakRssPerBatchByte === 0 ? {} : { peakRssPerBatchByte: each.peakRssPerBatchByte }),
    }
    return benchRow(name, figures, rival)
  })
}

const DUCKDB_COPY = String.raw`
import sys, os, time, duckdb
con = duckdb.connect()
con.execute("set threads=1")
con.execute(f"create table t as select * from read_parquet('{sys.argv[1]}')")
start = time.process_time()
con.execute(f"copy t to '{sys.argv[2]}' (format parquet, compression zstd, row_group_size 131072)")
cpu = time.process_time() - start
print(con.execute("select count(*) from t").fetchone()[0], cpu, os.path.getsize(sys.argv[2]))
`

/** The rows of our file written again by arrow-rs with every codec, and by DuckDB. */
async function benchSizes(signal: string, folder: string, runs: number): Promise<BenchRow[]> {
  const index = CONTENDERS.findIndex(({ name }) => name === `${signal}: flush alone`)
  const path = join(folder, `${index}.0.parquet`)
  const file = readFileSync(path)
  const [rows, cpuSeconds, duckdbBytes] = runPython(DUCKDB_COPY, [path, `${path}.duckdb`])
    .split(' ')
    .map(Number) as [number, number, number]
  const reencode = rustReencoder(file)
  const codecs: readonly RustCodec[] = ['zstd', 'gzip', 'snappy', 'lz4', 'none']
  const arrowRows: BenchRow[] = []
  for (const codec of signal === 'logs' ? codecs : codecs.slice(0, 1)) {
    let bytes = 0
    const { cpuMs } = await timeRuns(
      () => {
        bytes = reencode(codec).length
      },
      { runs, seconds: 0 },
    )
    arrowRows.push(
      benchRow(`${signal} size: arrow-rs, ${codec}`, {
        bytesPerRecord: bytes / rows,
        encodeCpuUsPerRecord: cpuMs.map((ms) => (1000 * ms) / rows),
      }),
    )
  }
  const ours = { bytesPerRecord: file.length / rows }
  return [
    benchRow(`${signal} size: tributary, zstd 1`, ours, `${signal} size: arrow-rs, zstd`),
    benchRow(`${signal} size: tributary, zstd 1, to DuckDB`, ours, `${signal} size: DuckDB, zstd`),
    ...arrowRows,
    benchRow(`${signal} size: DuckDB, zstd`, {
      bytesPerRecord: duckdbBytes / rows,
      encodeCpuUsPerRecord: (cpuSeconds * 1e6) / rows,
    }),
  ]
}

async function main(): Promise<void> {
  const flags = parseBenchFlags({ runs: 5, seconds: 0 }, { records: 130_000 })
  const records = flags.isSmoke ? 2000 : flags.records
  const folder = mkdtempSync(join(tmpdir(), 'tributary-flush-bench-'))
  try {
    // the smoke run proves one of each kind
    const smokeNames = [
      'logs: decode',
      'logs: flush',
      'logs: protobufjs',
      'spans: decode',
      'metrics: decode',
    ]
    const wants = (name: string): boolean =>
      flags.isSmoke ? smokeNames.some((part) => name.startsWith(part)) : isWanted(flags, name)
    const rows = benchContenders(records, flags.runs, wants, folder)
    for (const signal of ['logs', 'spans', 'metrics']) {
      if (rows.some(({ name }) => name === `${signal}: flush alone`)) {
        rows.push(...(await benchSizes(signal, folder, flags.runs)))
      }
    }
    if (isWanted(flags, 'workers')) rows.push(...(await benchFlushWorkers(records, flags)))
    finishBench('flush', rows, flags)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const { values } = parseArgs({
  strict: false,
  options: {
    contender: { type: 'string' },
    records: { type: 'string' },
    runs: { type: 'string' },
    out: { type: 'string' },
  },
})
if (typeof values.contender === 'string' && typeof values.out === 'string') {
  const runs = { runs: Number(values.runs), seconds: 0 }
  const records = Number(values.records)
  const measured = await measure(Number(values.contender), records, runs, values.out)
  process.stdout.write(JSON.stringify(measured))
} else {
  await main()
}
