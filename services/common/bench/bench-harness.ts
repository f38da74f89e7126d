/**
 * What all benches share: flags, repeated runs, rows of named figures, the table and the JSON.
 *
 * A figure is the median of several runs with its least and greatest value; its name ends in its
 * unit. A row may name the row that it is compared with (`rival`), measured in the same run: that
 * ratio, not the absolute figure, is what travels between machines. A bench checks its results
 * itself and fails by throwing.
 */
import type { HeapProfiler } from 'node:inspector'
import { Session } from 'node:inspector/promises'
import { writeFileSync } from 'node:fs'
import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { parseArgs } from 'node:util'

export interface Figure {
  readonly median: number
  readonly low: number
  readonly high: number
  readonly runs: number
}

export interface BenchRow {
  readonly name: string
  /** Name of the row in the same report that this one is compared with. */
  readonly rival?: string
  readonly figures: Readonly<Record<string, Figure>>
}

export interface BenchReport {
  readonly bench: string
  readonly node: string
  readonly rows: readonly BenchRow[]
}

export interface BenchFlags {
  /** Only prove that everything works and that results are right; figures mean nothing. */
  readonly isSmoke: boolean
  readonly json: string | undefined
  readonly runs: number
  /** Least time of one run. */
  readonly seconds: number
  /** Rows or scenarios to run, by a part of their names; all when empty. */
  readonly names: readonly string[]
}

export interface FlagDefaults {
  readonly runs: number
  readonly seconds: number
}

/** `--smoke --json FILE --runs N --seconds N [name...]` and numbers of the bench's own. */
export function parseBenchFlags<T extends Readonly<Record<string, number>> = Record<never, never>>(
  defaults: FlagDefaults,
  numbers?: T,
): BenchFlags & Record<keyof T, number> {
  const own = numbers ?? {}
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...Object.fromEntries(Object.keys(own).map((name) => [name, { type: 'string' as const }])),
      smoke: { type: 'boolean', default: false },
      json: { type: 'string' },
      runs: { type: 'string' },
      seconds: { type: 'string' },
    },
  })
  const given: Readonly<Record<string, unknown>> = values
  const isSmoke = values.smoke
  const flags: BenchFlags = {
    isSmoke,
    json: values.json,
    runs: Number(values.runs ?? (isSmoke ? 1 : defaults.runs)),
    seconds: Number(values.seconds ?? (isSmoke ? 0 : defaults.seconds)),
    names: positionals,
  }
  const ownFlags = Object.entries(own).map(([name, value]) => [name, Number(given[name] ?? value)])
  return { ...flags, ...(Object.fromEntries(ownFlags) as Record<keyof T, number>) }
}

/** Whether the row or scenario called `name` is asked for. */
export function isWanted(flags: BenchFlags, name: string): boolean {
  return flags.names.length === 0 || flags.names.some((part) => name.includes(part))
}

/** Median and range of samples, or a figure of one sample. */
export function figureOf(samples: readonly number[] | number): Figure {
  const sorted = typeof samples === 'number' ? [samples] : [...samples].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median =
    sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, low: sorted[0]!, high: sorted.at(-1)!, runs: sorted.length }
}

/** A row of samples; undefined figures are left out. */
export function benchRow(
  name: string,
  samples: Readonly<Record<string, readonly number[] | number | undefined>>,
  rival?: string,
): BenchRow {
  const figures: Record<string, Figure> = {}
  for (const [figure, values] of Object.entries(samples)) {
    if (values === undefined || (typeof values !== 'number' && values.length === 0)) continue
    figures[figure] = figureOf(values)
  }
  return rival === undefined ? { name, figures } : { name, rival, figures }
}

export interface RunSamples {
  /** Wall and CPU time of one call of the work, a sample per run. */
  readonly wallMs: readonly number[]
  readonly cpuMs: readonly number[]
  /** Share of the wall time of all runs that went to collecting garbage. */
  readonly gcPercent: number
}

/** Runs `work` `runs` times for at least `seconds` each, after warm-up calls that do not count. */
export async function timeRuns(
  work: () => unknown,
  { runs, seconds }: FlagDefaults,
  warmCalls = runs === 1 ? 0 : 2,
): Promise<RunSamples> {
  for (let call = 0; call < warmCalls; call++) await work()
  // collections of the warm-up are told of a turn later
  await nextTurn()
  const wallMs: number[] = []
  const cpuMs: number[] = []
  let gcMs = 0
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) gcMs += entry.duration
  })
  observer.observe({ entryTypes: ['gc'] })
  for (let run = 0; run < runs; run++) {
    const cpuStart = process.cpuUsage()
    const startMs = performance.now()
    let calls = 0
    do {
      await work()
      calls++
    } while (performance.now() - startMs < seconds * 1000)
    wallMs.push((performance.now() - startMs) / calls)
    const used = process.cpuUsage(cpuStart)
    cpuMs.push((used.user + used.system) / 1000 / calls)
    await nextTurn()
  }
  await nextTurn()
  for (const entry of observer.takeRecords()) gcMs += entry.duration
  observer.disconnect()
  const allMs = wallMs.reduce((sum, ms) => sum + ms, 0) / wallMs.length
  const measuredMs = Math.max(allMs, seconds * 1000) * runs
  return { wallMs, cpuMs, gcPercent: (100 * gcMs) / measuredMs }
}

