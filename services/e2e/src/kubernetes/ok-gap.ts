/** The longest time without an OK, seen by looking at a count of OKs often. */
export class OkGap {
  #oks = 0
  #lastOkMs: number
  #longestMs = 0

  constructor(nowMs: number) {
    this.#lastOkMs = nowMs
  }

  /** @param oks so far */
  note(oks: number, nowMs: number): void {
    if (oks === this.#oks) return
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastOkMs)
    this.#lastOkMs = nowMs
    this.#oks = oks
  }

  /** Since the last call, one that has not ended included: it counts again next time, whole. */
  take(nowMs: number): number {
    const longestMs = Math.max(this.#longestMs, nowMs - this.#lastOkMs)
    this.#longestMs = 0
    return longestMs
  }
}
