/**
 * The load test as a Job, in the namespace of a trial install on a cluster that was brought up here:
 *
 *     npm run trial -- --set router.replicas=2 -- node services/e2e/tools/loadtest-job.ts
 *
 * Loads an image of the k6 that `npm run loadtest` has built, applies loadtest/ as it is, waits for the Job,
 * and counts the rows of its run in the bucket. Ends with 1 unless they are those that
 * k6 counted as accepted and no answer was wrong.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { cacheFolder, testKubernetes } from '@tributary/common/config/config'
import { makeRoot, writeImage } from '@tributary/e2e/kubernetes/image-archive'

const run = promisify(execFile)
const FOLDER = fileURLToPath(new URL('../../../loadtest', import.meta.url))
const COMMAND = fileURLToPath(import.meta.resolve('@tributary/cli/main'))
/** As in job.yaml. */
const IMAGE = 'docker.io/grafana/k6:1.8.1'
const NAMESPACE = ['-n', 'tributary-trial']
const JOB = 'job/tributary-loadtest'
const JOB_TIMEOUT_MS = 300_000
const STORED_TIMEOUT_MS = 120_000
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

interface Summary {
  readonly run: string
  readonly metrics: Readonly<Record<string, { readonly values: Readonly<Record<string, number>> }>>
}

await loadImage()
await kubectl('apply', '-k', FOLDER)
await finished()
const log = await kubectl('logs', JOB)
// what k6 complains of stands between the lines of the summary
const lines = log.split('\n').filter((line) => !line.startsWith('time='))
const summary = JSON.parse(lines.join('\n').trim()) as Summary
const count = (metric: string): number => summary.metrics[metric]?.values['count'] ?? 0
const [accepted, unknown, wrong] = [
  count('accepted_items'),
  count('unknown_items'),
  count('wrong_answers'),
]
const stored = await storedRows(summary.run, accepted)
process.stdout.write(`${JSON.stringify({ run: summary.run, accepted, stored, unknown, wrong })}\n`)
const isRight = accepted > 0 && wrong === 0 && stored >= accepted && stored <= accepted + unknown
process.exitCode = isRight ? 0 : 1

/** Also where it missed a threshold, which is for whoever reads its log to judge. */
async function finished(): Promise<void> {
  const deadlineMs = performance.now() + JOB_TIMEOUT_MS
  while (performance.now() < deadlineMs) {
    const { status } = JSON.parse(await kubectl('get', JOB, '-o', 'json')) as {
      readonly status: { readonly succeeded?: number; readonly failed?: number }
    }
    if ((status.succeeded ?? 0) + (status.failed ?? 0) > 0) return
    await sleep(1000)
  }
  throw new Error(`the Job has not ended: ${await kubectl('describe', JOB)}`)
}

/** There is no registry here to pull it from. */
async function loadImage(): Promise<void> {
  const { tools } = testKubernetes()
  if (tools === undefined) throw new Error('set TRIBUTARY_KUBERNETES_TOOLS')
  const folder = await mkdtemp(join(tmpdir(), 'tributary-k6-'))
  try {
    const [root, out] = [join(folder, 'root'), join(folder, 'k6.tar')]
    // k6 is linked with nothing; the shell brings the libraries of a root
    makeRoot(root, { 'bin/sh': '/bin/sh', k6: join(cacheFolder(), 'bin', 'k6') })
    const image = { name: IMAGE, layers: [root], entrypoint: ['/k6'], environment: ['PATH=/bin'] }
    await writeImage({ out, ...image, workingFolder: '/data' })
    const BIN = process.env['PATH']!.split(':')[0]!
    await run(join(tools, 'cluster-node'), ['load', '1', out], { env: { ...process.env, BIN } })
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function kubectl(...args: string[]): Promise<string> {
  const options = { maxBuffer: OUTPUT_BYTES_MAX }
  const { stdout } = await run('kubectl', [...NAMESPACE, ...args], options)
  return stdout
}

/** Asked until it is at least so many. */
async function storedRows(id: string, least: number): Promise<number> {
  const deadlineMs = performance.now() + STORED_TIMEOUT_MS
  for (;;) {
    let rows = 0
    for (const view of ['logs', 'spans', 'metrics']) rows += await rowsOf(view, id)
    if (rows >= least || performance.now() > deadlineMs) return rows
    await sleep(2000)
  }
}

/** A view without a row of a load test has no such column: that counts as none. */
async function rowsOf(view: string, id: string): Promise<number> {
  const sql = `select count(*)::int as n from ${view} where "resource.loadtest.run" = '${id}'`
  try {
    const { stdout } = await run(process.execPath, [COMMAND, 'query', '--format', 'json', sql])
    return (JSON.parse(stdout) as { readonly n: number }[])[0]?.n ?? 0
  } catch (error) {
    if (/loadtest\.run/.test((error as { readonly stderr?: string }).stderr ?? '')) return 0
    throw error
  }
}
