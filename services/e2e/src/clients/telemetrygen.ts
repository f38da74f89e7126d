import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import { findTelemetrygen } from '@tributary/common/testing/collector-programs'

const run = promisify(execFile)
/** Beside the time that a rate asks for, twice: the machine may be busy. */
const TIMEOUT_MS = 120_000

/**
 * Runs telemetrygen to its end, as fast as it goes unless there is a `--rate=`.
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
  await run(findTelemetrygen(), [signal, ...always, ...flags], {
    timeout: TIMEOUT_MS + 2 * plannedMs(signal, flags),
  })
}

function plannedMs(signal: string, flags: readonly string[]): number {
  const valueOf = (name: string): number =>
    Number(flags.find((flag) => flag.startsWith(`--${name}=`))?.split('=')[1] ?? 0)
  const rate = valueOf('rate')
  return rate === 0 ? 0 : Math.ceil((1000 * valueOf(signal)) / rate)
}
