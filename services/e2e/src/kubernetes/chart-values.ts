/**
 * The values of the chart, from values.yaml: each with its default and the comment before it. The README
 * of the chart is made from them, and the schema is held against them.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { isMap, isScalar, parseDocument, type YAMLMap } from 'yaml'

export const CHART_FOLDER = fileURLToPath(new URL('../../../../charts/tributary', import.meta.url))

export interface ChartValue {
  /** router.service.type */
  readonly path: string
  /** As JSON. */
  readonly fallback: string
  /** What the comment before it says; '' where there is none. */
  readonly description: string
}

/** In the order of the file. Maps that are empty by default, and resources, are values; others are groups. */
export function readChartValues(): ChartValue[] {
  const document = parseDocument(readFileSync(`${CHART_FOLDER}/values.yaml`, 'utf8'))
  if (!isMap(document.contents)) throw new Error('values.yaml holds no map')
  // the comment before the first key is the document's
  return [...valuesOf(document.contents, '', document.commentBefore)]
}

function* valuesOf(map: YAMLMap, prefix: string, first?: string | null): Generator<ChartValue> {
  for (const [position, pair] of map.items.entries()) {
    const { key, value } = pair
    if (!isScalar(key)) throw new Error(`${prefix}: a key that is no scalar`)
    const path = `${prefix}${String(key.value)}`
    // the comment of a map's first key belongs to the map
    const comment = position === 0 ? (map.commentBefore ?? first) : key.commentBefore
    const isGroup = isMap(value) && value.items.length > 0 && !/\.(resources|labels)$/.test(path)
    if (isGroup) yield* valuesOf(value, `${path}.`)
    else yield { path, fallback: fallbackOf(value), description: sentenceOf(comment) }
  }
}

function fallbackOf(value: unknown): string {
  return JSON.stringify(
    isScalar(value) ? value.value : (value as { toJSON: () => unknown }).toJSON(),
  )
}

/** The lines after `--`, joined; a comment without it is for readers of the file. */
function sentenceOf(comment: string | null | undefined): string {
  const [, text = ''] = (comment ?? '').split(/(?:^|\n) -- /)
  return text.replaceAll(/\s+/g, ' ').trim()
}

/** README.md of the chart. */
export function chartPage(): string {
  const head = readFileSync(`${CHART_FOLDER}/README.head.md`, 'utf8')
  const rows = readChartValues().map(({ path, fallback, description }) => {
    const cells = [`\`${path}\``, `\`${fallback}\``, description]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  })
  return `${head}\n## Values\n| value | default | what |\n|---|---|---|\n${rows.join('')}`
}
