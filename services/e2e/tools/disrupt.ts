/**
 * Sends telemetry through the router Service of a real cluster while pods, nodes, Redis, settings and
 * the image change under it, and proves from the bucket that each acknowledged item is stored once:
 * `npm run disrupt -- [--nodes 3] [--clients 6] [--rate 5] [--json result.json]`.
 * The machine must reach the addresses of Services: a node of the cluster, or a cluster on this machine.
 */
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import { createLogger } from '@tributary/common/logger'
import { openObjectStore } from '@tributary/common/object-store/object-store'
import { prove } from '@tributary/e2e/chaos/proof'
import { DisruptionLoad } from '@tributary/e2e/kubernetes/disruption-load'
import { disruptions, installSpread } from '@tributary/e2e/kubernetes/disruptions'
import { KubernetesCluster } from '@tributary/e2e/kubernetes/kubernetes-cluster'
import type { PortForward } from '@tributary/e2e/kubernetes/port-forward'
import { Trial, TRIAL_STORE } from '@tributary/e2e/kubernetes/trial'
import { readStoredRequests } from '@tributary/e2e/oracle/stored-requests'
import { StoreCopy } from '@tributary/e2e/oracle/store-copy'

const NAMESPACE = 'tributary-disrupted'
const DRAIN_TIMEOUT_MS = 120_000
const STORED_TIMEOUT_MS = 120_000
const POLL_MS = 2000

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '3' },
    clients: { type: 'string', default: '6' },
    rate: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
})
const startMs = performance.now()
const report = (line: string): void => {
  process.stdout.write(
    `${((performance.now() - startMs) / 1000).toFixed(1).padStart(6)} s  ${line}\n`,
  )
}
const cluster = await KubernetesCluster.open(Number(values.nodes), report)
const trial = new Trial(cluster, NAMESPACE)
try {
  await cluster.createNamespace(NAMESPACE)
  await installSpread(cluster, NAMESPACE)
  report('installed')
  const host = await trial.routerAddress()
  const seed = Number(values.seed)
  const load = new DisruptionLoad({
    ...{ host, seed, clients: Number(values.clients), ratePerSecond: Number(values.rate) },
  })
  load.start()
  const felt: { name: string; seconds: number; longestGapMs: number }[] = []
  for (const { name, run } of disruptions(cluster, NAMESPACE, cluster.nextImageTag)) {
    load.takeLongestGapMs()
    const beganMs = performance.now()
    await run()
    const seconds = Math.round((performance.now() - beganMs) / 1000)
    const longestGapMs = Math.round(load.takeLongestGapMs())
    felt.push({ name, seconds, longestGapMs })
    report(`${name}: ${String(seconds)} s, longest time without an OK ${String(longestGapMs)} ms`)
  }
  await load.finish(DRAIN_TIMEOUT_MS)
  const forward = await trial.openStore()
  const findings = await proved(load, forward, seed)
  await forward.close()
  const totals = load.ledger.totals()
  const { judgement, problems } = findings
  report(
    `${String(totals.acknowledged)} items acknowledged, ${String(judgement.rows)} rows stored, ` +
      `${String(judgement.violationCount)} violations, ${String(problems.length)} problems; ` +
      `errors ${(load.errorRatio * 100).toFixed(2)} % of tries: ${JSON.stringify(load.answers())}`,
  )
  for (const violation of judgement.violations) report(JSON.stringify(violation))
  for (const problem of problems) report(problem)
  if (values.json !== undefined) {
    const result = {
      felt,
      totals,
      answers: load.answers(),
      errorRatio: load.errorRatio,
      ...findings,
    }
    writeFileSync(values.json, `${JSON.stringify(result, undefined, 2)}\n`)
  }
  process.exitCode = judgement.violationCount + problems.length === 0 ? 0 : 1
} finally {
  await trial.remove()
  await cluster.close()
}

/** Waits until every acknowledged item is in a committed file, then judges all files. */
async function proved(
  load: DisruptionLoad,
  forward: PortForward,
  seed: number,
): ReturnType<typeof prove> {
  const { AWS_ACCESS_KEY_ID: accessKeyId = '', AWS_SECRET_ACCESS_KEY: secretAccessKey = '' } =
    await trial.storeCredentials()
  const credentials = { accessKeyId, secretAccessKey }
  const endpoint = `http://127.0.0.1:${String(forward.port)}`
  const logger = createLogger({ name: 'judge', level: 'error' })
  const options = { endpoint, region: 'us-east-1', credentials, logger }
  const store = await openObjectStore(TRIAL_STORE, options)
  const copy = await StoreCopy.create(store)
  try {
    const { acknowledged } = load.ledger.totals()
    for (
      const deadlineMs = performance.now() + STORED_TIMEOUT_MS;
      performance.now() < deadlineMs;
    ) {
      const stored = await readStoredRequests(await copy.refresh())
      if (stored.reduce((sum, { items }) => sum + items, 0) >= acknowledged) break
      await sleep(POLL_MS)
    }
    return await prove({ store, copy, ledger: load.ledger, seed })
  } finally {
    await copy.remove()
    await store.close()
  }
}
