/**
 * How many batches of a partition may go to quarantine: single bad records are put aside and the
 * partition goes on; a stream of them means that something is wrong with us or with who writes, and
 * hiding that away record by record would lose a whole log quietly. Past the budget the partition halts.
 */
import type { Clock } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'

const HOUR_MS = 3_600_000

export class QuarantineBudget {
  readonly #clock: Clock
  readonly #perHourMax: number
  /** Monotonic times, ascending, at most `perHourMax`. */
  #takenMs: number[] = []

  constructor(clock: Clock, perHourMax: number) {
    this.#clock = clock
    this.#perHourMax = perHourMax
  }

  /** Counts one. @throws AppError quarantine_exhausted where that is one too many */
  take(): void {
    const nowMs = this.#clock.monotonicMs()
    this.#takenMs = this.#takenMs.filter((takenMs) => nowMs - takenMs < HOUR_MS)
    if (this.#takenMs.length >= this.#perHourMax) {
      throw new AppError('quarantine_exhausted', 'too many batches go to quarantine', {
        details: { perHourMax: this.#perHourMax },
      })
    }
    this.#takenMs.push(nowMs)
  }
}
