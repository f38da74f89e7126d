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
const INGESTERS = 'statefulset/tributary-ingester'

export interface Disruption {
  readonly name: string
  readonly run: () => Promise<void>
}

/** A release on all nodes, the dev servers on the first one. Values that were set once stay set. */
export class SpreadRelease {
  readonly cluster: KubernetesCluster
  readonly namespace: string
  readonly #values = new Map<string, string>()

  constructor(cluster: KubernetesCluster, namespace: string) {
    this.cluster = cluster
    this.namespace = namespace
  }

  /** Installs, and waits until everything is ready. */
  async install(values: Readonly<Record<string, string>>): Promise<void> {
    const { cluster } = this
    const others = (await this.names('nodes')).slice(1)
    for (const node of others) await cluster.kubectl('cordon', node)
    await this.#apply('install', { 'router.replicas': '0', 'ingester.replicas': '0' })
    for (const node of others) await cluster.kubectl('uncordon', node)
    await this.upgrade({ 'router.replicas': '2', 'ingester.replicas': '3', ...values })
  }

  /** Changes values, and waits until everything is ready. */
  upgrade(values: Readonly<Record<string, string>>): Promise<void> {
    return this.#apply('upgrade', values)
  }

  /** Of objects: all of a kind, or those of a component of the release, in order. */
  async names(kind: string, component?: string): Promise<string[]> {
    const which =
      component === undefined
        ? []
        : ['-n', this.namespace, '-l', `app.kubernetes.io/component=${component}`]
    const listed = await this.cluster.kubectl('get', kind, ...which, '-o', 'name')
    return listed
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.slice(line.indexOf('/') + 1))
      .toSorted()
  }

  async untilReady(): Promise<void> {
    for (const workload of ['deployment/tributary-router', INGESTERS]) {
      await this.kubectl('rollout', 'status', workload, TIMEOUT)
    }
  }

  kubectl(...args: string[]): Promise<string> {
    return this.cluster.kubectl('-n', this.namespace, ...args)
  }

  async #apply(
    verb: 'install' | 'upgrade',
    values: Readonly<Record<string, string>>,
  ): Promise<void> {
    for (const [name, value] of Object.entries(values)) this.#values.set(name, value)
    const { chart, imageFlags } = this.cluster
    const sets = [...this.#values].map(([name, value]) => `--set=${name}=${value}`)
    const flags = ['-n', this.namespace, '-f', `${chart}/values-dev.yaml`, ...imageFlags, ...sets]
    await this.cluster.helm(verb, RELEASE, chart, ...flags, '--wait', '--timeout=6m')
  }
}

export function disruptions(
  release: SpreadRelease,
  nextImageTag: string | undefined,
): Disruption[] {
  const deletePods = async (component: string): Promise<void> => {
    for (const pod of await release.names('pods', component)) {
      await release.kubectl('delete', 'pod', pod, TIMEOUT)
      await release.untilReady()
      await sleep(SETTLE_MS)
    }
  }
  const scale = async (replicas: number): Promise<void> => {
    await release.kubectl('scale', INGESTERS, `--replicas=${String(replicas)}`)
    await release.untilReady()
    await sleep(SETTLE_MS)
  }
  return [
    { name: 'routers deleted one by one', run: () => deletePods('router') },
    { name: 'ingesters deleted one by one', run: () => deletePods('ingester') },
    { name: 'Redis deleted, back empty', run: () => deletePods('dev-redis') },
    {
      name: 'a node drained',
      run: async () => {
        const node = (await release.names('nodes')).at(-1)!
        const flags = ['--ignore-daemonsets', '--delete-emptydir-data', TIMEOUT]
        try {
          await release.cluster.kubectl('drain', node, ...flags)
          await release.untilReady()
        } finally {
          await release.cluster.kubectl('uncordon', node)
        }
      },
    },
    {
      name: 'settings upgraded',
      run: () => release.upgrade({ 'ingester.settings.flush-bytes': '7MiB' }),
    },
    ...(nextImageTag === undefined
      ? []
      : [{ name: 'image upgraded', run: () => release.upgrade({ 'image.tag': nextImageTag }) }]),
    {
      name: 'ingesters scaled 3 -> 1 -> 4 -> 1 -> 3',
      run: async () => {
        for (const replicas of [1, 4, 1, 3]) await scale(replicas)
      },
    },
  ]
}
