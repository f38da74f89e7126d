/** The figures of one run, from the summary that k6 wrote, as text and against an earlier run. */
import { readFileSync } from 'node:fs'

export interface RunFigures {
  readonly scenario: string
  readonly run: string
  readonly requests: number
  readonly requestsPerSecond: number
  readonly itemsPerSecond: number
  readonly acceptedItems: number
  readonly unknownItems: number
  readonly refusedRequests: number
  readonly wrongAnswers: number
  /** Arrivals for which no client was free: the server held all of them. */
  readonly droppedIterations: number
  readonly medianMs: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly failedThresholds: readonly string[]
  readonly text: string
}

interface Metric {
  readonly values?: Readonly<Record<string, number>>
  readonly thresholds?: Readonly<Record<string, { readonly ok: boolean }>>
}

interface Summary {
  readonly scenario: string
  readonly scale: number
  readonly run: string
  readonly metrics: Readonly<Record<string, Metric>>
}

/** @throws Error where the file is no summary of a load test */
export function readRun(path: string): RunFigures {
  const summary = JSON.parse(readFileSync(path, 'utf8')) as Summary
  if (typeof summary.scenario !== 'string' || typeof summary.metrics !== 'object') {
    throw new Error(`${path} is no summary of a load test`)
  }
  const value = (metric: string, name: string): number =>
    summary.metrics[metric]?.values?.[name] ?? 0
  const figures = {
    scenario: summary.scenario,
    run: summary.run,
    requests: value('iterations', 'count'),
    requestsPerSecond: value('iterations', 'rate'),
    itemsPerSecond: value('accepted_items', 'rate'),
    acceptedItems: value('accepted_items', 'count'),
    unknownItems: value('unknown_items', 'count'),
    refusedRequests: value('refused_requests', 'count'),
    wrongAnswers: value('wrong_answers', 'count'),
    droppedIterations: value('dropped_iterations', 'count'),
    medianMs: value('acknowledgement_ms', 'med'),
    p99Ms: value('acknowledgement_ms', 'p(99)'),
    p999Ms: value('acknowledgement_ms', 'p(99.9)'),
    failedThresholds: failedThresholds(summary.metrics),
  }
  return { ...figures, text: textOf(figures) }
}

function failedThresholds(metrics: Summary['metrics']): string[] {
  return Object.entries(metrics).flatMap(([metric, { thresholds = {} }]) =>
    Object.entries(thresholds)
      .filter(([, { ok }]) => !ok)
      .map(([threshold]) => `${metric} ${threshold}`),
  )
}

function textOf(figures: Omit<RunFigures, 'text'>): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en-US')
  const ms = (value: number): string => `${value.toFixed(1)} ms`
  return `${figures.scenario}: ${whole(figures.requestsPerSecond)} requests/s, ${whole(figures.itemsPerSecond)} items/s
  acknowledged in ${ms(figures.medianMs)} (median), ${ms(figures.p99Ms)} (p99), ${ms(figures.p999Ms)} (p99.9)
  ${whole(figures.acceptedItems)} items accepted, ${whole(figures.refusedRequests)} requests told to retry, ${whole(figures.wrongAnswers)} wrong answers, ${whole(figures.droppedIterations)} arrivals without a free client
`
}

/** A line for each figure that both runs have, with the ratio now/before. */
export function compareRuns(before: RunFigures, now: RunFigures): string {
  const rows: [string, number, number][] = [
    ['requests/s', before.requestsPerSecond, now.requestsPerSecond],
    ['items/s', before.itemsPerSecond, now.itemsPerSecond],
    ['median ms', before.medianMs, now.medianMs],
    ['p99 ms', before.p99Ms, now.p99Ms],
    ['p99.9 ms', before.p999Ms, now.p999Ms],
    ['told to retry', before.refusedRequests, now.refusedRequests],
  ]
  const lines = rows.map(([label, was, is]) => {
    const ratio = was === 0 ? '' : `  ${(is / was).toFixed(2)}x`
    return `  ${label.padEnd(14)}${was.toFixed(1).padStart(12)} -> ${is.toFixed(1).padStart(12)}${ratio}`
  })
  return `${now.scenario} against the baseline\n${lines.join('\n')}\n`
}

/** A row for each scenario, in Markdown: the median of its runs, and from the least to the greatest. */
export function tableOf(runs: readonly RunFigures[]): string {
  const rows = [...Map.groupBy(runs, ({ scenario }) => scenario)].map(([scenario, each]) => {
    const cell = (pick: (run: RunFigures) => number, digits = 0): string =>
      spreadOf(each.map(pick), digits)
    return [
      scenario,
      cell((run) => run.requestsPerSecond),
      cell((run) => run.itemsPerSecond),
      cell((run) => run.medianMs, 1),
      cell((run) => run.p99Ms, 1),
      cell((run) => run.p999Ms, 1),
      cell((run) => (100 * run.refusedRequests) / Math.max(1, run.requests), 1),
      cell((run) => run.wrongAnswers),
    ]
  })
  const head = [
    'scenario',
    'requests/s',
    'items/s',
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'told to retry, %',
  ]
  const lines = [[...head, 'wrong answers'], Array.from({ length: 8 }, () => '---'), ...rows]
  return `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`
}

function spreadOf(samples: readonly number[], digits: number): string {
  const sorted = samples.toSorted((a, b) => a - b)
  const text = (value: number): string =>
    value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits })
  const middle = sorted.length >> 1
  const lower = sorted[sorted.length % 2 === 0 ? middle - 1 : middle]!
  const median = text((lower + sorted[middle]!) / 2)
  const [least, most] = [text(sorted[0]!), text(sorted.at(-1)!)]
  return least === most ? median : `${median} (${least} to ${most})`
}
