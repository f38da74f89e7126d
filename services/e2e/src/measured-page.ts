/**
 * Parts of a page that a run writes, so that no figure is copied by hand: what stands between the marks is
 * replaced, prose is not touched.
 */

/** Text by the name of its mark: `<!-- measured: NAME -->` ... `<!-- /measured -->`. */
export type MeasuredParts = Readonly<Record<string, string>>

/** @throws Error where the page has no such mark */
export function withMeasured(page: string, parts: MeasuredParts): string {
  let result = page
  for (const [name, text] of Object.entries(parts)) {
    const begin = `<!-- measured: ${name} -->\n`
    const from = result.indexOf(begin)
    const to = result.indexOf('<!-- /measured -->', from)
    if (from < 0 || to < 0) throw new Error(`no mark ${name}`)
    result = `${result.slice(0, from + begin.length)}${text}\n${result.slice(to)}`
  }
  return result
}
