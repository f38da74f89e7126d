/** The measured parts of docs/sizing.md and docs/tuning.md: tables and the worked example, of a saved run. */
import {
  formatFigure,
  type BenchReport,
  type BenchRow,
  type Figure,
} from '@tributary/common/bench/bench-harness'

import type { MeasuredParts } from '../src/measured-page.ts'
import type { SavedRun } from './baseline.ts'
import { CLUSTER_SETTINGS, STANDALONE_SETTINGS } from './tuning-settings.ts'

function reportOf(run: SavedRun, bench: string): BenchReport {
  const report = run.reports.find((each) => each.bench === bench)
  if (report === undefined) throw new Error(`the run has no bench ${bench}`)
  return report
}

function rowOf({ rows }: BenchReport, name: string): BenchRow {
  const row = rows.find((each) => each.name === name)
  if (row === undefined) throw new Error(`no row ${name}`)
  return row
}

function valueOf(row: BenchRow, figure: string): number {
  const value = row.figures[figure]
  if (value === undefined) throw new Error(`${row.name} has no ${figure}`)
  return value.median
}

function table(header: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(header), `|${'---|'.repeat(header.length)}`, ...lines.map(line)].join('\n')
}

/** When, where and how: it stands above every table. */
function provenance(run: SavedRun, bench: string): string {
  const runs = Object.values(reportOf(run, bench).rows[0]!.figures)[0]!.runs
  return (
    `On ${run.date.slice(0, 10)}, ${run.cpu}, Node ${run.node.slice(1)}, ` +
    `${runs === 1 ? 'one run of each' : `medians of ${String(runs)} runs`}: \`npm run bench -- ${bench}\`.`
  )
}

/** Three digits are what such measurements are good for. */
function short(value: number): string {
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  const scale = 10 ** Math.floor(Math.log10(Math.abs(value)) - 2)
  const rounded = digits === 0 ? Math.round(value / scale) * scale : value
  return rounded.toLocaleString('en', { maximumFractionDigits: digits })
}

function cell(row: BenchRow, figure: string): string {
  const value = row.figures[figure]
  return value === undefined ? '' : short(value.median)
}

// --- tuning

const COLUMNS: readonly (readonly [figure: string, title: string])[] = [
  ['cpuUsPerRecord', 'CPU us/record'],
  ['routerCpuUsPerRecord', 'router'],
  ['ingesterCpuUsPerRecord', 'ingester'],
  ['brokerCpuUsPerRecord', 'broker'],
  ['recordsPerSecond', 'records/s'],
  ['settledRecordsPerSecond', 'until committed'],
  ['p50Ms', 'p50 ms'],
  ['p99Ms', 'p99 ms'],
  ['failuresPercent', 'refused %'],
  ['peakRssMb', 'peak RSS MB'],
  ['producesPerSecond', 'produces/s'],
  ['kilobytesPerProduce', 'kB/produce'],
  ['kafkaBytesPerRecord', 'Kafka B/record'],
  ['fileBytesPerRecord', 'file B/record'],
  ['filesPerMillionRecords', 'files per 1 M'],
  ['commits', 'commits'],
  ['bucketPutsPerGb', 'bucket PUTs per GB of OTLP'],
]

/** Of a setting, the columns that say something: those that differ, and the first. */
function settingTable(rows: readonly BenchRow[], values: readonly string[]): string {
  const columns = COLUMNS.filter(([figure], at) => at === 0 || isTelling(rows, figure))
  const lines = rows.map((row, at) => [
    at === 0 ? `\`${values[at]!}\` (default)` : `\`${values[at]!}\``,
    ...columns.map(([figure]) => formatFigure(row.figures[figure])),
  ])
  return table(['value', ...columns.map(([, title]) => title)], lines)
}

const TELLING = 0.1

function isTelling(rows: readonly BenchRow[], figure: string): boolean {
  const figures = rows.flatMap((row): Figure[] => {
    const value = row.figures[figure]
    return value === undefined ? [] : [value]
  })
  if (figures.length === 0) return false
  const medians = figures.map(({ median }) => median)
  const [least, most] = [Math.min(...medians), Math.max(...medians)]
  const isAlways = figure === 'recordsPerSecond' || figure === 'p99Ms'
  return isAlways ? most > 0 : most - least > TELLING * Math.max(Math.abs(most), 1e-9)
}

