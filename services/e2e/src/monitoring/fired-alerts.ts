/** The table of docs/monitoring.md: which alert fired by which fault, and cleared. */

/** Of one alert; its name is without `Tributary`. */
export interface FiredRow {
  readonly alert: string
  readonly fault: string
  /** As it stands in the page. */
  readonly line: string
}

const ROW = /^\| (\w+) \| (.*) \| \d+ \| \d+ \|$/gm

/** By the name of the alert, in the order of the page. */
export function firedRows(page: string): Map<string, FiredRow> {
  const rows = [...page.matchAll(ROW)].map(([line, alert, fault]) => ({
    ...{ alert: alert!, fault: fault!, line },
  }))
  return new Map(rows.map((row) => [row.alert, row]))
}
