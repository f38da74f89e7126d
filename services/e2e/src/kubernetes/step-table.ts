/** What was felt of each step of a run, as a table for people. */
import type { HandOver } from '../cluster/partition-events.ts'
import type { FeltWindow } from './disruption-load.ts'
import type { PodLife } from './pod-watch.ts'

export interface Step extends FeltWindow {
  readonly name: string
  /** Unix milliseconds. */
  readonly beganMs: number
  readonly endedMs: number
  /** Why it did not finish; undefined: it did. */
  readonly failure: string | undefined
}

/** A step, and what ingesters did meanwhile. */
export interface StepFigures extends Step {
  readonly seconds: number
  /** Partitions that went from one owner to the next in order; how long nobody fetched them. */
  readonly handOvers: number
  readonly pauseMsMedian: number
  readonly pauseMsMax: number
  /** Ingesters that were told to stop and are gone; the slowest. */
  readonly stopped: number
  readonly stopMsMax: number
  /** Ingesters that came and were ready; the slowest. */
  readonly started: number
  readonly startMsMax: number
}

export function figuresOf(
  step: Step,
  handOvers: readonly HandOver[],
  lives: readonly PodLife[],
): StepFigures {
  const isWithin = (timeMs: number | undefined): boolean =>
    timeMs !== undefined && timeMs >= step.beganMs && timeMs < step.endedMs
  const pauses = handOvers
    .filter(({ atMs }) => isWithin(atMs))
    .map(({ pauseMs }) => pauseMs)
    .toSorted((left, right) => left - right)
  const ingesters = lives.filter(({ component }) => component === 'ingester')
  const stops = ingesters
    .filter(({ stoppingMs, goneMs }) => isWithin(stoppingMs) && goneMs !== undefined)
    .map(({ stoppingMs, goneMs }) => goneMs! - stoppingMs!)
  const starts = ingesters
    .filter(({ seenMs, readyMs }) => isWithin(seenMs) && readyMs !== undefined)
    .map(({ seenMs, readyMs }) => readyMs! - seenMs)
  return {
    ...step,
    seconds: (step.endedMs - step.beganMs) / 1000,
    handOvers: pauses.length,
    pauseMsMedian: pauses[Math.floor(pauses.length / 2)] ?? 0,
    pauseMsMax: pauses.at(-1) ?? 0,
    stopped: stops.length,
    stopMsMax: Math.max(0, ...stops),
    started: starts.length,
    startMsMax: Math.max(0, ...starts),
  }
}

/** A Markdown table, and a line for each step that did not finish. */
export function stepTable(steps: readonly StepFigures[]): string {
  const rows = steps.map((step) => [
    step.name,
    step.failure === undefined ? `${step.seconds.toFixed(0)} s` : 'NOT FINISHED',
    `${step.longestGapMs.toFixed(0)} ms`,
    `${step.longestClientGapMs.toFixed(0)} ms`,
    `${String(step.failed)} of ${String(step.tries)}`,
    step.handOvers === 0
      ? '0'
      : `${String(step.handOvers)}: ${String(step.pauseMsMedian)}, ${String(step.pauseMsMax)} ms`,
    slowest(step.stopped, step.stopMsMax),
    slowest(step.started, step.startMsMax),
  ])
  const head = [
    ...['step', 'time', 'no OK for any client', 'no OK for one client', 'failed tries'],
    ...['hand-overs: median, longest pause', 'ingesters stopped', 'started until ready'],
  ]
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  const failures = steps.flatMap(({ name, failure }) =>
    failure === undefined ? [] : [`${name} did not finish: ${failure}`],
  )
  return `${[...lines, ...failures].join('\n')}\n`
}

function slowest(count: number, longestMs: number): string {
  return count === 0 ? '0' : `${String(count)}, slowest ${(longestMs / 1000).toFixed(1)} s`
}