export function tuningParts(run: SavedRun): MeasuredParts {
  const report = reportOf(run, 'tuning')
  const parts: Record<string, string> = { 'tuning run': provenance(run, 'tuning') }
  const settings = [
    ...STANDALONE_SETTINGS.map((setting) => ({ ...setting, who: 'standalone' })),
    ...CLUSTER_SETTINGS.map((setting) => ({ ...setting, who: 'cluster' })),
  ]
  for (const { who, flag, values, under } of settings) {
    const names = values.map((value) => `${who} ${flag} ${value}`)
    // of a run of some rows, what it has
    if (!names.some((name) => report.rows.some((row) => row.name === name))) continue
    const rows = names.map((name) => rowOf(report, name))
    parts[`${who} ${flag}`] = `Load: ${under}.\n\n${settingTable(rows, values)}`
  }
  return parts
}

// --- sizing

const SIZING_COLUMNS: readonly (readonly [figure: string, title: string])[] = [
  ['routerCpuUsPerRecord', 'router CPU us'],
  ['ingesterCpuUsPerRecord', 'ingester CPU us'],
  ['brokerCpuUsPerRecord', 'broker CPU us'],
  ['otlpBytesPerRecord', 'OTLP bytes'],
  ['kafkaBytesPerRecord', 'Kafka bytes'],
  ['fileBytesPerRecord', 'file bytes'],
  ['recordsPerSecond', 'records/s, all on this machine'],
  ['routerPeakRssMb', 'router peak RSS MB'],
  ['ingesterPeakRssMb', 'ingester peak RSS MB'],
]

/** List prices of S3 Standard in us-east-1, in cents: the reader's own may differ. */
const PRICES = { perThousandPuts: 0.5, perThousandGets: 0.04 } as const
const EXAMPLE = {
  recordsPerSecond: 100_000,
  utilisation: 0.6,
  flushSeconds: 60,
  freshnessSeconds: 30,
  partitionBytesPerSecond: 8 * 1024 * 1024,
  retentionHours: 24,
  replication: 3,
} as const
const EXAMPLE_ROW = 'logs, 1,000 a request, 40,000/s'
const MONTH_SECONDS = 30 * 86_400

export function sizingParts(run: SavedRun): MeasuredParts {
  const report = reportOf(run, 'sizing')
  const loads = report.rows.filter(({ figures }) => figures['routerCpuUsPerRecord'] !== undefined)
  const lines = loads.map((row) => [row.name, ...SIZING_COLUMNS.map(([name]) => cell(row, name))])
  const header = ['load', ...SIZING_COLUMNS.map(([, title]) => title)]
  const bucket = { ...commitCounts(report), ...idleCounts(report) }
  return {
    records: `${provenance(run, 'sizing')}\n\n${table(header, lines)}`,
    requests: table(
      ['requests to the bucket', 'measured'],
      Object.entries(bucket).map(([what, count]) => [what, short(count)]),
    ),
    example: exampleOf(report),
  }
}

function commitCounts(report: BenchReport): Record<string, number> {
  const row = rowOf(report, 'requests to the bucket by commit')
  return {
    'PUTs of a commit beside its files': valueOf(row, 'putsPerCommit'),
    'PUTs of a file': valueOf(row, 'filePutsPerFile'),
    'GETs and HEADs of a commit': valueOf(row, 'getsPerCommit') + valueOf(row, 'headsPerCommit'),
    'LISTs of a commit': valueOf(row, 'listsPerCommit'),
  }
}

function idleCounts(report: BenchReport): Record<string, number> {
  const row = rowOf(report, 'an idle cluster')
  return {
    'PUTs of a partition and freshness interval': valueOf(
      row,
      'freshnessPutsPerPartitionAndInterval',
    ),
    'GETs of an idle partition and hour': valueOf(row, 'getsPerPartitionAndHour'),
    'LISTs of an idle partition and hour': valueOf(row, 'listsPerPartitionAndHour'),
  }
}

