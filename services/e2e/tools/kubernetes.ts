/**
 * Runs the tests that need a Kubernetes cluster, one file after another, against that of KUBECONFIG, else
 * against one that it brings up for them: `npm run test:kubernetes -- [--nodes 1] [files]`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'

import { KubernetesCluster, NoClusterError } from '@tributary/e2e/kubernetes/kubernetes-cluster'

const TEST_TIMEOUT_MS = 600_000
/** Exit status where no test ran because there is no cluster. */
const NO_CLUSTER_STATUS = 3

const { values, positionals } = parseArgs({
  options: { nodes: { type: 'string', default: '1' } },
  allowPositionals: true,
})
const startMs = performance.now()
const cluster = await KubernetesCluster.open(Number(values.nodes), (step) => {
  process.stderr.write(`${((performance.now() - startMs) / 1000).toFixed(1)} s: ${step}\n`)
}).catch((error: unknown) => {
  if (!(error instanceof NoClusterError)) throw error
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  process.stderr.write(`no cluster: ${error.message}${cause}\n`)
  process.exit(NO_CLUSTER_STATUS)
})
try {
  const files = positionals.length > 0 ? positionals : ['services/**/*.kubernetes.ts']
  const flags = ['--test', '--test-concurrency=1', `--test-timeout=${String(TEST_TIMEOUT_MS)}`]
  const child = spawn(process.execPath, [...flags, ...files], {
    stdio: 'inherit',
    env: { ...process.env, ...cluster.environment },
  })
  const [status] = (await once(child, 'close')) as [number | null]
  process.exitCode = status ?? 1
} finally {
  await cluster.close()
}
