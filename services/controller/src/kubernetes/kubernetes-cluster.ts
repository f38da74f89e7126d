/**
 * The port to Kubernetes: the StatefulSet of the ingesters, its pods, cordoned nodes, and the few
 * things a controller does to them. What it shows is a copy that follows the API server.
 */

export interface StatefulSetState {
  readonly name: string
  readonly uid: string
  /** As asked for. */
  readonly replicas: number
  readonly ordinalStart: number
}

export interface PodState {
  readonly name: string
  readonly uid: string
  /** '' before it is scheduled. */
  readonly node: string
  readonly isTerminating: boolean
}

export interface KubernetesEvent {
  readonly type: 'Normal' | 'Warning'
  /** One word in UpperCamelCase. */
  readonly reason: string
  readonly message: string
}

export interface KubernetesCluster {
  /** Whether the copies have been filled. */
  readonly isSynced: boolean
  /** Undefined where there is none. */
  readonly statefulSet: StatefulSetState | undefined
  readonly pods: readonly PodState[]
  readonly cordonedNodes: ReadonlySet<string>
  /**
   * Sets the number of replicas, unless somebody has changed it from `from` meanwhile.
   * @throws AppError kubernetes_unavailable: also where it was changed
   */
  scale(from: number, to: number): Promise<void>
  /** Tells what happened to the StatefulSet, as an Event beside it. @throws AppError kubernetes_unavailable */
  tell(event: KubernetesEvent): Promise<void>
}
