/**
 * All faults that a scene allows, shuffled under the seed and drawn one after another: each comes once
 * before any comes again.
 */
import { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { Fault, Scene } from './fault.ts'
import { brokerFaults } from './broker-faults.ts'
import { machineFaults } from './machine-faults.ts'
import { networkFaults } from './network-faults.ts'
import { processFaults } from './process-faults.ts'
import { redisFaults } from './redis-faults.ts'
import { routingFaults } from './routing-faults.ts'
import { storeFaults } from './store-faults.ts'

export interface Obstacle {
  readonly id: string
  readonly name: string
  readonly reason: string
}

export class FaultDeck {
  /** What can't be done here, and why. */
  readonly obstacles: readonly Obstacle[]
  readonly faults: readonly Fault[]
  readonly #random: SeededRandom
  #rest: Fault[] = []

  /** @param names only faults whose name holds one of these; default all */
  constructor(scene: Scene, seed: number, names: readonly string[] = []) {
    this.#random = new SeededRandom(seed)
    const wanted = [
      ...processFaults(),
      ...networkFaults(),
      ...storeFaults(),
      ...redisFaults(),
      ...routingFaults(),
      ...brokerFaults(),
      ...machineFaults(),
    ].filter(({ name }) => names.length === 0 || names.some((part) => name.includes(part)))
    const obstacles: Obstacle[] = []
    this.faults = wanted.filter((fault) => {
      const reason = fault.obstacle?.(scene)
      if (reason !== undefined) obstacles.push({ id: fault.id, name: fault.name, reason })
      return reason === undefined
    })
    this.obstacles = obstacles
    if (this.faults.length === 0) throw new Error('no fault is possible here')
  }

  /** Up to `countMax` faults of different groups, to be done at the same time. */
  draw(countMax: number): Fault[] {
    const drawn: Fault[] = []
    while (drawn.length < countMax) {
      if (this.#rest.length === 0) this.#rest = this.#random.shuffled(this.faults)
      const taken = new Set(drawn.map(({ group }) => group))
      const index = this.#rest.findIndex(({ group }) => !taken.has(group))
      if (index < 0) break
      drawn.push(...this.#rest.splice(index, 1))
    }
    return drawn
  }
}
