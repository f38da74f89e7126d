import { tableText } from '../query/table-text.ts'

/** Object keys and 64 bytes of statistics in hex fit. */
const CELL_WIDTH_MAX = 200

/** `name  value` lines under a heading, names padded to one width. */
export function factsText(title: string, facts: Readonly<Record<string, unknown>>): string {
  const names = Object.keys(facts)
  const width = Math.max(0, ...names.map((name) => name.length)) + 2
  const lines = names.map((name) => `  ${name.padEnd(width)}${factText(facts[name])}\n`)
  return `${title}\n${lines.join('')}`
}

function factText(value: unknown): string {
  if (value === undefined || value === null) return '-'
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  return JSON.stringify(value)
}

/** A table under a heading; columns whose every cell looks like a number are set to the right. */
export function sectionText(
  title: string,
  columns: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  if (rows.length === 0) return `${title}\n  none\n`
  const isNumeric = columns.map((_, column) =>
    rows.every((row) => /^-?[\d.,]*( [KMG]iB| B)?$/.test(row[column] ?? '')),
  )
  const table = tableText({ columns, rows, isNumeric, cellWidthMax: CELL_WIDTH_MAX })
  return `${title}\n${table.replace(/^(?=.)/gm, '  ')}`
}

/** A size for people: exact below 10 KiB, else with one digit. */
export function sizeText(bytes: number | bigint): string {
  const count = Number(bytes)
  if (count < 10 * 1024) return `${count} B`
  for (const [unit, scale] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
  ] as const) {
    if (count >= scale) return `${(count / scale).toFixed(1)} ${unit}`
  }
  return `${(count / 1024).toFixed(1)} KiB`
}

/** RFC 3339 with nanoseconds, for times that OTLP counts since 1970. */
export function nanosText(unixNano: bigint): string {
  const millis = Number(unixNano / 1_000_000n)
  const date = new Date(millis)
  if (Number.isNaN(date.getTime())) return `${unixNano} ns since 1970`
  const below = String(unixNano % 1_000_000_000n).padStart(9, '0')
  return `${date.toISOString().slice(0, -5)}.${below}Z`
}
