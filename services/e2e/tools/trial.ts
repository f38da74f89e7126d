/**
 * Brings a cluster up (or takes that of KUBECONFIG), installs the chart with its throw-away servers, runs
 * a command against it, and takes all of it down again:
 *
 *     npm run trial -- [--nodes 1] [--set router.replicas=2]... -- npm run loadtest -- --scale 0.05 mixed
 *
 * The command finds the routers in HTTP and GRPC, and the bucket in TRIBUTARY_OBJECT_STORE and the
 * variables beside it. `npm run loadtest` takes them as they are.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'

import { processArguments } from '@tributary/common/config/config'
import { KubernetesCluster } from '@tributary/e2e/kubernetes/kubernetes-cluster'
import { Trial, TRIAL_STORE } from '@tributary/e2e/kubernetes/trial'

const NAMESPACE = 'tributary-trial'

const OPTIONS = {
  nodes: { type: 'string', default: '1' },
  set: { type: 'string', multiple: true, default: [] as string[] },
} satisfies ParseArgsOptionsConfig
const given = [...processArguments()]
const { tokens } = parseArgs({
  ...{ args: given, options: OPTIONS, allowPositionals: true },
  ...{ strict: false, tokens: true as const },
})
// from its first word on all is the command's, its flags and a second -- too
const start = tokens.find(({ kind }) => kind !== 'option')?.index ?? given.length
const { values } = parseArgs({ args: given.slice(0, start), options: OPTIONS })
const [program = '', ...args] = given.slice(given[start] === '--' ? start + 1 : start)
if (program === '') throw new Error('name a command behind --')
const startMs = performance.now()
const report = (step: string): void => {
  process.stderr.write(`${((performance.now() - startMs) / 1000).toFixed(1)} s: ${step}\n`)
}
const cluster = await KubernetesCluster.open(Number(values.nodes), report)
const trial = new Trial(cluster, NAMESPACE)
try {
  await trial.install(values.set)
  report('installed and ready')
  const host = await trial.routerAddress()
  const store = await trial.openStore()
  const child = spawn(program, args, {
    stdio: 'inherit',
    env: {
      ...process.env,
      ...cluster.environment,
      ...(await trial.storeCredentials()),
      HTTP: `http://${host}:4318`,
      GRPC: `${host}:4317`,
      TRIBUTARY_OBJECT_STORE: TRIAL_STORE,
      TRIBUTARY_OBJECT_STORE_ENDPOINT: `http://127.0.0.1:${String(store.port)}`,
    },
  })
  const [status] = (await once(child, 'close')) as [number | null]
  process.exitCode = status ?? 1
  await store.close()
} finally {
  await trial.remove()
  await cluster.close()
}
