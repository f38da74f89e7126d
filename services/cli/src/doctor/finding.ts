/** What `tributary doctor` says of one thing that it looked at. */
import { AppError } from '@tributary/common/errors'

export const AREAS = ['versions', 'kafka', 'redis', 'store', 'disk', 'clock'] as const
export type Area = (typeof AREAS)[number]

export type Level = 'ok' | 'warning' | 'failure'

export interface Finding {
  readonly area: Area
  readonly check: string
  readonly level: Level
  readonly found: string
  /** What to do; '' where all is well. */
  readonly remedy: string
}

export function ok(area: Area, check: string, found: string): Finding {
  return { area, check, level: 'ok', found, remedy: '' }
}

export function warning(area: Area, check: string, found: string, remedy: string): Finding {
  return { area, check, level: 'warning', found, remedy }
}

export function failure(area: Area, check: string, found: string, remedy: string): Finding {
  return { area, check, level: 'failure', found, remedy }
}

/** The worst of all. */
export function verdictOf(findings: readonly Finding[]): Level {
  const levels = new Set(findings.map(({ level }) => level))
  if (levels.has('failure')) return 'failure'
  return levels.has('warning') ? 'warning' : 'ok'
}

/** Causes are followed this deep. */
const CAUSE_DEPTH_MAX = 4

/** The messages of an error and its causes in one line, each once. */
export function errorText(error: unknown): string {
  const texts: string[] = []
  let inner: unknown = error
  for (let depth = 0; depth < CAUSE_DEPTH_MAX && inner !== undefined; depth++) {
    const text = inner instanceof Error ? messageOf(inner) : JSON.stringify(inner)
    if (!texts.some((known) => known.includes(text))) texts.push(text)
    inner = inner instanceof Error ? inner.cause : undefined
  }
  return texts.join(': ')
}

function messageOf(error: Error): string {
  const reason = error instanceof AppError ? error.details['reason'] : undefined
  const text = error.message === '' ? error.name : error.message
  return typeof reason === 'string' && reason !== text ? `${text} (${reason})` : text
}
