import type { IndexDrift } from '@tributary/common/catalogue/index-drift'
import type { VerifyReport } from '@tributary/common/verify/verify-report'

import { sectionText, sizeText } from '../inspect/report-text.ts'
import type { IndexReport } from './index-check.ts'

/** Entries of a list that a person reads; --json has more. */
const SHOWN_MAX = 50

/** The report for people: what was checked, what is odd, what is wrong, and the verdict last. */
export function verifyText(report: VerifyReport): string {
  const chains = sectionText(
    'Chains',
    ['log', 'topic', 'partition', 'commits', 'end', 'rows in', 'stored', 'repeats', 'quarantined'],
    report.chains.map((chain) =>
      [
        chain.logId,
        chain.topic,
        chain.partition,
        chain.commits,
        chain.end,
        chain.rowsIn,
        chain.rowsStored,
        chain.rowsSuppressed,
        chain.rowsQuarantined,
      ].map(String),
    ),
  )
  return [
    `Store ${report.url}\n`,
    chains,
    ...holesText(report),
    ...pendingText(report),
    ...problemsText(report),
    verdictText(report),
  ].join('\n')
}

function holesText(report: VerifyReport): string[] {
  if (report.holes.length === 0) return []
  return [
    sectionText(
      `Holes: offsets without rows, ${report.holes.length + report.leftOut.holes}`,
      ['topic', 'partition', 'start', 'end', 'reason'],
      report.holes
        .slice(0, SHOWN_MAX)
        .map((hole) => [hole.topic, String(hole.partition), hole.start, hole.end, hole.reason]),
    ),
  ]
}

function pendingText(report: VerifyReport): string[] {
  const count = report.pending.length + report.leftOut.pending
  if (count === 0) return []
  const bytes = report.pending.reduce((sum, object) => sum + object.bytes, 0)
  return [
    `Not committed yet: ${count} objects, ${sizeText(bytes)}; of a flush under way, or removed later\n`,
  ]
}

function problemsText(report: VerifyReport): string[] {
  if (report.problems.length === 0) return []
  return [
    sectionText(
      'Problems',
      ['kind', 'what'],
      report.problems.slice(0, SHOWN_MAX).map(({ kind, message }) => [kind, message]),
    ),
    ...report.problems.slice(0, SHOWN_MAX).map(({ kind, key }) => `  ${kind}  ${key}`),
    '',
  ]
}

function verdictText(report: VerifyReport): string {
  const sums = `${report.files} files, ${sizeText(report.bytes)}, ${report.rows} rows`
  if (report.isWhole) return `proved: ${sums} in ${report.chains.length} chains\n`
  const count = report.problems.length + report.leftOut.problems
  return `NOT proved: ${count} problems; checked ${sums}\n`
}

/** What was found of the index, and what was done about it. */
export function indexText({ before, rebuilt, after }: IndexReport): string {
  const lines = [driftText(before)]
  if (rebuilt !== undefined) {
    const { files, commits, chains, durationMs } = rebuilt
    const seconds = (durationMs / 1000).toFixed(1)
    lines.push(
      `made anew: ${files} files of ${commits} commits in ${chains} chains, in ${seconds} s`,
    )
  }
  if (after !== undefined) lines.push(driftText(after))
  return `${lines.join('\n')}\n`
}

function driftText(drift: IndexDrift): string {
  const { files, missing, different, extra, wrongEnds, behind, named } = drift
  const waiting = behind === 0 ? '' : `, ${behind} files behind it in the commits`
  if (drift.isTrue) return `index is true: ${files} files${waiting}`
  const wrong = [
    `${missing} missing`,
    `${different} different`,
    `${extra} in no commit`,
    `${wrongEnds.length} partitions with a wrong end`,
  ]
  const keys = [...named, ...wrongEnds].slice(0, SHOWN_MAX).map((key) => `\n  ${key}`)
  return `index is NOT true: ${files} files, ${wrong.join(', ')}${waiting}${keys.join('')}`
}
