/** Ends or stops the process that comes by a failpoint: any, or a certain one, now or after some others. */
import { hookFailpoints } from '@tributary/common/failpoint'
import { runningProcess, type SimulatedProcess } from './simulated-process.ts'
import type { World } from './world.ts'

export interface AmbushActs {
  /** kill -9. */
  readonly kill: (process: SimulatedProcess) => void
  /** SIGSTOP, and SIGCONT later. */
  readonly freeze: (process: SimulatedProcess) => void
}

interface Ambush {
  /** Failpoints until it happens. */
  left: number
  /** Undefined: all count. */
  readonly point: string | undefined
  readonly isFreeze: boolean
}

const NEVER = new Promise<never>(() => undefined)

export class Ambushes {
  readonly #world: World
  readonly #points: readonly string[]
  readonly #acts: AmbushActs
  #ambush: Ambush | undefined

  constructor(world: World, points: readonly string[], acts: AmbushActs) {
    this.#world = world
    this.#points = points
    this.#acts = acts
  }

  begin(): void {
    hookFailpoints(this.#points, (name) => this.#onFailpoint(name))
  }

  lay(isFreeze: boolean): void {
    const { random } = this.#world
    const point = random.chance(0.6) ? random.pick(this.#points) : undefined
    const left = 1 + random.below(point === undefined ? 25 : 3)
    this.#ambush = { left, point, isFreeze }
  }

  clear(): void {
    this.#ambush = undefined
  }

  #onFailpoint(name: string): void | Promise<void> {
    const ambush = this.#ambush
    const process = runningProcess()
    if (ambush === undefined || process?.isAlive !== true) return undefined
    if (ambush.point !== undefined && ambush.point !== name) return undefined
    if (--ambush.left > 0) return undefined
    this.#ambush = undefined
    this.#world.note(`* ${process.name} ${ambush.isFreeze ? 'freezes' : 'ends'} at ${name}`)
    if (ambush.isFreeze) {
      this.#acts.freeze(process)
      return process.running()
    }
    this.#acts.kill(process)
    return NEVER
  }
}
