import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { pythonPath } from '../config/config.ts'

const INSTALLING_LINE = 'node services/e2e/tools/foreign-readers.mjs'
/** A full dump of a test file as JSON stays far below this. */
const OUTPUT_BYTES_MAX = 512 * 1024 * 1024
/** Comparing all cells of 10,000 generated requests takes minutes on a busy machine. */
const TIMEOUT_MS = 600_000

/**
 * Runs a Python script (its text) with PyArrow, DuckDB and pytz installed: the foreign reader of
 * our files. Returns its standard output; fails with its standard error, or with the line that
 * installs the interpreter when there is none.
 */
export function runPython(
  script: string,
  args: readonly string[] = [],
  input?: Uint8Array,
): string {
  const result = spawnSync(findPython(), ['-c', script, ...args], {
    encoding: 'utf8',
    input,
    maxBuffer: OUTPUT_BYTES_MAX,
    timeout: TIMEOUT_MS,
  })
  if (result.error !== undefined) throw result.error
  if (result.status !== 0) {
    throw new Error(`python ended with ${result.status ?? result.signal}:\n${result.stderr}`)
  }
  return result.stdout
}

/** TRIBUTARY_PYTHON, else .venv/bin/python of this project. */
export function findPython(): string {
  const configured = pythonPath()
  if (configured !== undefined && configured !== '') return configured
  let folder = import.meta.dirname
  while (dirname(folder) !== folder) {
    const candidate = join(folder, '.venv', 'bin', 'python')
    if (existsSync(candidate)) return candidate
    folder = dirname(folder)
  }
  throw new Error(`the foreign readers are not installed; install them with: ${INSTALLING_LINE}`)
}
