/**
 * Copies, writes and the Lease against the API server of KUBECONFIG: a real one, alone or with a cluster
 * behind it. Nothing here needs a pod to run.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, isIP, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import { AppsV1Api, CoordinationV1Api, CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import type { V1StatefulSet } from '@kubernetes/client-node'
import { systemClock } from '@tributary/common/clock'
import { testKubernetes } from '@tributary/common/config/config'
import { createLogger } from '@tributary/common/logger'

import { ApiKubernetesCluster } from '../../src/kubernetes/api-kubernetes-cluster.ts'
import { ApiLeaseStore } from '../../src/kubernetes/api-lease-store.ts'
import { KubernetesConnection } from '../../src/kubernetes/kubernetes-connection.ts'
import { LeaderElection } from '../../src/kubernetes/leader-election.ts'

const NAMESPACE = `controller-${Date.now().toString(36)}`
const SET = 'x-ingester'
const NODE = `${NAMESPACE}-node`
const LABELS = { app: 'x-ingester' }
const logger = createLogger({ name: 'test', level: 'silent' })
const clock = systemClock

const POD = {
  nodeSelector: { 'no-node-has': 'this' },
  containers: [{ name: 'x', image: 'localhost/none:1' }],
}

/** The way to the API server, which can be cut. */
class Gate {
  isShut = false
  readonly port: number
  readonly #server: ReturnType<typeof createServer>
  readonly #sockets = new Set<Socket>()

  private constructor(server: ReturnType<typeof createServer>, host: string, port: number) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    server.on('connection', (client) => {
      if (this.isShut) {
        client.resetAndDestroy()
        return
      }
      const target = connect(port, host)
      for (const [from, to] of [
        [client, target],
        [target, client],
      ] as const) {
        this.#sockets.add(from)
        from.pipe(to)
        from.on('error', () => to.destroy())
        from.on('close', () => {
          this.#sockets.delete(from)
          to.destroy()
        })
      }
    })
  }

  static async open(host: string, port: number): Promise<Gate> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Gate(server, host, port)
  }

  shut(): void {
    this.isShut = true
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async close(): Promise<void> {
    this.shut()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 300; turn++) {
    if (await isSo()) return
    await sleep(100)
  }
  assert.fail(`not within 30 s: ${what}`)
}

