/** Runs the Python programs of this folder beside the test, which goes on. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findPython } from '@tributary/common/testing/python'

const run = promisify(execFile)
const TIMEOUT_MS = 60_000
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

/** Resolves with the standard output; rejects with the standard error when the program fails. */
export function runPythonClient(
  program: 'python-client' | 'python-tailer',
  ...args: readonly string[]
): Promise<string> {
  return runPythonClientWith({}, program, ...args)
}

/** The same with environment variables, as OTEL_EXPORTER_OTLP_HEADERS. */
export async function runPythonClientWith(
  environment: Readonly<Record<string, string>>,
  program: 'python-client' | 'python-tailer',
  ...args: readonly string[]
): Promise<string> {
  const { stdout, stderr } = await run(
    findPython(),
    [join(import.meta.dirname, `${program}.py`), ...args],
    {
      timeout: TIMEOUT_MS,
      maxBuffer: OUTPUT_BYTES_MAX,
      env: { ...process.env, ...environment },
    },
  )
  // the SDK says on standard error that it gave up or dropped something
  if (stderr !== '') throw new Error(`${program} complains:\n${stderr}`)
  return stdout
}
