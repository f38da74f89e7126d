import { verdictOf } from './finding.ts'
import type { Finding } from './finding.ts'

/** One line per finding under its area, remedies below those that need one, the verdict last. */
export function doctorText(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ check }) => check.length))
  const parts = [...Map.groupBy(findings, ({ area }) => area)].map(([area, group]) => {
    const lines = group.map(({ level, check, found, remedy }) => {
      const line = `  ${level.padEnd('warning'.length)}  ${check.padEnd(width)}  ${found}\n`
      return remedy === '' ? line : `${line}           ${' '.repeat(width)}  -> ${remedy}\n`
    })
    return `${area}\n${lines.join('')}`
  })
  return `${parts.join('')}${verdictText(findings)}\n`
}

const VERDICTS = { ok: 'fit', warning: 'fit, with warnings', failure: 'NOT fit' } as const

function verdictText(findings: readonly Finding[]): string {
  const count = (level: Finding['level']): number =>
    findings.filter((finding) => finding.level === level).length
  const counts = (['ok', 'warning', 'failure'] as const).map((level) => `${count(level)} ${level}`)
  return `${VERDICTS[verdictOf(findings)]}: ${counts.join(', ')}`
}
