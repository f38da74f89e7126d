/**
 * A StatefulSet with its pods in memory. Pods are started and stopped by whoever uses it, as a kubelet
 * does; what is written is seen after a moment, as a watch sees it.
 */
import type { Clock } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'
import type {
  KubernetesCluster,
  KubernetesEvent,
  PodState,
  StatefulSetState,
} from '../kubernetes/kubernetes-cluster.ts'

export interface MemoryKubernetesOptions {
  readonly clock: Clock
  readonly name: string
  readonly replicas: number
  /** Starts the process of a pod. */
  readonly startPod: (pod: PodState) => void
  /** Ends it, and resolves when it has ended. */
  readonly stopPod: (pod: PodState) => Promise<void>
}

/** Between a write and what the API server's watches show. */
const SEEN_AFTER_MS = 300
const START_MS = 1500

export class MemoryKubernetes implements KubernetesCluster {
  readonly events: KubernetesEvent[] = []
  /** Every number written, by controllers and people. */
  readonly written: number[] = []
  readonly cordonedNodes = new Set<string>()
  isSynced = true
  /** Calls fail while it is. */
  isAway = false
  readonly #options: MemoryKubernetesOptions
  #replicas: number
  #seenReplicas: number
  #pods: PodState[] = []
  #uids = 0

  constructor(options: MemoryKubernetesOptions) {
    this.#options = options
    this.#replicas = options.replicas
    this.#seenReplicas = options.replicas
    this.#reconcile()
  }

  get statefulSet(): StatefulSetState {
    const { name } = this.#options
    return { name, uid: 'set', replicas: this.#seenReplicas, ordinalStart: 0 }
  }

  get pods(): readonly PodState[] {
    return this.#pods
  }

  scale(from: number, to: number): Promise<void> {
    if (this.isAway || from !== this.#replicas) {
      return Promise.reject(new AppError('kubernetes_unavailable', 'away, or changed meanwhile'))
    }
    this.set(to)
    return Promise.resolve()
  }

  tell(event: KubernetesEvent): Promise<void> {
    if (this.isAway) return Promise.reject(new AppError('kubernetes_unavailable', 'away'))
    this.events.push(event)
    return Promise.resolve()
  }

  /** kubectl scale. */
  set(replicas: number): void {
    this.#replicas = replicas
    this.written.push(replicas)
    this.#options.clock.after(SEEN_AFTER_MS, () => {
      this.#seenReplicas = replicas
      this.#reconcile()
    })
  }

  /** kubectl drain, of one pod: it comes back on another node. */
  evict(name: string): void {
    const pod = this.#pods.find((each) => each.name === name && !each.isTerminating)
    if (pod !== undefined) this.#end(pod)
  }

  #reconcile(): void {
    const { name } = this.#options
    for (const pod of this.#pods) {
      const ordinal = Number(pod.name.slice(name.length + 1))
      if (ordinal >= this.#replicas && !pod.isTerminating) this.#end(pod)
    }
    for (let ordinal = 0; ordinal < this.#replicas; ordinal++) {
      const podName = `${name}-${String(ordinal)}`
      if (!this.#pods.some((pod) => pod.name === podName)) this.#begin(podName)
    }
  }

  #begin(name: string): void {
    const uid = `uid-${String(this.#uids++)}`
    const nodes = ['a', 'b', 'c'].filter((node) => !this.cordonedNodes.has(node))
    const node = nodes[this.#uids % nodes.length]!
    const pod = { name, uid, node, isTerminating: false }
    this.#pods.push(pod)
    this.#options.clock.after(START_MS, () => {
      if (this.#pods.includes(pod)) this.#options.startPod(pod)
    })
  }

  #end(pod: PodState): void {
    const ending = { ...pod, isTerminating: true }
    this.#pods = this.#pods.map((each) => (each === pod ? ending : each))
    const gone = (): void => {
      this.#pods = this.#pods.filter((each) => each !== ending)
      this.#reconcile()
    }
    this.#options.stopPod(ending).then(gone, gone)
  }
}
