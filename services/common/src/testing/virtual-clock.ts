/**
 * A clock that stands still until it is told to go on: hours of timeouts pass in milliseconds, and
 * the same calls always come in the same order. Between two timers everything that only waits for
 * promises runs to its end; what waits for real files, sockets or threads does not.
 *
 * The wall clock runs along and can be stepped away from the monotonic one, as clocks are.
 */
import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Clock, Timer } from '../clock.ts'
import { sleepWith } from '../clock.ts'
import { toAppError } from '../errors.ts'

interface Due {
  readonly atMs: number
  /** Of two timers of one time the older one goes first. */
  readonly order: number
  readonly callback: () => void
  isCancelled: boolean
}

const START_UNIX_MS = Date.UTC(2026, 0, 1)

export class VirtualClock implements Clock {
  #nowMs = 0
  #wallOffsetMs: number
  #order = 0
  /** A binary heap, the next one first. */
  readonly #heap: Due[] = []
  readonly #timersPerTurn: number

  /**
   * @param timersPerTurn how many timers fire in one turn of the real event loop, each after all that only
   *   waits for promises: a turn costs more than most timers. More than one is for worlds in which nothing
   *   waits for a turn (setImmediate).
   */
  constructor(startUnixMs = START_UNIX_MS, timersPerTurn = 1) {
    this.#wallOffsetMs = startUnixMs
    this.#timersPerTurn = timersPerTurn
  }

  nowUnixMs(): number {
    return Math.floor(this.#nowMs + this.#wallOffsetMs)
  }

  nowUnixNano(): bigint {
    return BigInt(Math.round((this.#nowMs + this.#wallOffsetMs) * 1000)) * 1000n
  }

  monotonicMs(): number {
    return this.#nowMs
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
    const atMs = this.#nowMs + Math.max(0, delayMs)
    const due = { atMs, order: this.#order++, callback, isCancelled: false }
    this.#push(due)
    return {
      cancel: () => {
        due.isCancelled = true
      },
    }
  }

  every(intervalMs: number, callback: () => void): Timer {
    assert.ok(intervalMs > 0)
    const tick = (): void => {
      timer = this.after(intervalMs, tick)
      callback()
    }
    let timer = this.after(intervalMs, tick)
    return {
      cancel: () => {
        timer.cancel()
      },
    }
  }

  /** The wall clock jumps, the monotonic one does not. */
  stepWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs
  }

  /** Lets this much time pass: timers fire in order, each after all that the ones before set off. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs
    await nextTurn()
    while (this.#fireNext(endMs)) await nextTurn()
    this.#nowMs = endMs
  }

  /**
   * Lets time pass until a promise settles, and answers as it does.
   * @throws where nothing settles it within `limitMs` of virtual time
   */
  async run<T>(promise: Promise<T>, limitMs = 3_600_000): Promise<T> {
    let isSettled = false
    const settle = (): void => {
      isSettled = true
    }
    promise.then(settle, settle)
    const endMs = this.#nowMs + limitMs
    await nextTurn()
    while (!isSettled) {
      await this.#turn(endMs, () => isSettled, limitMs)
    }
    return promise
  }

  /** Fires the timers of one turn; those of setImmediate run promises between any two of them. */
  async #turn(endMs: number, isSettled: () => boolean, limitMs: number): Promise<void> {
    const failures: Error[] = []
    let isOver = false
    const fire = (): void => {
      if (isOver || isSettled()) return
      try {
        isOver = !this.#fireNext(endMs)
      } catch (error) {
        isOver = true
        failures.push(error instanceof Error ? error : toAppError(error))
      }
    }
    fire()
    for (let rest = this.#timersPerTurn - 1; rest > 0; rest--) setImmediate(fire)
    await nextTurn()
    const [failure] = failures
    if (failure !== undefined) throw failure
    assert.ok(!isOver || isSettled(), `nothing more happens within ${String(limitMs)} ms`)
  }

  /** Fires the next timer that is due up to `endMs`; false where there is none. */
  #fireNext(endMs: number): boolean {
    for (;;) {
      const due = this.#heap[0]
      if (due === undefined || due.atMs > endMs) return false
      this.#pop()
      if (due.isCancelled) continue
      this.#nowMs = Math.max(this.#nowMs, due.atMs)
      due.callback()
      return true
    }
  }

  #push(due: Due): void {
    const heap = this.#heap
    let at = heap.push(due) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, due)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = due
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs
}
