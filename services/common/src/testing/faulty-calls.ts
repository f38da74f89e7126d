/**
 * The way between processes and a store that lives in memory, with faults under a seed: a call may not
 * arrive, its answer may be lost, or it may time out and be executed later, after others. Time is
 * that of the injected clock, so a simulation can run it without waiting.
 */
import type { Clock } from '../clock.ts'
import type { SeededRandom } from './seeded-random.ts'
import { AppError } from '../errors.ts'

/** Chances from 0 to 1, tried in this order. */
export interface CallFaults {
  /** Nothing arrives. */
  readonly unreachable: number
  /** It is executed, the caller hears an error. */
  readonly answerLost: number
  /** The caller hears an error now, it is executed up to `lateMsMax` later. */
  readonly late: number
  readonly lateMsMax: number
}

export const NO_FAULTS: CallFaults = { unreachable: 0, answerLost: 0, late: 0, lateMsMax: 0 }

export interface FaultyCallsOptions {
  /** The clock of the store: it may jump. */
  readonly clock: Pick<Clock, 'nowUnixMs'>
  readonly random: SeededRandom
  readonly faults?: CallFaults
  /** Awaited on the way there and on the way back: where a simulation lets others run. */
  readonly travel?: () => Promise<void>
}

interface LateCall {
  readonly dueMs: number
  readonly execute: (nowMs: number) => void
}

/** Late calls that are kept; the oldest is dropped, as if its connection had ended. */
const LATE_CALLS_MAX = 1000

export class FaultyCalls {
  /** May be changed at any time. */
  faults: CallFaults
  readonly #clock: Pick<Clock, 'nowUnixMs'>
  readonly #random: SeededRandom
  readonly #travel: () => Promise<void>
  #late: LateCall[] = []

  constructor(options: FaultyCallsOptions) {
    this.#clock = options.clock
    this.#random = options.random
    this.faults = options.faults ?? NO_FAULTS
    this.#travel = options.travel ?? (() => Promise.resolve())
  }

  /** A process's connection. */
  line(): CallLine {
    return new CallLine(this)
  }

  /** Calls that timed out and are still on their way. */
  get lateCount(): number {
    return this.#late.length
  }

  /** Executes what is due: every call does it first. */
  runLate(): void {
    const nowMs = this.#clock.nowUnixMs()
    const due = this.#late.filter(({ dueMs }) => dueMs <= nowMs).sort((a, b) => a.dueMs - b.dueMs)
    this.#late = this.#late.filter(({ dueMs }) => dueMs > nowMs)
    for (const { execute } of due) {
      try {
        execute(nowMs)
      } catch {
        // refused by the store, and nobody waits for the answer any more
      }
    }
  }

  /** Calls under way never arrive: what the end of the store's process does to them. */
  dropLate(): void {
    this.#late = []
  }

  /** @throws AppError metadata_unavailable */
  async call<Result>(line: CallLine, execute: (nowMs: number) => Result): Promise<Result> {
    await this.#travel()
    this.runLate()
    const { unreachable, answerLost, late, lateMsMax } = this.faults
    if (line.isCut || this.#random.chance(unreachable)) throw unavailable('unreachable')
    if (this.#random.chance(late)) {
      const dueMs = this.#clock.nowUnixMs() + this.#random.below(lateMsMax + 1)
      this.#late.push({ dueMs, execute })
      if (this.#late.length > LATE_CALLS_MAX) this.#late.shift()
      throw unavailable('timeout')
    }
    const result = execute(this.#clock.nowUnixMs())
    await this.#travel()
    if (line.isCut || this.#random.chance(answerLost)) throw unavailable('connection')
    return result
  }
}

export class CallLine {
  /** No call arrives and no answer comes back while it is true. */
  isCut = false
  readonly #calls: FaultyCalls

  constructor(calls: FaultyCalls) {
    this.#calls = calls
  }

  call<Result>(execute: (nowMs: number) => Result): Promise<Result> {
    return this.#calls.call(this, execute)
  }
}

function unavailable(reason: string): AppError {
  return new AppError('metadata_unavailable', 'metadata store does not answer', {
    details: { reason },
  })
}
