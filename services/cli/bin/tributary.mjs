#!/usr/bin/env -S node --max-semi-space-size=16 --no-allocation-site-pretenuring
// Starts the command under the Node that the project pins: a machine's own Node may be too old to
// run TypeScript, and its message ("unknown file extension") would not tell anybody what to do.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MAJOR_MIN = 24
const entry = new URL('../src/main.ts', import.meta.url)

if (Number(process.versions.node.split('.')[0]) >= MAJOR_MIN) {
  await import(entry.href)
} else {
  const require = createRequire(import.meta.url)
  const pinned = join(dirname(require.resolve('node/package.json')), 'bin', 'node')
  const args = [...process.execArgv, fileURLToPath(entry), ...process.argv.slice(2)]
  const child = spawn(pinned, args, { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  process.on('SIGINT', () => undefined) // a terminal sends it to the child itself
  child.on('error', (error) => {
    process.stderr.write(`cannot start ${pinned}: ${error.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (status, signal) => {
    if (signal === null) {
      process.exitCode = status ?? 1
    } else {
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    }
  })
}
