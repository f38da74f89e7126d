/**
 * What a tenant may still use of a rate. It fills at the rate up to its burst, and may go below zero:
 * a request is let in while anything is left, whatever its size turns out to be, and the debt keeps
 * the next ones out until it is paid. So the mean is exactly the rate, no request is too large for
 * ever, and what is known only after decoding can be charged then.
 */
import { strict as assert } from 'node:assert'

export class TokenBucket {
  #perMs: number
  #burst: number
  #tokens: number
  #filledAtMs: number

  /** Begins full. */
  constructor(perSecond: number, burst: number, nowMs: number) {
    assert(perSecond > 0 && burst > 0)
    this.#perMs = perSecond / 1000
    this.#burst = burst
    this.#tokens = burst
    this.#filledAtMs = nowMs
  }

  /** Whether anything is left. */
  isOpen(nowMs: number): boolean {
    if (this.#tokens > 0) return true
    this.#fill(nowMs)
    return this.#tokens > 0
  }

  /** Uses some, more than there are too. */
  take(count: number, nowMs: number): void {
    this.#fill(nowMs)
    this.#tokens -= count
  }

  /** Gives back what was taken for nothing. */
  give(count: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + count)
  }

  /** How long until something is left. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs)
    return this.#tokens > 0 ? 0 : (1 - this.#tokens) / this.#perMs
  }

  isFull(nowMs: number): boolean {
    this.#fill(nowMs)
    return this.#tokens >= this.#burst
  }

  /** Another rate from now on; what was used stays used. */
  change(perSecond: number, burst: number, nowMs: number): void {
    assert(perSecond > 0 && burst > 0)
    this.#fill(nowMs)
    this.#perMs = perSecond / 1000
    this.#burst = burst
    this.#tokens = Math.min(this.#tokens, burst)
  }

  #fill(nowMs: number): void {
    const filled = (nowMs - this.#filledAtMs) * this.#perMs
    this.#filledAtMs = nowMs
    this.#tokens = Math.min(this.#burst, this.#tokens + filled)
  }
}
