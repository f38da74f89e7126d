/**
 * What time it is by the clocks of the brokers, from the append times in their answers, carried on by
 * this process's monotonic clock. No more than a witness: whoever decides something for good by the own
 * clock (an item of the future is rejected, and never sent again) asks it too, because clocks of
 * machines are wrong by hours now and then.
 *
 * An append happened before its answer was heard, so each one gives a time that is a little late; the
 * best of the last minutes counts, which is that of the fastest answer. Kept by windows, so that a
 * broker whose clock was ahead and was set right is forgotten.
 */
import type { Clock } from '../clock.ts'

/** An estimate of one window counts until the next one ends. */
const WINDOW_MS = 60_000

export class LogTime {
  readonly #clock: Clock
  /** Append time less the monotonic time at which it was heard, the largest of a window. */
  #current: number | undefined
  #previous: number | undefined
  #windowEndsMs: number
  #floorUnixMs: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#windowEndsMs = clock.monotonicMs() + WINDOW_MS
  }

  /** Something was appended just now. Negative: the topic has no append times. */
  heard(appendUnixMs: number): void {
    if (appendUnixMs < 0) return
    const monotonicMs = this.#clock.monotonicMs()
    if (monotonicMs >= this.#windowEndsMs && this.#current !== undefined) {
      this.#previous = this.#current
      this.#current = undefined
      this.#windowEndsMs = monotonicMs + WINDOW_MS
    }
    this.#current = larger(this.#current, appendUnixMs - monotonicMs)
  }

  /** Something was appended at that time, long ago perhaps: it is later now. */
  isAfter(appendUnixMs: number): void {
    if (appendUnixMs >= 0) this.#floorUnixMs = larger(this.#floorUnixMs, appendUnixMs)
  }

  /** Unix milliseconds by the brokers; undefined before the first answer. */
  get nowUnixMs(): number | undefined {
    const offsetMs = larger(this.#previous, this.#current)
    return offsetMs === undefined ? undefined : offsetMs + this.#clock.monotonicMs()
  }

  /** It is at least this late by the brokers; undefined where nothing is known. */
  get floorUnixMs(): number | undefined {
    return larger(this.#floorUnixMs, this.nowUnixMs)
  }
}

function larger(left: number | undefined, right: number): number
function larger(left: number | undefined, right: number | undefined): number | undefined
function larger(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined) return right
  return right === undefined ? left : Math.max(left, right)
}
