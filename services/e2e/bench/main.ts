/**
 * `npm run bench -- [name...] [--smoke] [--json FILE] [--baseline FILE] [--runs N] [--seconds N]
 * [--rows PART]`: runs benches one after the other, each in a process of its own, prints their
 * tables, writes all reports into one file and compares them with a saved one.
 */
import type { BenchReport } from '@tributary/common/bench/bench-harness'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { compareReports, type SavedRun } from './baseline.ts'

interface Bench {
  readonly path: string
  readonly about: string
  /** Runs only when named. */
  readonly isLong?: boolean
}

const ROOT = resolve(import.meta.dirname, '../../..')

const BENCHES: Readonly<Record<string, Bench>> = {
  decode: {
    path: 'services/common/bench/decode.bench.ts',
    about: 'OTLP protobuf to columns, beside protobufjs',
  },
  json: {
    path: 'services/common/bench/json.bench.ts',
    about: 'OTLP/JSON to columns, beside JSON.parse with a conversion',
  },
  batch: {
    path: 'services/common/bench/batch.bench.ts',
    about: 'column batches to Arrow and back, beside apache-arrow',
  },
  parquet: {
    path: 'services/common/bench/parquet.bench.ts',
    about: 'ready columns to Parquet, beside the writers that JavaScript has',
  },
  beat: {
    path: 'services/common/bench/beat.bench.ts',
    about: 'what beats and leases cost Redis, by number of members',
  },
  'file-index': {
    path: 'services/common/bench/file-index.bench.ts',
    about: 'the index of 100,000 files: made anew, read, added to',
  },
  flush: {
    path: 'services/ingester/bench/flush.bench.ts',
    about: 'OTLP protobuf to finished Parquet; file sizes, codecs, flush workers',
  },
  wal: {
    path: 'services/ingester/bench/wal.bench.ts',
    about: 'the log in the main thread and in a worker, syncs, replay',
  },
  standalone: {
    path: 'services/e2e/bench/standalone.bench.ts',
    about: 'the whole process: settled CPU, throughput, latency in an open loop',
  },
  cluster: {
    path: 'services/e2e/bench/cluster.bench.ts',
    about: 'router, Kafka, ingester and S3: CPU apart, latency, growth, takeover',
  },
  overload: {
    path: 'services/e2e/bench/overload.bench.ts',
    about:
      'ten times and twice what a router can take: answers, latency of an OK, memory, catching up',
    isLong: true,
  },
  sizing: {
    path: 'services/e2e/bench/sizing.bench.ts',
    about: 'what a cluster needs by record, commit and partition: docs/sizing.md',
    isLong: true,
  },
  tuning: {
    path: 'services/e2e/bench/tuning.bench.ts',
    about: 'the main settings at several values: docs/tuning.md',
    isLong: true,
  },
  process: {
    path: 'services/e2e/bench/process.bench.ts',
    about: 'memory per unflushed record, restart with a full log, idle cost',
  },
  sustained: {
    path: 'services/e2e/bench/sustained.bench.ts',
    about: 'ten minutes of steady load: flat memory, flat descriptors',
    isLong: true,
  },
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: 'boolean', default: false },
    json: { type: 'string' },
    baseline: { type: 'string' },
    runs: { type: 'string' },
    seconds: { type: 'string' },
    rows: { type: 'string', multiple: true, default: [] },
    list: { type: 'boolean', default: false },
  },
})

function wantedBenches(): string[] {
  const unknown = positionals.filter((name) => BENCHES[name] === undefined)
  if (unknown.length > 0) throw new Error(`no such bench: ${unknown.join(', ')}`)
  return positionals.length > 0
    ? positionals
    : Object.keys(BENCHES).filter((name) => BENCHES[name]!.isLong !== true)
}

function runBench(name: string, json: string): BenchReport {
  const args = [join(ROOT, BENCHES[name]!.path), '--json', json]
  if (values.smoke) args.push('--smoke')
  if (values.runs !== undefined) args.push('--runs', values.runs)
  if (values.seconds !== undefined) args.push('--seconds', values.seconds)
  args.push(...values.rows)
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) throw new Error(`bench ${name} failed`)
  return JSON.parse(readFileSync(json, 'utf8')) as BenchReport
}

function main(): void {
  // before --json, which may name the same file
  const baseline =
    values.baseline === undefined
      ? undefined
      : (JSON.parse(readFileSync(values.baseline, 'utf8')) as SavedRun)
  const folder = mkdtempSync(join(tmpdir(), 'tributary-bench-'))
  const reports: BenchReport[] = []
  const failed: string[] = []
  try {
    for (const name of wantedBenches()) {
      const startMs = performance.now()
      process.stdout.write(`\n== ${name}: ${BENCHES[name]!.about}\n`)
      try {
        reports.push(runBench(name, join(folder, `${name}.json`)))
      } catch (error) {
        failed.push(name)
        process.stderr.write(`${String(error)}\n`)
      }
      process.stdout.write(`(${((performance.now() - startMs) / 1000).toFixed(0)} s)\n`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  const run: SavedRun = {
    date: new Date().toISOString(),
    node: process.version,
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
    reports,
  }
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(run, undefined, 2))
  if (baseline !== undefined) {
    process.stdout.write(`\n${compareReports(baseline, run)}\n`)
  }
  if (failed.length > 0) {
    process.stderr.write(`failed: ${failed.join(', ')}\n`)
    process.exitCode = 1
  }
}

if (values.list) {
  for (const [name, { about }] of Object.entries(BENCHES)) {
    process.stdout.write(`${name.padEnd(12)}${about}\n`)
  }
} else {
  main()
}
