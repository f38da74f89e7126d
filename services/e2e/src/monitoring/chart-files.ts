/** What the chart holds of deploy/monitoring: Helm reads files of its own folder only. */
import { readFileSync } from 'node:fs'

import { CHART_FOLDER } from '../kubernetes/chart-values.ts'
import { RULES_FILE } from './alert-rules.ts'
import { dashboardFiles } from './dashboards.ts'

const HEAD = '# A copy of deploy/monitoring/rules.yaml, made by `npm run docs`.\n'

/** Path -> text. */
export function chartFiles(): ReadonlyMap<string, string> {
  const rules = readFileSync(RULES_FILE, 'utf8')
  const files = new Map([
    [`${CHART_FOLDER}/files/rules.yaml`, HEAD + rules.slice(rules.indexOf('groups:'))],
  ])
  for (const [name, text] of dashboardFiles()) {
    files.set(`${CHART_FOLDER}/files/dashboards/${name}`, text)
  }
  return files
}