/** The usual figures of work that handles so many records and bytes per call. */
export function throughputFigures(
  samples: RunSamples,
  records: number,
  bytes?: number,
): Record<string, readonly number[] | number> {
  return {
    recordsPerSecond: samples.wallMs.map((ms) => (1000 * records) / ms),
    ...(bytes === undefined
      ? {}
      : { megabytesPerSecond: samples.wallMs.map((ms) => bytes / 1000 / ms) }),
    cpuUsPerRecord: samples.cpuMs.map((ms) => (1000 * ms) / records),
    gcPercent: samples.gcPercent,
    rssMb: process.memoryUsage.rss() / 1e6,
  }
}

const SAMPLING_INTERVAL_BYTES = 4096

/** Bytes allocated on the JavaScript heap by one call, by V8's sampling allocation profiler. */
export async function heapBytesOf(work: () => unknown): Promise<number> {
  const session = new Session()
  session.connect()
  try {
    await session.post('HeapProfiler.startSampling', {
      samplingInterval: SAMPLING_INTERVAL_BYTES,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    })
    await work()
    const { profile } = await session.post('HeapProfiler.stopSampling')
    return selfBytesOf(profile.head)
  } finally {
    session.disconnect()
  }
}

function selfBytesOf({ selfSize, children }: HeapProfiler.SamplingHeapProfileNode): number {
  return children.reduce((sum, child) => sum + selfBytesOf(child), selfSize)
}

/** Prints the report and writes it where `--json` says. */
export function finishBench(bench: string, rows: readonly BenchRow[], flags: BenchFlags): void {
  const report: BenchReport = { bench, node: process.version, rows }
  process.stdout.write(`\n${formatReport(report)}\n`)
  if (flags.json !== undefined) writeFileSync(flags.json, JSON.stringify(report, undefined, 2))
}

/** CPU before wall time: neighbours on the machine stretch only the latter. */
const RATIO_FIGURES = [
  'cpuUsPerRequest',
  'cpuUsPerRecord',
  'recordsPerSecond',
  'appendsPerSecond',
  'bytesPerRecord',
]

/** How many times as fast (or as cheap) as its rival a row is; undefined without one. */
export function ratioToRival(row: BenchRow, rows: readonly BenchRow[]): number | undefined {
  const rival = rows.find(({ name }) => name === row.rival)
  if (rival === undefined) return undefined
  for (const figure of RATIO_FIGURES) {
    const ours = row.figures[figure]
    const theirs = rival.figures[figure]
    if (ours === undefined || theirs === undefined) continue
    return isHigherBetter(figure) ? ours.median / theirs.median : theirs.median / ours.median
  }
  return undefined
}

/** Rates are better high, costs, sizes and latencies low. */
export function isHigherBetter(figure: string): boolean {
  return figure.endsWith('PerSecond') && !/(sync|switch)/i.test(figure)
}

/** `1.23 ±4%`: the spread is half the range of the runs over the median. */
export function formatFigure(figure: Figure | undefined): string {
  if (figure === undefined) return ''
  const { median, low, high, runs } = figure
  const digits = Math.abs(median) >= 100 ? 0 : Math.abs(median) >= 10 ? 1 : 3
  const text = median.toLocaleString('en', { maximumFractionDigits: digits })
  if (runs < 2 || median === 0) return text
  return `${text} ±${((50 * (high - low)) / Math.abs(median)).toFixed(0)}%`
}

/** Aligned text: a table per set of rows whose first figure is the same. */
export function formatReport({ bench, rows }: BenchReport): string {
  const groups = new Map<string, BenchRow[]>()
  for (const row of rows) {
    const key = Object.keys(row.figures)[0] ?? ''
    groups.set(key, [...(groups.get(key) ?? []), row])
  }
  const tables = [...groups.values()].map((group) => {
    const figures = [...new Set(group.flatMap((row) => Object.keys(row.figures)))]
    const hasRival = group.some((row) => row.rival !== undefined)
    const header = [bench, ...figures, ...(hasRival ? ['better than rival'] : [])]
    return formatTable(
      header,
      group.map((row) => [
        row.name,
        ...figures.map((figure) => formatFigure(row.figures[figure])),
        ...(hasRival ? [rivalText(row, rows)] : []),
      ]),
    )
  })
  return tables.join('\n\n')
}

function rivalText(row: BenchRow, rows: readonly BenchRow[]): string {
  const ratio = ratioToRival(row, rows)
  return ratio === undefined ? '' : `${ratio.toFixed(2)}x ${row.rival ?? ''}`
}

export function formatTable(header: readonly string[], lines: readonly string[][]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => line[column]!.length)),
  )
  return [header, ...lines]
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
