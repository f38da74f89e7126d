/**
 * The controller on a real cluster, left alone: the load is raised until it has started four ingesters, and
 * lowered until one is left. Rows in memory are what presses: an ingester takes more rows per second
 * than clients that keep a ledger make, so its memory is made small.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import type { ClientGroup, DisruptionLoad } from './disruption-load.ts'
import type { Disruption, SpreadRelease } from './disruptions.ts'

const SCALED_TIMEOUT_MS = 300_000
const ANSWER_TIMEOUT_MS = 120_000
const POLL_MS = 1000

/** Of ingesters, from the install on: they are not restarted when the controller comes. */
export const SMALL_MEMORY: Readonly<Record<string, string>> = {
  'ingester.settings.flush-interval': '10s',
  'ingester.settings.memtable-bytes-max': '16MiB',
  'ingester.settings.flush-bytes': '8MiB',
}

/** Minutes of its defaults as seconds. */
const CONTROLLER: Readonly<Record<string, string>> = {
  'controller.enabled': 'true',
  'controller.minReplicas': '1',
  'controller.maxReplicas': '4',
  'controller.settings.observe-interval': '1s',
  'controller.settings.memory-percent-max': '28',
  'controller.settings.busy-percent-max': '90',
  'controller.settings.scale-out-delay': '2s',
  'controller.settings.scale-out-interval': '15s',
  'controller.settings.scale-in-cool-down': '15s',
}

/** 8,700 items per second, beside what is sent anyway. */
const RAISED: ClientGroup = { clients: 6, ratePerSecond: 12, itemsMax: 240 }

/** What was seen of the controller's pods. */
export interface ControllerMemory {
  /** Resident, as the process counts it, and what its limit counts; the most of each. */
  residentBytesMax: number
  workingSetBytesMax: number
  samples: number
}

export class ControlledScaling {
  readonly memory: ControllerMemory = { residentBytesMax: 0, workingSetBytesMax: 0, samples: 0 }
  readonly #release: SpreadRelease
  readonly #load: DisruptionLoad

  constructor(release: SpreadRelease, load: DisruptionLoad) {
    this.#release = release
    this.#load = load
  }

  disruptions(): Disruption[] {
    return [
      {
        name: 'controller on, it scales to 1',
        run: async () => {
          await this.#release.upgrade(CONTROLLER)
          await this.#until(1)
        },
      },
      {
        name: 'load raised, it scales to 4',
        run: async () => {
          await this.#load.raise(RAISED, ANSWER_TIMEOUT_MS)
          await this.#until(4)
        },
      },
      {
        name: 'load lowered, it scales to 1',
        run: async () => {
          await this.#load.lower(ANSWER_TIMEOUT_MS)
          await this.#until(1)
        },
      },
    ]
  }

  /** @throws Error with the numbers that it went through instead */
  async #until(replicas: number): Promise<void> {
    const path: string[] = []
    const fields = '{.spec.replicas} {.status.replicas} {.status.readyReplicas}'
    const what = ['statefulset/tributary-ingester', '-o', `jsonpath=${fields}`]
    for (
      const deadlineMs = performance.now() + SCALED_TIMEOUT_MS;
      performance.now() < deadlineMs;
    ) {
      const [wanted = '', there, ready] = (await this.#release.kubectl('get', ...what)).split(' ')
      if (path.at(-1) !== wanted) path.push(wanted)
      const isThere = [wanted, there, ready].every((count) => count === String(replicas))
      await this.#measure()
      if (isThere) return
      await sleep(POLL_MS)
    }
    const { stdout } = await this.#release.cluster.run('kubectl', [
      ...['-n', this.#release.namespace, 'logs', '--tail=5', 'deployment/tributary-controller'],
    ])
    throw new Error(
      `ingesters went ${path.join(', ')} instead of to ${String(replicas)}; controller: ${stdout}`,
    )
  }

  async #measure(): Promise<void> {
    const { cluster, namespace } = this.#release
    for (const pod of await this.#release.names('pods', 'controller')) {
      const where = `/api/v1/namespaces/${namespace}/pods/${pod}`
      // a pod that is starting, or has just gone, says nothing
      const metrics = await cluster.run('kubectl', ['get', '--raw', `${where}:9464/proxy/metrics`])
      const [, resident = '0'] = /^process_resident_memory_bytes (\S+)/m.exec(metrics.stdout) ?? []
      const node = await this.#release.kubectl('get', 'pod', pod, '-o', 'jsonpath={.spec.nodeName}')
      const summary = `/api/v1/nodes/${node}/proxy/stats/summary`
      const stats = await cluster.run('kubectl', ['get', '--raw', summary])
      const workingSet = stats.status === 0 ? workingSetOf(stats.stdout, pod) : 0
      const { memory } = this
      memory.residentBytesMax = Math.max(memory.residentBytesMax, Number(resident))
      memory.workingSetBytesMax = Math.max(memory.workingSetBytesMax, workingSet)
      memory.samples++
    }
  }
}

/** Of a pod, from the kubelet's summary. */
function workingSetOf(summary: string, name: string): number {
  interface Summary {
    readonly pods?: readonly {
      readonly podRef: { readonly name: string }
      readonly memory?: { readonly workingSetBytes?: number }
    }[]
  }
  const { pods = [] } = JSON.parse(summary) as Summary
  return pods.find(({ podRef }) => podRef.name === name)?.memory?.workingSetBytes ?? 0
}
