/**
 * Writes the measured parts of docs/sizing.md and docs/tuning.md from a saved run:
 *
 *     npm run bench -- sizing tuning --json run.json && npm run docs:measured -- run.json
 */
import { readFileSync, writeFileSync } from 'node:fs'

import type { SavedRun } from '../bench/baseline.ts'
import { sizingParts, tuningParts } from '../bench/measured-docs.ts'
import { withMeasured } from '../src/measured-page.ts'

const [file] = process.argv.slice(2)
if (file === undefined)
  throw new Error('which saved run? npm run bench -- sizing tuning --json FILE')
const run = JSON.parse(readFileSync(file, 'utf8')) as SavedRun
const parts = { sizing: sizingParts, tuning: tuningParts }
for (const { bench } of run.reports) {
  if (bench !== 'sizing' && bench !== 'tuning') continue
  const page = new URL(`../../../docs/${bench}.md`, import.meta.url)
  writeFileSync(page, withMeasured(readFileSync(page, 'utf8'), parts[bench](run)))
}
