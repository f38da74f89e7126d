/**
 * Controllers beside a local cluster: its ingesters stand as pods of a StatefulSet in an API server that has
 * nothing else. Without an API server controllers ask one that nobody answers for.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { freePort } from '@tributary/common/testing/free-port'

import type { Cluster } from '../cluster/cluster.ts'
import { ApiServer } from '../kubernetes/api-server.ts'
import { NOBODY_KUBECONFIG } from '../kubernetes/nobody-kubeconfig.ts'
import { TributaryProcess } from '../tributary-process.ts'

/** Members of the cluster are `ingester-1` and so on, as its pods would be. */
const STATEFUL_SET = 'ingester'
const LABELS = { app: STATEFUL_SET }
const IMAGE = 'none.invalid/tributary'
const START_TIMEOUT_MS = 60_000
const POLL_MS = 50

export class WatchedControllers {
  readonly #processes: TributaryProcess[] = []
  /** host:port of each. */
  readonly addresses: string[] = []
  /** Undefined where nobody answers. */
  readonly apiServer: ApiServer | undefined

  private constructor(apiServer: ApiServer | undefined) {
    this.apiServer = apiServer
  }

  static async start(
    cluster: Cluster,
    count: number,
    isReal: boolean,
  ): Promise<WatchedControllers> {
    const apiServer = isReal ? await ApiServer.start(cluster.folder) : undefined
    const controllers = new WatchedControllers(apiServer)
    try {
      if (apiServer !== undefined) await makeObjects(apiServer, cluster.ofRole('ingester').length)
      const kubeconfig = apiServer?.kubeconfig ?? (await nobody(cluster.folder))
      for (let n = 1; n <= count; n++) {
        const port = await freePort()
        controllers.addresses.push(`127.0.0.1:${String(port)}`)
        controllers.#processes.push(launch(cluster, `controller-${String(n)}`, port, kubeconfig))
      }
      await Promise.all(controllers.#processes.map(untilWatching))
      return controllers
    } catch (error) {
      await controllers.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.kill()))
    await this.apiServer?.stop()
  }
}

async function nobody(folder: string): Promise<string> {
  const file = join(folder, 'kubeconfig')
  await writeFile(file, JSON.stringify(NOBODY_KUBECONFIG))
  return file
}

function launch(
  { folder, parts }: Cluster,
  name: string,
  port: number,
  kubeconfig: string,
): TributaryProcess {
  return TributaryProcess.spawn({
    role: 'controller',
    logFile: join(folder, 'logs', name),
    flags: [
      ...[`--admin-port=${String(port)}`, '--admin-grpc-port=0', `--member-name=${name}`],
      ...[`--kubeconfig=${kubeconfig}`, `--stateful-set=${STATEFUL_SET}`, '--lease-duration=3s'],
      ...['--observe-interval=500ms', '--replicas-min=1', '--replicas-max=8'],
      `--redis-url=${parts.redis!.master.url}`,
    ],
  })
}

/** It has its ports; ready it is only with a StatefulSet. */
async function untilWatching(controller: TributaryProcess): Promise<void> {
  controller.untilReady(START_TIMEOUT_MS).catch(() => undefined)
  const deadlineMs = performance.now() + START_TIMEOUT_MS
  while (!/"msg":"watching"/.test(controller.log)) {
    if (!controller.isRunning || performance.now() > deadlineMs) {
      throw new Error(`a controller does not start:\n${controller.log}`)
    }
    await sleep(POLL_MS)
  }
}

async function makeObjects(apiServer: ApiServer, ingesters: number): Promise<void> {
  const containers = [{ name: 'tributary', image: IMAGE }]
  const template = { metadata: { labels: LABELS }, spec: { containers } }
  const spec = {
    ...{ replicas: ingesters, ordinals: { start: 1 }, serviceName: STATEFUL_SET },
    ...{ selector: { matchLabels: LABELS }, template },
  }
  const metadata = { name: STATEFUL_SET, namespace: 'default' }
  await apiServer.create([{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata, spec }])
  const path = '-o=jsonpath={.metadata.uid}'
  const uid = await apiServer.kubectl('get', 'statefulset', STATEFUL_SET, path)
  const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: STATEFUL_SET, uid }
  const pods = Array.from({ length: ingesters }, (_, index) => ({
    ...{ apiVersion: 'v1', kind: 'Pod', spec: { containers } },
    metadata: {
      ...{ name: `${STATEFUL_SET}-${String(index + 1)}`, namespace: 'default' },
      ...{ labels: LABELS, ownerReferences: [owner] },
    },
  }))
  await apiServer.create(pods)
}
