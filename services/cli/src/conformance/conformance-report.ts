import type { CaseResult, ConformanceReport } from './run-conformance.ts'

const MARKS = { pass: 'ok  ', fail: 'FAIL', 'not run': '-   ' } as const

/** The report for people: a line per case, then what failed with its evidence, then the sums. */
export function formatReport(report: ConformanceReport): string {
  const lines = report.results.map(formatLine)
  const failures = report.results.filter(({ result }) => result === 'fail')
  return [
    ...lines,
    ...(failures.length === 0 ? [] : ['', 'Failures']),
    ...failures.flatMap(formatFailure),
    '',
    `${report.passed} passed, ${report.failed} failed, ${report.notRun} not run`,
    '',
  ].join('\n')
}

/** One case in one line. */
function formatLine(result: CaseResult): string {
  const reason = result.reason === '' ? '' : `: ${result.reason}`
  return `${MARKS[result.result]}  ${result.name}${reason}`
}

function formatFailure(result: CaseResult): string[] {
  return [
    `  ${result.name} (asked for by ${result.authority})`,
    `    sent      ${result.sent}`,
    `    expected  ${result.expected}`,
    `    got       ${result.got}`,
    `    reason    ${result.reason}`,
  ]
}
