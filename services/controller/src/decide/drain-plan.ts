/**
 * Which ingesters should give their partitions away because their node is going: those of cordoned
 * nodes, as many at a time as the others can stand, each only for a bounded time. A pure function.
 */

export interface DrainablePod {
  readonly name: string
  readonly uid: string
  readonly node: string
  readonly isTerminating: boolean
  /** It lives as a member of the cluster. */
  readonly isMember: boolean
}

export interface DrainPlanInput {
  readonly pods: readonly DrainablePod[]
  readonly cordonedNodes: ReadonlySet<string>
  /** When the drain of a pod began, monotonic, by its uid: those of now, and those given up. */
  readonly begunMs: ReadonlyMap<string, number>
  readonly holdMs: number
  readonly nowMs: number
}

/** Pods to be drained, the ones that are already first. */
export function planNodeDrains(input: DrainPlanInput): readonly DrainablePod[] {
  const { pods, cordonedNodes, begunMs, holdMs, nowMs } = input
  const living = pods.filter(({ isTerminating, isMember }) => isMember && !isTerminating)
  const candidates = living.filter(({ node, uid }) => {
    if (!cordonedNodes.has(node)) return false
    const sinceMs = begunMs.get(uid)
    return sinceMs === undefined || nowMs - sinceMs < holdMs
  })
  const elsewhere = living.filter(({ node }) => !cordonedNodes.has(node)).length
  // one that works must be left; while all nodes are cordoned half of them go on
  const most =
    elsewhere > 0 ? Math.max(1, Math.floor(living.length / 2)) : Math.floor(living.length / 2)
  return candidates
    .toSorted((left, right) => {
      const [first, second] = [left, right].map(({ uid }) => begunMs.get(uid) ?? Infinity)
      if (first !== second) return first! < second! ? -1 : 1
      return left.name < right.name ? -1 : 1
    })
    .slice(0, Math.min(most, living.length - 1))
}
