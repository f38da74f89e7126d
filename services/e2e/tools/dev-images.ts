/** Writes the images of the chart's dev servers: `node services/e2e/tools/dev-images.ts FOLDER`. */
import { mkdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { makeDevImages } from '@tributary/e2e/kubernetes/dev-images'

const VALUES = fileURLToPath(new URL('../../../charts/tributary/values.yaml', import.meta.url))
const [folder = 'dev-images'] = process.argv.slice(2)
const dev = readFileSync(VALUES, 'utf8').split('\ndev:\n')[1] ?? ''
const [kafka, redis, objectStore] = [...dev.matchAll(/image: (\S+)/g)].map(([, name]) => name!)
mkdirSync(folder, { recursive: true })
const paths = await makeDevImages(resolve(folder), {
  kafka: kafka!,
  redis: redis!,
  objectStore: objectStore!,
})
process.stdout.write(`${paths.join('\n')}\n`)
