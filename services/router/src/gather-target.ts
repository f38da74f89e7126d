/**
 * How many requests are worth waiting for before an idle log gets them.
 *
 * A batch costs as much CPU as some ten small requests, so requests that come at about the same time
 * should share one. How many come nobody tells; but what gathered the last time is a good guess, and
 * to wait for more than that is tried only now and then. So a client that waits for each answer
 * before it sends the next is hardly ever held up, and neither are eight of them: the batch closes
 * with the eighth request.
 *
 *     target reached at once: closed at once     not reached in time: the target is what has come
 */

/** Batches that close at the same target before more is hoped for: a try costs a whole pause. */
const HELD_COUNT = 256
/** While it grows, it doubles with each batch. */
const GROWTH = 2

export class GatherTarget {
  #requests = 1
  #held = 0
  #isGrowing = true

  /** With so many requests a batch need not wait any longer. */
  get requests(): number {
    return this.#requests
  }

  /** Tells how many requests the batches had that were closed, because there were enough or in time. */
  closed(gathered: number): void {
    if (gathered < this.#requests) {
      this.#requests = Math.max(1, gathered)
      this.#isGrowing = false
      this.#held = 0
      return
    }
    this.#held++
    if (this.#isGrowing || this.#held > HELD_COUNT) {
      this.#requests = Math.max(gathered, this.#requests * GROWTH)
      this.#isGrowing = true
    }
  }
}
