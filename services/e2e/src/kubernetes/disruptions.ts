/**
 * What operators do to a cluster while it takes telemetry: pods deleted one by one, a node drained,
 * upgrades of settings and image, scaling, Redis gone and back empty. The dev servers stay on the first
 * node: what they hold goes with their pods.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import type { KubernetesCluster } from './kubernetes-cluster.ts'

const RELEASE = 'tributary'
const SETTLE_MS = 3000
const TIMEOUT = '--timeout=240s'

export interface Disruption {
  readonly name: string
  readonly run: () => Promise<void>
}

/** Installs on all nodes, the dev servers on the first one. */
export async function installSpread(cluster: KubernetesCluster, namespace: string): Promise<void> {
  const nodes = await names(cluster, 'nodes')
  const others = nodes.slice(1)
  for (const node of others) await cluster.kubectl('cordon', node)
  await upgrade(cluster, namespace, 'install', ['router.replicas=0', 'ingester.replicas=0'])
  for (const node of others) await cluster.kubectl('uncordon', node)
  await upgrade(cluster, namespace, 'upgrade')
}

export function disruptions(
  cluster: KubernetesCluster,
  namespace: string,
  nextImageTag: string | undefined,
): Disruption[] {
  const inNamespace = ['-n', namespace]
  const ready = async (): Promise<void> => {
    for (const workload of ['deployment/tributary-router', 'statefulset/tributary-ingester']) {
      await cluster.kubectl(...inNamespace, 'rollout', 'status', workload, TIMEOUT)
    }
  }
  const deletePods = async (component: string): Promise<void> => {
    const selector = `app.kubernetes.io/component=${component}`
    for (const pod of await names(cluster, 'pods', namespace, selector)) {
      await cluster.kubectl(...inNamespace, 'delete', 'pod', pod, TIMEOUT)
      await ready()
      await sleep(SETTLE_MS)
    }
  }
  const scale = async (replicas: number): Promise<void> => {
    const to = `--replicas=${String(replicas)}`
    await cluster.kubectl(...inNamespace, 'scale', 'statefulset/tributary-ingester', to)
    await ready()
    await sleep(SETTLE_MS)
  }
  return [
    { name: 'routers deleted one by one', run: () => deletePods('router') },
    { name: 'ingesters deleted one by one', run: () => deletePods('ingester') },
    { name: 'Redis deleted, back empty', run: () => deletePods('dev-redis') },
    {
      name: 'a node drained',
      run: async () => {
        const node = (await names(cluster, 'nodes')).at(-1)!
        await cluster.kubectl(
          'drain',
          node,
          '--ignore-daemonsets',
          '--delete-emptydir-data',
          TIMEOUT,
        )
        await ready()
        await cluster.kubectl('uncordon', node)
      },
    },
    {
      name: 'settings upgraded',
      run: () => upgrade(cluster, namespace, 'upgrade', ['ingester.settings.flush-interval=6s']),
    },
    ...(nextImageTag === undefined
      ? []
      : [
          {
            name: 'image upgraded',
            run: () => upgrade(cluster, namespace, 'upgrade', [`image.tag=${nextImageTag}`]),
          },
        ]),
    {
      name: 'ingesters scaled 3 -> 1 -> 4 -> 1 -> 3',
      run: async () => {
        for (const replicas of [1, 4, 1, 3]) await scale(replicas)
      },
    },
  ]
}

async function upgrade(
  cluster: KubernetesCluster,
  namespace: string,
  verb: 'install' | 'upgrade',
  values: readonly string[] = [],
): Promise<void> {
  const spread = ['router.replicas=2', 'ingester.replicas=3', ...values]
  const flags = ['-n', namespace, '-f', `${cluster.chart}/values-dev.yaml`, ...cluster.imageFlags]
  const sets = spread.map((value) => `--set=${value}`)
  await cluster.helm(verb, RELEASE, cluster.chart, ...flags, ...sets, '--wait', '--timeout=6m')
}

async function names(
  cluster: KubernetesCluster,
  kind: string,
  namespace?: string,
  selector?: string,
): Promise<string[]> {
  const where = namespace === undefined ? [] : ['-n', namespace]
  const which = selector === undefined ? [] : ['-l', selector]
  const listed = await cluster.kubectl('get', kind, ...where, ...which, '-o', 'name')
  return listed
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.slice(line.indexOf('/') + 1))
    .toSorted()
}
