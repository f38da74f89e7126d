#!/usr/bin/env node
// Starts the command under the Node that the project pins: a machine's own Node may be too old to
// run TypeScript, and its message ("unknown file extension") would not tell anybody what to do.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const entry = new URL('../src/main.ts', import.meta.url)
const major = Number(process.versions.node.split('.')[0])
if (major >= 24) {
  await import(entry.href)
} else {
  const require = createRequire(import.meta.url)
  const pinned = join(dirname(require.resolve('node/package.json')), 'bin', 'node')
  const run = spawnSync(pinned, [entry.pathname, ...process.argv.slice(2)], { stdio: 'inherit' })
  process.exit(run.status ?? 1)
}