/** The formulas of the page with figures in them. */
function exampleOf(report: BenchReport): string {
  const row = rowOf(report, EXAMPLE_ROW)
  const { recordsPerSecond, utilisation, retentionHours, replication } = EXAMPLE
  const coresOf = (us: number): number => (recordsPerSecond * us) / 1e6 / utilisation
  const coreLine = (role: string, us: number): string =>
    `| ${role} cores | ${recordsPerSecond.toLocaleString('en')} x ${short(us)} / 1e6 / ${String(utilisation)} | ` +
    `${short(coresOf(us))}: ${String(Math.max(2, Math.ceil(coresOf(us))))} processes |`
  const otlp = recordsPerSecond * valueOf(row, 'otlpBytesPerRecord')
  const kafka = recordsPerSecond * valueOf(row, 'kafkaBytesPerRecord')
  const ingesters = Math.max(2, Math.ceil(coresOf(valueOf(row, 'ingesterCpuUsPerRecord'))))
  const byBytes = Math.ceil(otlp / EXAMPLE.partitionBytesPerSecond)
  const partitions = 3 * Math.max(ingesters, byBytes)
  const kafkaDisk = kafka * retentionHours * 3600 * replication
  return [
    '| what | formula | result |',
    '|---|---|---|',
    coreLine('router', valueOf(row, 'routerCpuUsPerRecord')),
    coreLine('ingester', valueOf(row, 'ingesterCpuUsPerRecord')),
    `| partitions | 3 x max(${String(ingesters)} ingesters, ${short(otlp / 1e6)} MB/s / 8 MiB/s) | ${String(partitions)} |`,
    `| into Kafka | ${recordsPerSecond.toLocaleString('en')} x ${cell(row, 'kafkaBytesPerRecord')} B | ${short(kafka / 1e6)} MB/s, ${short((kafka * replication) / 1e6)} MB/s with replicas |`,
    `| disk of Kafka | ${short(kafka / 1e6)} MB/s x ${String(retentionHours)} h x ${String(replication)} replicas | ${short(kafkaDisk / 1e12)} TB |`,
    ...bucketLines(report, row, partitions),
  ].join('\n')
}

function bucketLines(report: BenchReport, row: BenchRow, partitions: number): string[] {
  const { recordsPerSecond, flushSeconds, freshnessSeconds } = EXAMPLE
  const counts = { ...commitCounts(report), ...idleCounts(report) }
  const count = (what: string): number => counts[what] ?? 0
  const commits = (partitions * MONTH_SECONDS) / flushSeconds
  const commitPuts = count('PUTs of a commit beside its files') + count('LISTs of a commit')
  const freshness = (partitions * MONTH_SECONDS) / freshnessSeconds
  const freshnessPuts = freshness * count('PUTs of a partition and freshness interval')
  const puts = commits * (commitPuts + count('PUTs of a file')) + freshnessPuts
  const gets = commits * count('GETs and HEADs of a commit')
  const cents = (puts * PRICES.perThousandPuts + gets * PRICES.perThousandGets) / 1000
  const otlpGb = (recordsPerSecond * MONTH_SECONDS * valueOf(row, 'otlpBytesPerRecord')) / 1e9
  const storedGb = (recordsPerSecond * MONTH_SECONDS * valueOf(row, 'fileBytesPerRecord')) / 1e9
  return [
    `| into the bucket | ${recordsPerSecond.toLocaleString('en')} x ${cell(row, 'fileBytesPerRecord')} B | ${short((recordsPerSecond * valueOf(row, 'fileBytesPerRecord')) / 1e6)} MB/s, ${short(storedGb / 1000)} TB a month |`,
    `| PUTs a month, one tenant and signal in each partition | ${String(partitions)} x (2,592,000 / ${String(flushSeconds)} x (${short(commitPuts)} + ${short(count('PUTs of a file'))}) + 2,592,000 / ${String(freshnessSeconds)} x ${short(count('PUTs of a partition and freshness interval'))}) | ${short(puts / 1e6)} million |`,
    `| requests, at ${String(PRICES.perThousandPuts)} cents per 1,000 PUTs and ${String(PRICES.perThousandGets)} per 1,000 GETs | ${short(cents / 100)} USD a month / ${short(otlpGb / 1000)} TB of OTLP, ${short(storedGb / 1000)} TB stored | ${short(cents / otlpGb)} cents per GB of OTLP, ${short(cents / storedGb)} per GB stored |`,
  ]
}
