/**
 * One process among several in a simulation: a clock, a gate that its answers wait at while it is
 * stopped (SIGSTOP), and its end (kill -9). Which process a line of code runs for follows from the
 * async context, so that a failpoint can end the one that came by.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock, Timer } from '@tributary/common/clock'
import { sleepWith } from '@tributary/common/clock'
import { ProcessClock } from '@tributary/common/testing/process-clock'

const running = new AsyncLocalStorage<SimulatedProcess>()

/** The process that the calling code belongs to; undefined for clients, log, store and leases. */
export function runningProcess(): SimulatedProcess | undefined {
  return running.getStore()
}

export class SimulatedProcess {
  readonly name: string
  readonly clock: SimulatedClock
  readonly #ends: (() => void)[] = []
  #isAlive = true
  #thawed: PromiseWithResolvers<void> | undefined
  /** Calls that came in while it was stopped, in order. */
  #overdue: (() => void)[] = []

  constructor(name: string, worldClock: Clock) {
    this.name = name
    this.clock = new SimulatedClock(worldClock, this)
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  get isFrozen(): boolean {
    return this.#thawed !== undefined
  }

  /** Runs code of this process. */
  run<T>(code: () => T): T {
    return running.run(this, code)
  }

  /** What comes in from outside: later while it stands still, never once it has ended. */
  receive(call: () => void): void {
    if (!this.#isAlive) return
    if (this.#thawed !== undefined) this.#overdue.push(call)
    else this.run(call)
  }

  /** The answer of a call, read as soon as the process runs. */
  async answerOf<T>(call: Promise<T>): Promise<T> {
    try {
      return await call
    } finally {
      while (this.#thawed !== undefined) await this.#thawed.promise
      if (!this.#isAlive) await NEVER
    }
  }

  onEnd(act: () => void): void {
    this.#ends.push(act)
  }

  /** kill -9: nothing of it happens any more but what is on its way outside. */
  end(): void {
    if (!this.#isAlive) return
    this.#isAlive = false
    this.clock.process.crash()
    for (const act of this.#ends) act()
  }

  freeze(): void {
    if (!this.#isAlive || this.#thawed !== undefined) return
    this.#thawed = Promise.withResolvers()
    this.clock.process.freeze()
  }

  thaw(): void {
    const thawed = this.#thawed
    if (thawed === undefined) return
    this.#thawed = undefined
    if (!this.#isAlive) return
    thawed.resolve()
    this.run(() => {
      this.clock.process.thaw()
    })
    for (const call of this.#overdue.splice(0)) this.receive(call)
  }

  /** Resolves when it runs, never once it has ended. */
  async running(): Promise<void> {
    while (this.#thawed !== undefined) await this.#thawed.promise
    if (!this.#isAlive) await NEVER
  }
}

const NEVER = new Promise<never>(() => undefined)

/** The clock of a process: its timers run as this process, its wall clock can be wrong. */
class SimulatedClock implements Clock {
  readonly process: ProcessClock
  readonly #owner: SimulatedProcess
  /** How far its wall clock is off, milliseconds. */
  wallOffsetMs = 0

  constructor(worldClock: Clock, owner: SimulatedProcess) {
    this.process = new ProcessClock(worldClock)
    this.#owner = owner
  }

  nowUnixMs(): number {
    return this.process.nowUnixMs() + this.wallOffsetMs
  }

  nowUnixNano(): bigint {
    return this.process.nowUnixNano() + BigInt(this.wallOffsetMs) * 1_000_000n
  }

  monotonicMs(): number {
    return this.process.monotonicMs()
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return sleepWith(signal, (wake) => {
      const timer = this.process.after(durationMs, wake)
      return () => {
        timer.cancel()
      }
    })
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.process.after(delayMs, () => {
      this.#owner.run(callback)
    })
  }

  every(intervalMs: number, callback: () => void): Timer {
    return this.process.every(intervalMs, () => {
      this.#owner.run(callback)
    })
  }
}
