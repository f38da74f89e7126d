import { parseTraceparent } from './trace-context.ts'

/** About ten spans each: as much as a queue of 2,048 takes in the five seconds between two exports. */
const REQUESTS_PER_SECOND_MAX = 40

/**
 * Which requests are traced. A client decides for its own: a sampled `traceparent` is followed, and one
 * that is not sampled says no. So our own exports, which carry such a one, are never traced where they
 * come back to us. Whatever clients ask for, no more than a bound a second are.
 */
export class RequestSampler {
  readonly #ratio: number
  readonly #random: () => number
  #secondSinceMs = -Infinity
  #taken = 0

  constructor(ratio: number, random: () => number) {
    this.#ratio = ratio
    this.#random = random
  }

  takes(traceparent: string | undefined, nowMs: number): boolean {
    const context = traceparent === undefined ? undefined : parseTraceparent(traceparent)
    if (!(context?.isSampled ?? this.#random() < this.#ratio)) return false
    if (nowMs - this.#secondSinceMs >= 1000) {
      this.#secondSinceMs = nowMs
      this.#taken = 0
    }
    return ++this.#taken <= REQUESTS_PER_SECOND_MAX
  }
}
