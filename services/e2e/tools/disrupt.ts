/**
 * Sends telemetry through the router Service of a real cluster while pods, nodes, Redis, settings, the
 * image and the number of ingesters change under it, by hand and by the controller, and proves from the
 * bucket that each acknowledged item is stored once:
 *
 *     npm run disrupt -- [--nodes 3] [--clients 6] [--rate 5] [--only WORD]... [--json result.json]
 *
 * Exit status 0: every step finished, nothing was lost, nothing is there twice. `--only` runs the steps
 * whose names have the word. The machine must reach the addresses of Services: a node of the cluster, or
 * a cluster on this machine. `--next-image TAG` is what the image is upgraded to on a cluster of KUBECONFIG.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import { handOvers } from '@tributary/e2e/cluster/partition-events'
import { ControlledScaling, SMALL_MEMORY } from '@tributary/e2e/kubernetes/controlled-scaling'
import { DisruptionLoad } from '@tributary/e2e/kubernetes/disruption-load'
import { disruptions, SpreadRelease } from '@tributary/e2e/kubernetes/disruptions'
import { KubernetesCluster } from '@tributary/e2e/kubernetes/kubernetes-cluster'
import { PodWatch } from '@tributary/e2e/kubernetes/pod-watch'
import { figuresOf, stepTable, type Step } from '@tributary/e2e/kubernetes/step-table'
import { proveStored } from '@tributary/e2e/kubernetes/stored-proof'
import { Trial } from '@tributary/e2e/kubernetes/trial'

const NAMESPACE = 'tributary-disrupted'
const START_TIMEOUT_MS = 30_000
const DRAIN_TIMEOUT_MS = 120_000
const ITEMS_MAX = 40

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '3' },
    clients: { type: 'string', default: '6' },
    rate: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true, default: [] },
    'next-image': { type: 'string' },
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
let watch: PodWatch | undefined
try {
  await cluster.createNamespace(NAMESPACE)
  watch = PodWatch.start(cluster, NAMESPACE)
  const release = new SpreadRelease(cluster, NAMESPACE)
  await release.install(SMALL_MEMORY)
  report('installed')
  const seed = Number(values.seed)
  const host = await trial.routerAddress()
  const load = new DisruptionLoad({
    ...{ grpc: `${host}:4317`, http: `${host}:4318`, seed },
    group: {
      clients: Number(values.clients),
      ratePerSecond: Number(values.rate),
      itemsMax: ITEMS_MAX,
    },
  })
  const scaling = new ControlledScaling(release, load)
  const nextImageTag = values['next-image'] ?? cluster.nextImageTag
  const planned = [...disruptions(release, nextImageTag), ...scaling.disruptions()].filter(
    ({ name }) => values.only.length === 0 || values.only.some((word) => name.includes(word)),
  )
  await load.start(START_TIMEOUT_MS)
  const steps: Step[] = []
  for (const { name, run } of planned) {
    load.takeWindow()
    const beganMs = Date.now()
    const failure = await run().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
    const step = { name, beganMs, endedMs: Date.now(), failure, ...load.takeWindow() }
    steps.push(step)
    const seconds = String(Math.round((step.endedMs - beganMs) / 1000))
    report(`${name}: ${failure === undefined ? '' : 'NOT FINISHED, '}${seconds} s`)
    if (failure !== undefined) await tell(release)
  }
  const unanswered = await load.finish(DRAIN_TIMEOUT_MS).then(
    () => [],
    (error: unknown) => [String(error)],
  )
  const {
    judgement,
    problems: found,
    ...counts
  } = await proveStored(trial, load.ledger, seed, watch.logs)
  const unseen = watch.logs.length === 0 ? ['no log of an ingester was seen'] : []
  const problems = [...found, ...unanswered, ...unseen]
  const moves = handOvers(watch.logs)
  const figures = steps.map((step) => figuresOf(step, moves, watch?.lives ?? []))
  const totals = load.ledger.totals()
  process.stdout.write(`\n${stepTable(figures)}\n`)
  report(
    `${String(totals.acknowledged)} items acknowledged, ${String(judgement.rows)} rows stored, ` +
      `${String(judgement.violationCount)} violations, ${String(problems.length)} problems; ` +
      `errors ${(load.errorRatio * 100).toFixed(2)} % of tries: ${JSON.stringify(load.answers())}`,
  )
  const { memory } = scaling
  if (memory.samples > 0) report(`memory of the controller: ${JSON.stringify(memory)}`)
  for (const violation of judgement.violations) report(JSON.stringify(violation))
  for (const problem of problems) report(problem)
  if (values.json !== undefined) {
    const answers = load.answers()
    const result = { figures, totals, answers, errorRatio: load.errorRatio, memory, ...counts }
    const text = JSON.stringify({ ...result, judgement, problems }, undefined, 2)
    writeFileSync(values.json, `${text}\n`)
  }
  const isUnfinished = steps.length === 0 || steps.some(({ failure }) => failure !== undefined)
  const isWrong = judgement.violationCount + problems.length > 0 || totals.acknowledged === 0
  process.exitCode = isUnfinished || isWrong ? 1 : 0
} finally {
  await watch?.close()
  await trial.remove()
  await cluster.close()
}

/** How the cluster is after a step that did not finish. */
async function tell(release: SpreadRelease): Promise<void> {
  const where = ['-n', release.namespace, 'get']
  const pods = await cluster.run('kubectl', [...where, 'pods', '-o', 'wide'])
  const events = await cluster.run('kubectl', [
    ...where,
    'events',
    '--field-selector=type=Warning',
    '--sort-by=.lastTimestamp',
  ])
  process.stdout.write(`${pods.stdout}${events.stdout.split('\n').slice(-20).join('\n')}\n`)
}
