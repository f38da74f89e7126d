/**
 * One text form for values, whoever holds them: an SDK before it sends, DuckDB after the flush.
 * Type and all bits are part of the text: `i:3` is an int, `d:` and the hex of its bits a double.
 */

/** Differing rows of a kind that a message shows. */
const SHOWN_MAX = 2

/** What telemetry of a client is compared by: one row per record, span or point. */
export type CanonicalRow = Readonly<Record<string, unknown>>

export interface ClientRows {
  readonly logs: readonly CanonicalRow[]
  readonly spans: readonly CanonicalRow[]
  readonly metrics: readonly CanonicalRow[]
}

export function canonicalDouble(value: number): string {
  const bits = Buffer.alloc(8)
  bits.writeDoubleBE(value)
  return `d:${bits.toString('hex')}`
}

export function canonicalInt(value: number | bigint | string): string {
  return `i:${String(value)}`
}

/** A value of an attribute or a body as an SDK for JavaScript holds it: integers are ints. */
export function canonicalValue(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
      return `s:${value}`
    case 'boolean':
      return value
    case 'number':
      return Number.isSafeInteger(value) ? canonicalInt(value) : canonicalDouble(value)
    default:
      if (value instanceof Uint8Array) return `b:${Buffer.from(value).toString('hex')}`
      return { json: sortKeys(value) }
  }
}

/** Maps have no order. */
export function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, inner]) => [key, sortKeys(inner)]),
  )
}

/** Rows as sorted lines: equal lists of lines are equal multisets of rows. */
function sortedLines(rows: readonly CanonicalRow[]): string[] {
  return rows
    .map((row) =>
      JSON.stringify(
        sortKeys(Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))),
      ),
    )
    .sort()
}

/**
 * Lines with - for rows that were sent and do not stand in the files as often, + for rows that stand
 * there and were not sent as often; a few of each, for messages.
 */
export function differences(
  sent: readonly CanonicalRow[],
  stored: readonly CanonicalRow[],
): string[] {
  const counts = new Map<string, number>()
  for (const line of sortedLines(sent)) counts.set(line, (counts.get(line) ?? 0) + 1)
  for (const line of sortedLines(stored)) counts.set(line, (counts.get(line) ?? 0) - 1)
  const missing = [...counts].filter(([, count]) => count > 0).map(([line]) => `- ${line}`)
  const extra = [...counts].filter(([, count]) => count < 0).map(([line]) => `+ ${line}`)
  return [...missing.slice(0, SHOWN_MAX), ...extra.slice(0, SHOWN_MAX)]
}
