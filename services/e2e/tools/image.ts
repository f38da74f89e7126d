/**
 * Builds the image without any container engine; `ctr images import`, `docker load` and `podman load`
 * take it. Where an engine runs, deploy/Dockerfile makes the same. The base layer is this machine's C
 * library and the pinned Node, the upper one the application.
 *
 *     npm run image -- --out tributary.tar --name localhost/tributary:0.1.0 [--name ANOTHER]
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { NODE_FLAGS } from '@tributary/common/collector-tuning'
import { makeRoot, nativeFiles, writeImage } from '@tributary/e2e/kubernetes/image-archive'

import { makeImageRoot } from './image-root.ts'

const MANIFEST = fileURLToPath(new URL('../../../package.json', import.meta.url))
const { version } = JSON.parse(readFileSync(MANIFEST, 'utf8')) as { version: string }

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'tributary-image.tar' },
    name: { type: 'string', multiple: true, default: [`localhost/tributary:${version}`] },
  },
})
const out = resolve(values.out)
const [name = '', ...otherNames] = values.name
const work = mkdtempSync(join(tmpdir(), 'tributary-image-'))
try {
  const base = join(work, 'base')
  const upper = join(work, 'upper')
  makeImageRoot(join(upper, 'app'))
  makeRoot(base, { 'usr/bin/node': process.execPath }, nativeFiles(upper))
  const bytes = await writeImage({
    out,
    name,
    otherNames,
    layers: [base, upper],
    entrypoint: ['/usr/bin/node', ...NODE_FLAGS, 'services/cli/src/main.js'],
    environment: ['PATH=/usr/bin:/bin', 'NODE_ENV=production', 'TRIBUTARY_HOST=0.0.0.0'],
    workingFolder: '/app',
    labels: {
      'org.opencontainers.image.title': 'tributary',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
  })
  process.stdout.write(`${out}: ${values.name.join(' ')}, ${String(bytes)} bytes\n`)
} finally {
  rmSync(work, { recursive: true, force: true })
}
