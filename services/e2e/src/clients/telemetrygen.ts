import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import { findTelemetrygen } from '@tributary/common/testing/collector-programs'

const run = promisify(execFile)
const TIMEOUT_MS = 120_000

/**
 * Runs telemetrygen to its end, as fast as it goes.
 * @param endpoint host:port
 * @throws Error with what it said when an export failed
 */
export async function runTelemetrygen(
  signal: 'logs' | 'traces' | 'metrics',
  endpoint: string,
  ...flags: readonly string[]
): Promise<void> {
  const isSecure = flags.includes('--ca-cert')
  const plain = isSecure ? [] : ['--otlp-insecure']
  const always = [...plain, '--rate', '0', '--workers', '2', '--otlp-endpoint', endpoint]
  await run(findTelemetrygen(), [signal, ...always, ...flags], { timeout: TIMEOUT_MS })
}
