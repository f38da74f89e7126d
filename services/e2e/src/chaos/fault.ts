/** What a fault of the chaos run is: done to a scene, held for a while, ended, and counted. */
import { setTimeout as sleep } from 'node:timers/promises'

import type { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { Cluster } from '../cluster/cluster.ts'

export interface Scene {
  readonly cluster: Cluster
  /** Longest time for which a fault lasts. */
  readonly holdMsMax: number
}

export interface Fault {
  /** The row of the fault list. */
  readonly id: string
  /** Stands once in a run's table. */
  readonly name: string
  /** Faults of one group are not done at the same time: they would undo each other. */
  readonly group: string
  /** Why it can't be done on this scene; undefined where it can. */
  readonly obstacle?: (scene: Scene) => string | undefined
  /**
   * Does it and ends it; `random` alone decides how.
   * @returns what was done, for the log; '' where it came to nothing and does not count
   */
  readonly run: (scene: Scene, random: SeededRandom) => Promise<string>
}

const HOLD_MS_MIN = 300

/** How long this one lasts. */
export function holdMs({ holdMsMax }: Scene, random: SeededRandom): number {
  return HOLD_MS_MIN + random.below(Math.max(1, holdMsMax - HOLD_MS_MIN))
}

/** Begins something, lets it last, ends it also where waiting fails. @returns how long, for the log */
export async function hold(
  scene: Scene,
  random: SeededRandom,
  end: () => void | Promise<void>,
): Promise<string> {
  const durationMs = holdMs(scene, random)
  try {
    await sleep(durationMs)
  } finally {
    await end()
  }
  return `${String(durationMs)} ms`
}
