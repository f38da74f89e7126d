/**
 * Compares two runs figure by figure. A change counts when it is larger than both runs' spreads; the
 * change of the rival in the same rows tells how much of it was the machine.
 */
import {
  formatFigure,
  formatTable,
  isHigherBetter,
  type BenchReport,
  type BenchRow,
  type Figure,
} from '@tributary/common/bench/bench-harness'

export interface SavedRun {
  readonly date: string
  readonly node: string
  readonly cpu: string
  readonly reports: readonly BenchReport[]
}

/** Changes below this are not worth a line, whatever the spread says. */
const CHANGE_MIN = 0.02

/** A table of what changed, worst first. */
export function compareReports(before: SavedRun, after: SavedRun): string {
  const lines = after.reports.flatMap((report) => {
    const old = before.reports.find(({ bench }) => bench === report.bench)
    return old === undefined ? [] : report.rows.flatMap((row) => compareRow(old, report, row))
  })
  const title =
    `against ${before.date}, ${before.cpu}, Node ${before.node} ` +
    `(now ${after.cpu}, Node ${after.node})`
  if (lines.length === 0) return `${title}\nno figure changed by more than its spread`
  lines.sort((left, right) => left.gain - right.gain)
  const header = ['row', 'figure', 'before', 'after', 'gain', 'rival']
  return `${title}\n${formatTable(
    header,
    lines.map(({ cells }) => cells),
  )}`
}

interface Line {
  /** Relative, above 0 when better. */
  readonly gain: number
  readonly cells: string[]
}

function compareRow(oldReport: BenchReport, report: BenchReport, row: BenchRow): Line[] {
  const old = rowOf(oldReport, row.name)
  if (old === undefined) return []
  return Object.entries(row.figures).flatMap(([name, figure]) => {
    const oldFigure = old.figures[name]
    if (oldFigure === undefined || !isChange(oldFigure, figure)) return []
    const gain = gainOf(name, oldFigure, figure)
    const rivalGain = gainOfRival(oldReport, report, row, name)
    return [
      {
        gain,
        cells: [
          `${report.bench}: ${row.name}`,
          name,
          formatFigure(oldFigure),
          formatFigure(figure),
          percent(gain),
          rivalGain === undefined ? '' : percent(rivalGain),
        ],
      },
    ]
  })
}

function gainOfRival(
  oldReport: BenchReport,
  report: BenchReport,
  { rival }: BenchRow,
  name: string,
): number | undefined {
  if (rival === undefined) return undefined
  const before = rowOf(oldReport, rival)?.figures[name]
  const after = rowOf(report, rival)?.figures[name]
  return before && after && gainOf(name, before, after)
}

function rowOf({ rows }: BenchReport, name: string): BenchRow | undefined {
  return rows.find((row) => row.name === name)
}

/** Neither median lies within the range of the other's runs. */
function isChange(before: Figure, after: Figure): boolean {
  if (before.median === 0 && after.median === 0) return false
  const isWithin = (value: number, { low, high }: Figure): boolean => value >= low && value <= high
  if (isWithin(before.median, after) || isWithin(after.median, before)) return false
  return Math.abs(after.median - before.median) >= CHANGE_MIN * Math.abs(before.median)
}

function gainOf(name: string, before: Figure, after: Figure): number {
  const better = isHigherBetter(name)
  const [good, bad] = better ? [after.median, before.median] : [before.median, after.median]
  return bad === 0 ? Infinity : good / bad - 1
}

function percent(gain: number): string {
  return Number.isFinite(gain) ? `${gain >= 0 ? '+' : ''}${(100 * gain).toFixed(0)} %` : 'new'
}