void describe('the API server', () => {
  let folder: string
  let proxy: Gate
  let connection: KubernetesConnection
  let apps: AppsV1Api
  let core: CoreV1Api
  let restarts = 0

  before(async () => {
    const { kubeconfig } = testKubernetes()
    assert.ok(kubeconfig !== undefined, 'set KUBECONFIG to a file that names a cluster')
    const direct = new KubernetesConnection({ kubeconfig, namespace: NAMESPACE })
    const server = new URL(direct.config.getCurrentCluster()!.server)
    proxy = await Gate.open(server.hostname, Number(server.port || 443))
    folder = await mkdtemp(join(tmpdir(), 'tributary-kubernetes-'))
    const file = join(folder, 'kubeconfig')
    await writeFile(file, throughProxy(await readFile(kubeconfig, 'utf8'), proxy.port))
    connection = new KubernetesConnection({ kubeconfig: file, namespace: NAMESPACE })
    apps = direct.client(AppsV1Api)
    core = direct.client(CoreV1Api)
    await core.createNamespace({ body: { metadata: { name: NAMESPACE } } })
    await apps.createNamespacedStatefulSet({ namespace: NAMESPACE, body: setOf(2) })
    await core.createNode({ body: { metadata: { name: NODE } } })
  })

  after(async () => {
    await core.deleteNode({ name: NODE })
    await core.deleteNamespace({ name: NAMESPACE })
    await proxy.close()
    await rm(folder, { recursive: true, force: true })
  })

  function open(): ApiKubernetesCluster {
    const cluster = new ApiKubernetesCluster({
      ...{ connection, statefulSet: SET, instance: 'test', readsNodes: true, clock, logger },
      onRestart: () => {
        restarts++
      },
    })
    cluster.start()
    return cluster
  }

  void it('shows the StatefulSet, its pods and cordoned nodes, and follows them', async () => {
    const cluster = open()
    try {
      await until('synced', () => cluster.isSynced)
      assert.equal(cluster.statefulSet?.replicas, 2)
      const { uid } = cluster.statefulSet
      const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: SET, uid }
      const metadata = { name: 'x-ingester-own', labels: LABELS, ownerReferences: [owner] }
      await core.createNamespacedPod({ namespace: NAMESPACE, body: { metadata, spec: POD } })
      const stray = { name: 'x-stray', labels: LABELS }
      await core.createNamespacedPod({ namespace: NAMESPACE, body: { metadata: stray, spec: POD } })
      const names = (): string[] => cluster.pods.map(({ name }) => name)
      await until('pod', () => names().includes('x-ingester-own'))
      assert.ok(!names().includes('x-stray'), 'of another owner')
      await core.deleteNamespacedPod({ name: 'x-ingester-own', namespace: NAMESPACE })
      await until('no pod', () => !names().includes('x-ingester-own'))

      assert.ok(!cluster.cordonedNodes.has(NODE))
      const cordon = (value: boolean): Promise<unknown> =>
        connection.client(CoreV1Api).patchNode({
          name: NODE,
          body: [{ op: 'add', path: '/spec/unschedulable', value }],
        })
      await cordon(true)
      await until('cordoned', () => cluster.cordonedNodes.has(NODE))
      await cordon(false)
      await until('uncordoned', () => !cluster.cordonedNodes.has(NODE))
    } finally {
      await cluster.stop()
    }
  })

  void it('sets a number only over the one that was decided about, and tells why', async () => {
    const cluster = open()
    try {
      await until('synced', () => cluster.isSynced)
      await cluster.scale(2, 3)
      await until('seen', () => cluster.statefulSet?.replicas === 3)
      await assert.rejects(cluster.scale(2, 1), { code: 'kubernetes_unavailable' })
      const live = await apps.readNamespacedStatefulSet({ name: SET, namespace: NAMESPACE })
      assert.equal(live.spec?.replicas, 3)
      await cluster.tell({ type: 'Normal', reason: 'ScaledOut', message: 'from 2 to 3' })
      const fieldSelector = `involvedObject.name=${SET},reason=ScaledOut`
      const { items } = await core.listNamespacedEvent({ namespace: NAMESPACE, fieldSelector })
      assert.deepEqual(
        items.map(({ message, involvedObject }) => [message, involvedObject.kind]),
        [['from 2 to 3', 'StatefulSet']],
      )
    } finally {
      await cluster.stop()
    }
  })

  void it('is followed again after it could not be reached', async () => {
    const cluster = open()
    try {
      await until('synced', () => cluster.isSynced)
      const before = restarts
      proxy.shut()
      await apps.replaceNamespacedStatefulSet({ name: SET, namespace: NAMESPACE, body: setOf(5) })
      await until('restart', () => restarts > before)
      assert.equal(cluster.statefulSet?.replicas, 3, 'what was seen last stays')
      await assert.rejects(cluster.scale(5, 6), { code: 'kubernetes_unavailable' })
      proxy.isShut = false
      await until('seen', () => cluster.statefulSet?.replicas === 5)
    } finally {
      proxy.isShut = false
      await cluster.stop()
    }
  })

  void it('gives the Lease to one of two, and to the other one at once when it stops', async () => {
    const elect = (identity: string): LeaderElection => {
      const store = new ApiLeaseStore(connection, 'x-controller')
      const durationMs = 6000
      return new LeaderElection({ identity, store, clock, logger, durationMs, random: Math.random })
    }
    const [first, second] = [elect('first'), elect('second')]
    first.start()
    await until('first', () => first.isLeader)
    second.start()
    await sleep(8000)
    assert.deepEqual([first.isLeader, second.isLeader], [true, false])
    const stopped = Date.now()
    await first.stop()
    await until('second', () => second.isLeader)
    assert.ok(Date.now() - stopped < 4000, 'nobody waited for it to expire')
    const lease = await connection
      .client(CoordinationV1Api)
      .readNamespacedLease({ name: 'x-controller', namespace: NAMESPACE })
    assert.equal(lease.spec?.holderIdentity, 'second')
    assert.equal(lease.spec?.leaseTransitions, 1)
    // cut off: it stops acting before the lease could be another's
    proxy.shut()
    const cutAt = Date.now()
    await until('lost', () => !second.isLeader)
    proxy.isShut = false
    assert.ok(Date.now() - cutAt < 6000)
    assert.equal(second.term.aborted, true)
    await second.stop()
  })

  void it('writes a Lease only over the version that was read', async () => {
    const [one, two] = [1, 2].map(() => new ApiLeaseStore(connection, 'x-race'))
    const record = {
      ...{ holder: 'one', durationSeconds: 15, transitions: 0 },
      ...{ acquiredUnixMs: Date.now(), renewedUnixMs: Date.now() },
    }
    assert.equal(await one!.read(), undefined)
    const version = await one!.write(record, undefined)
    assert.ok(version !== undefined)
    assert.equal(await two!.write({ ...record, holder: 'two' }, undefined), undefined)
    const next = await two!.write({ ...record, holder: 'two' }, version)
    assert.ok(next !== undefined)
    assert.equal(await one!.write(record, version), undefined)
    const stored = await one!.read()
    assert.deepEqual(
      { ...stored },
      { ...record, holder: 'two', resourceVersion: next },
      'times come back to the millisecond',
    )
  })
})

function setOf(replicas: number): V1StatefulSet {
  return {
    metadata: { name: SET },
    spec: {
      replicas,
      serviceName: SET,
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: LABELS },
      template: { metadata: { labels: LABELS }, spec: POD },
    },
  }
}

/** The same cluster at another address, which its certificate does not name. */
function throughProxy(text: string, port: number): string {
  const config = new KubeConfig()
  config.loadFromString(text)
  const cluster = config.getCurrentCluster()!
  const { hostname } = new URL(cluster.server)
  const { name, caData, caFile, skipTLSVerify } = cluster
  const server = `https://127.0.0.1:${String(port)}`
  // an address can not be asked for by name: what the certificate says of it does not count here
  const trust = isIP(hostname) === 0 ? { tlsServerName: hostname, caData, caFile } : {}
  const isTrusted = skipTLSVerify || isIP(hostname) !== 0
  config.clusters = [{ name, server, ...trust, skipTLSVerify: isTrusted }]
  return config.exportConfig()
}
