/**
 * The store of leases of a simulation: one Redis, or for a while two that both take writes (a split
 * brain), of which the second one's writes are gone in the end.
 */
import type { Clock } from '@tributary/common/clock'
import { CallLine, FaultyCalls } from '@tributary/common/testing/faulty-calls'
import { MemoryClusterMetadata } from '@tributary/common/testing/memory-cluster-metadata'
import { MemoryClusterState } from '@tributary/common/testing/memory-cluster-state'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'

type Snapshot = ReturnType<MemoryClusterState['snapshot']>

export interface LeaseMastersOptions {
  readonly clock: Clock
  readonly random: SeededRandom
}

export class LeaseMasters {
  readonly state = new MemoryClusterState()
  readonly calls: FaultyCalls
  readonly #random: SeededRandom
  /** What the second master holds, while there is one. */
  #second: Snapshot | undefined

  constructor({ clock, random }: LeaseMastersOptions) {
    this.#random = random
    // a step of time each way, so that others come between
    const travel = (): Promise<void> => clock.sleep(1)
    this.calls = new FaultyCalls({ clock, random, travel })
  }

  get isSplit(): boolean {
    return this.#second !== undefined
  }

  connect(): { readonly metadata: MemoryClusterMetadata; readonly line: SidedLine } {
    const line = new SidedLine(this.calls, this)
    const newId = (): string => this.#random.uint64().toString(16).padStart(16, '0')
    return { metadata: new MemoryClusterMetadata(this.state, line, newId), line }
  }

  split(): void {
    this.#second ??= this.state.snapshot()
  }

  /** One of both is master again; what only the other one had is gone. */
  join(isSecondKept: boolean): void {
    const second = this.#second
    this.#second = undefined
    if (isSecondKept && second !== undefined) this.state.restore(second)
  }

  /** Executes a call on the second master. */
  onSecond<Result>(execute: () => Result): Result {
    if (this.#second === undefined) return execute()
    const first = this.state.snapshot()
    this.state.restore(this.#second)
    try {
      return execute()
    } finally {
      this.#second = this.state.snapshot()
      this.state.restore(first)
    }
  }
}

/** A connection that reaches one of two masters. */
export class SidedLine extends CallLine {
  isOnSecond = false
  readonly #masters: LeaseMasters

  constructor(calls: FaultyCalls, masters: LeaseMasters) {
    super(calls)
    this.#masters = masters
  }

  override call<Result>(execute: (nowMs: number) => Result): Promise<Result> {
    const isOnSecond = this.isOnSecond
    return super.call((nowMs) =>
      isOnSecond ? this.#masters.onSecond(() => execute(nowMs)) : execute(nowMs),
    )
  }
}
