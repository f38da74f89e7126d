/**
 * The data folder of a standalone process that was killed: files of all signals with their commit, sidecar and
 * schemas, and rows that are in the WAL alone. A later build has to go on with it.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lstatSync } from 'node:fs'

import { exportRequest } from '@tributary/common/testing/otlp-messages'

import { StandaloneProcess } from '../standalone-process.ts'
import { SAMPLE_TIME, sampleRequests } from './sample-requests.ts'

/** The first build that left one; each build has to read all. */
export const STANDALONE_FIXTURE = 'standalone-1'
const PATHS = { logs: '/v1/logs', spans: '/v1/traces', metrics: '/v1/metrics' } as const
/** Samples are of a fixed time, whatever the clock of the machine says. */
export const SAMPLE_FLAGS = ['--item-ahead-max=36500d', '--flush-interval=1h']

export async function writeStandaloneFolder(target: string): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-format-'))
  const standalone = await StandaloneProcess.start({ dataDir, flags: SAMPLE_FLAGS })
  await sendSamples(standalone, 0)
  await standalone.flush()
  await sendSamples(standalone, 1)
  await standalone.kill()
  await copyFolder(dataDir, target)
  await rm(dataDir, { recursive: true })
}

/** One request of each signal; another number makes other times. */
export async function sendSamples(standalone: StandaloneProcess, number: number): Promise<void> {
  const requests = sampleRequests(SAMPLE_TIME + BigInt(number) * 1_000_000n)
  for (const signal of ['logs', 'spans', 'metrics'] as const) {
    const answer = await fetch(`${standalone.httpUrl}${PATHS[signal]}`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf', 'x-tributary-tenant': 'acme' },
      body: exportRequest(signal).encode(requests[signal]) as Uint8Array<ArrayBuffer>,
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`not taken: ${String(answer.status)} ${text}`)
  }
}

/** Without the socket that locks it. */
export async function copyFolder(from: string, to: string): Promise<void> {
  const filter = (source: string): boolean => !lstatSync(source).isSocket()
  await cp(from, to, { recursive: true, filter })
}
