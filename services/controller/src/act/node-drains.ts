/** Remembers which pods are drained because of their node, since when, and which were given up. */
import type { Clock } from '@tributary/common/clock'
import type { Logger } from '@tributary/common/logger'
import { planNodeDrains, type DrainablePod } from '../decide/drain-plan.ts'

export interface NodeDrainsOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly holdMs: number
}

export interface NodeDrain extends DrainablePod {
  /** Wanted since this look. */
  readonly isNew: boolean
}

export class NodeDrains {
  readonly #options: NodeDrainsOptions
  #begunMs = new Map<string, number>()
  readonly #givenUp = new Set<string>()

  constructor(options: NodeDrainsOptions) {
    this.#options = options
  }

  plan(pods: readonly DrainablePod[], cordonedNodes: ReadonlySet<string>): readonly NodeDrain[] {
    const { clock, holdMs, logger } = this.#options
    const nowMs = clock.monotonicMs()
    // a pod that came back, or whose node did, begins anew next time
    const onCordoned = new Set(
      pods.filter(({ node }) => cordonedNodes.has(node)).map(({ uid }) => uid),
    )
    this.#begunMs = new Map([...this.#begunMs].filter(([uid]) => onCordoned.has(uid)))
    const begunMs = this.#begunMs
    const planned = planNodeDrains({ pods, cordonedNodes, begunMs, holdMs, nowMs })
    const drains = planned.map((pod) => ({ ...pod, isNew: !begunMs.has(pod.uid) }))
    for (const { uid, isNew } of drains) if (isNew) begunMs.set(uid, nowMs)
    for (const { uid, name, node } of pods) {
      const isOver = begunMs.has(uid) && !planned.some((pod) => pod.uid === uid)
      if (!isOver) this.#givenUp.delete(uid)
      else if (!this.#givenUp.has(uid)) {
        this.#givenUp.add(uid)
        logger.warn(
          { ingester: name, node, holdMs },
          'not evicted in time, or too few others work: it takes partitions again',
        )
      }
    }
    return drains
  }

  forget(): void {
    this.#begunMs.clear()
    this.#givenUp.clear()
  }
}
