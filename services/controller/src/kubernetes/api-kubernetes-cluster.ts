/** The API server behind the port: three copies that follow it, and calls for what is to be changed. */
import { randomBytes } from 'node:crypto'
import { AppsV1Api, CoreV1Api } from '@kubernetes/client-node'
import type { V1Node, V1Pod, V1StatefulSet } from '@kubernetes/client-node'
import type { Clock } from '@tributary/common/clock'
import type { Logger } from '@tributary/common/logger'
import type {
  KubernetesCluster,
  KubernetesEvent,
  PodState,
  StatefulSetState,
} from './kubernetes-cluster.ts'
import { callKubernetes, type KubernetesConnection } from './kubernetes-connection.ts'
import { ResourceMirror } from './resource-mirror.ts'

export interface ApiKubernetesClusterOptions {
  readonly connection: KubernetesConnection
  readonly statefulSet: string
  /** Name of the process that Events come from. */
  readonly instance: string
  /** Nodes are not asked for where nobody needs them: that takes a right on the whole cluster. */
  readonly readsNodes: boolean
  readonly clock: Clock
  readonly logger: Logger
  readonly onRestart: () => void
}

const COMPONENT = 'tributary-controller'

export class ApiKubernetesCluster implements KubernetesCluster {
  readonly #options: ApiKubernetesClusterOptions
  readonly #apps: AppsV1Api
  readonly #core: CoreV1Api
  readonly #sets: ResourceMirror<V1StatefulSet>
  readonly #nodes: ResourceMirror<V1Node> | undefined
  /** Made once the StatefulSet has said which pods are its own. */
  #pods: { readonly labels: string; readonly mirror: ResourceMirror<V1Pod> } | undefined

  constructor(options: ApiKubernetesClusterOptions) {
    this.#options = options
    const { connection, statefulSet, readsNodes } = options
    const { namespace } = connection
    this.#apps = connection.client(AppsV1Api)
    this.#core = connection.client(CoreV1Api)
    // by name alone: the right to list and watch can then be one on this object
    const fieldSelector = `metadata.name=${statefulSet}`
    this.#sets = this.#mirror(`/apis/apps/v1/namespaces/${namespace}/statefulsets`, {
      selector: { field: fieldSelector },
      list: () => this.#apps.listNamespacedStatefulSet({ namespace, fieldSelector }),
    })
    const cordoned = 'spec.unschedulable=true'
    this.#nodes = readsNodes
      ? this.#mirror('/api/v1/nodes', {
          selector: { field: cordoned },
          list: () => this.#core.listNode({ fieldSelector: cordoned }),
        })
      : undefined
  }

  start(): void {
    this.#sets.start()
    this.#nodes?.start()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#sets.stop(), this.#nodes?.stop(), this.#pods?.mirror.stop()])
  }

  get isSynced(): boolean {
    const set = this.#set
    if (!this.#sets.isSynced || this.#nodes?.isSynced === false) return false
    return set === undefined || this.#podsOf(set).isSynced
  }

  get statefulSet(): StatefulSetState | undefined {
    const set = this.#set
    if (set === undefined) return undefined
    return {
      name: this.#options.statefulSet,
      uid: set.metadata?.uid ?? '',
      replicas: set.spec?.replicas ?? 1,
      ordinalStart: set.spec?.ordinals?.start ?? 0,
    }
  }

  get pods(): readonly PodState[] {
    const set = this.#set
    if (set === undefined) return []
    return this.#podsOf(set).objects.flatMap(({ metadata, spec }) => {
      const isOurs =
        metadata?.ownerReferences?.some(({ uid }) => uid === set.metadata?.uid) === true
      if (!isOurs) return []
      return {
        name: metadata.name ?? '',
        uid: metadata.uid ?? '',
        node: spec?.nodeName ?? '',
        isTerminating: metadata.deletionTimestamp !== undefined,
      }
    })
  }

  get cordonedNodes(): ReadonlySet<string> {
    const nodes = this.#nodes?.objects ?? []
    return new Set(nodes.flatMap(({ metadata }) => metadata?.name ?? []))
  }

  async scale(from: number, to: number): Promise<void> {
    const { connection, statefulSet: name } = this.#options
    const { namespace } = connection
    const path = '/spec/replicas'
    const body = [
      { op: 'test', path, value: from },
      { op: 'replace', path, value: to },
    ]
    await callKubernetes(`scale ${name}`, () => {
      return this.#apps.patchNamespacedStatefulSetScale({ name, namespace, body })
    })
  }

  async tell({ type, reason, message }: KubernetesEvent): Promise<void> {
    const { connection, statefulSet: name, clock, instance } = this.#options
    const { namespace } = connection
    const at = new Date(clock.nowUnixMs())
    await callKubernetes('create an event', () =>
      this.#core.createNamespacedEvent({
        namespace,
        body: {
          metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
          involvedObject: {
            ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', name, namespace },
            ...(this.#set?.metadata?.uid === undefined ? {} : { uid: this.#set.metadata.uid }),
          },
          ...{ type, reason, message, firstTimestamp: at, lastTimestamp: at, count: 1 },
          source: { component: COMPONENT },
          reportingComponent: COMPONENT,
          reportingInstance: instance,
        },
      }),
    )
  }

  get #set(): V1StatefulSet | undefined {
    return this.#sets.objects[0]
  }

  /** The pods that the StatefulSet selects; its selector can not change, but it can be made anew. */
  #podsOf(set: V1StatefulSet): ResourceMirror<V1Pod> {
    const labels = Object.entries(set.spec?.selector.matchLabels ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join(',')
    if (this.#pods?.labels === labels) return this.#pods.mirror
    void this.#pods?.mirror.stop()
    const { namespace } = this.#options.connection
    const mirror: ResourceMirror<V1Pod> = this.#mirror(`/api/v1/namespaces/${namespace}/pods`, {
      selector: { label: labels },
      list: () => this.#core.listNamespacedPod({ namespace, labelSelector: labels }),
    })
    mirror.start()
    this.#pods = { labels, mirror }
    return mirror
  }

  #mirror<Kind extends V1StatefulSet | V1Pod | V1Node>(
    path: string,
    how: Pick<ConstructorParameters<typeof ResourceMirror<Kind>>[0], 'selector' | 'list'>,
  ): ResourceMirror<Kind> {
    const { connection, clock, logger, onRestart } = this.#options
    return new ResourceMirror<Kind>({ path, ...how, connection, clock, logger, onRestart })
  }
}
