/**
 * The clock of one process among several in a simulation. After `crash`, the kill -9 of that process,
 * none of its timers fires and none of its sleeps ends: what it was doing just stops. `freeze` is its
 * SIGSTOP: timers that come due wait for `thaw`.
 */
import type { Clock, Timer } from '../clock.ts'
import { sleepWith } from '../clock.ts'

export class ProcessClock implements Clock {
  readonly #clock: Clock
  #hasCrashed = false
  /** What came due while the process was stopped, in order. */
  #overdue: (() => void)[] | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  crash(): void {
    this.#hasCrashed = true
    this.#overdue = undefined
  }

  freeze(): void {
    this.#overdue ??= []
  }

  thaw(): void {
    const overdue = this.#overdue ?? []
    this.#overdue = undefined
    for (const callback of overdue) this.#run(callback)
  }

  nowUnixMs(): number {
    return this.#clock.nowUnixMs()
  }

  nowUnixNano(): bigint {
    return this.#clock.nowUnixNano()
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs()
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return sleepWith(signal, (wake) => {
      const timer = this.after(durationMs, wake)
      return () => {
        timer.cancel()
      }
    })
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#guarded((run) => this.#clock.after(delayMs, run), callback)
  }

  every(intervalMs: number, callback: () => void): Timer {
    return this.#guarded((run) => this.#clock.every(intervalMs, run), callback)
  }

  #guarded(start: (run: () => void) => Timer, callback: () => void): Timer {
    let isCancelled = false
    const guarded = (): void => {
      if (!isCancelled) callback()
    }
    const timer = start(() => {
      this.#run(guarded)
    })
    return {
      cancel: () => {
        isCancelled = true
        timer.cancel()
      },
    }
  }

  #run(callback: () => void): void {
    if (this.#hasCrashed) return
    if (this.#overdue !== undefined) this.#overdue.push(callback)
    else callback()
  }
}
