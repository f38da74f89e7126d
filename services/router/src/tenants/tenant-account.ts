/**
 * One tenant in this process: its policy, what is left of its rates, and what it has in flight. A
 * call is let in while both rates have something left; its bytes are charged before its rows are
 * made, and given back where the client is told to send them again; its items are charged once they
 * are stored. Nothing is refused after rows were made durable.
 */
import { AppError } from '@tributary/common/errors'
import type { TenantPolicy } from '@tributary/common/tenants/tenant-policy'

import { TokenBucket } from './token-bucket.ts'

/** Nobody stays away for longer: a collector gives up what it would have to keep for minutes. */
const RETRY_DELAY_MS_MAX = 30_000

export class TenantAccount {
  readonly name: string
  /** Bytes and calls in flight: kept by Admission. */
  inFlightBytes = 0
  calls = 0
  /** Last window in which it wanted to be let in: kept by Admission. */
  wantedWindow = -Infinity
  /** Whether it called since the directory looked last. */
  isUsed = true
  /** How many looks of the directory ago it was used. */
  idleLooks = 0
  #policy: TenantPolicy
  #bytes: TokenBucket | undefined
  #items: TokenBucket | undefined

  constructor(name: string, policy: TenantPolicy, share: number, nowMs: number) {
    this.name = name
    this.#policy = policy
    this.configure(policy, share, nowMs)
  }

  get policy(): TenantPolicy {
    return this.#policy
  }

  get hasRate(): boolean {
    return this.#bytes !== undefined || this.#items !== undefined
  }

  /** A new policy, or another share of its rates: 1 for one router, 1/n for n. */
  configure(policy: TenantPolicy, share: number, nowMs: number): void {
    this.#policy = policy
    const { bytesPerSecond, itemsPerSecond, burstMs } = policy
    this.#bytes = changed(this.#bytes, bytesPerSecond * share, burstMs, nowMs)
    this.#items = changed(this.#items, itemsPerSecond * share, burstMs, nowMs)
  }

  /** @throws AppError over_rate with `retryAfterMs`: when its debt will be paid */
  check(nowMs: number, random: () => number): void {
    const { hasRate } = this
    if (!hasRate) return
    if (this.#bytes?.isOpen(nowMs) === false) throw overRate('bytes', this.#bytes, nowMs, random)
    if (this.#items?.isOpen(nowMs) === false) throw overRate('items', this.#items, nowMs, random)
  }

  takeBytes(count: number, nowMs: number): void {
    this.#bytes?.take(count, nowMs)
  }

  giveBytes(count: number): void {
    this.#bytes?.give(count)
  }

  takeItems(count: number, nowMs: number): void {
    this.#items?.take(count, nowMs)
  }

  /** Nothing in it is worth keeping: a new account would be the same. */
  isFresh(nowMs: number): boolean {
    return (
      this.calls === 0 &&
      this.#bytes?.isFull(nowMs) !== false &&
      this.#items?.isFull(nowMs) !== false
    )
  }
}

function changed(
  bucket: TokenBucket | undefined,
  perSecond: number,
  burstMs: number,
  nowMs: number,
): TokenBucket | undefined {
  if (perSecond === 0) return undefined
  const burst = Math.max(1, (perSecond * burstMs) / 1000)
  if (bucket === undefined) return new TokenBucket(perSecond, burst, nowMs)
  bucket.change(perSecond, burst, nowMs)
  return bucket
}

/** Told later than the debt is paid, each client another time: they do not come back together. */
function overRate(
  rate: 'bytes' | 'items',
  bucket: TokenBucket,
  nowMs: number,
  random: () => number,
): AppError {
  const waitMs = bucket.waitMs(nowMs) * (1 + 0.5 * random())
  const retryAfterMs = Math.max(1, Math.ceil(Math.min(RETRY_DELAY_MS_MAX, waitMs)))
  return new AppError('over_rate', `tenant is over its rate of ${rate}`, {
    details: { rate, retryAfterMs },
  })
}
