/** Writes what the chart holds of deploy/monitoring. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

import { chartFiles } from '../src/monitoring/chart-files.ts'

for (const [path, text] of chartFiles()) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
