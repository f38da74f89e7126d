/**
 * Bounds the bytes in flight: every call reserves bytes when its headers arrive, grows its
 * reservation as its true size shows, and gives all of it back when it is finished. The sum never
 * exceeds `inFlightBytesMax`, except that a call is always let in when nothing else is in flight, so
 * that a request within the size limit can never be refused for ever. What a refusal looks like on
 * the wire is left to the receivers; both share one admission.
 *
 * Tenants share it fairly. Up to half of the bound anybody may take anything. Above, a tenant that has
 * a call in flight may hold its part of seven eighths of the bound, all of them where no other tenant
 * wanted in lately: so there is always room for one that comes new, and a tenant that sends fifty times
 * as much as others can't keep them out.
 */
import { strict as assert } from 'node:assert'

import type { Clock } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'

import type { TenantAccount } from './tenants/tenant-account.ts'

export interface AdmissionOptions {
  readonly inFlightBytesMax: number
  readonly clock: Clock
  /** Uniform in [0, 1); spreads retries. */
  readonly random?: () => number
}

/** The drain rate is measured over windows of this length, smoothed over about three of them. */
const RATE_WINDOW_MS = 1000
const RATE_SMOOTHING = 0.3
/** Nobody retries at once, and nobody stays away long after a short overload. */
const RETRY_DELAY_MS_MIN = 250
const RETRY_DELAY_MS_MAX = 30_000
/** What a client is told before anything was measured, and while nothing drains. */
const RETRY_DELAY_MS_UNKNOWN = 2000
/** Below this part of the bound nobody is refused for the sake of others. */
const UNSHARED_PART = 1 / 2
/** What tenants share; the rest is for those that come new. */
const SHARED_PART = 7 / 8
/** Who wanted in within this time, or the time before, shares: an exporter that sends every few seconds. */
const SHARE_WINDOW_MS = 5000

export class Admission {
  readonly inFlightBytesMax: number
  readonly #clock: Clock
  readonly #random: () => number
  #inFlightBytes = 0
  #reservations = 0
  #refusals = 0
  #shareRefusals = 0
  #windowStartMs: number
  #windowBytes = 0
  #bytesPerMs: number | undefined
  #shareWindow = 0
  #shareWindowEndsMs: number
  /** Tenants that wanted in within this window, and within this one or the one before. */
  #wantingNow = 0
  #wanting = 0
  /** One for all reservations: a set of closures for each is garbage of every call. */
  readonly #owner: ReservationOwner = {
    take: (more, account) => {
      this.#take(more, account, account.calls === 1, this.#reservations === 1)
    },
    give: (less, account) => {
      this.#give(less, account)
    },
    finish: (rest, account) => {
      this.#give(rest, account)
      account.calls--
      this.#reservations--
    },
  }

  constructor(options: AdmissionOptions) {
    assert(options.inFlightBytesMax > 0)
    this.inFlightBytesMax = options.inFlightBytesMax
    this.#clock = options.clock
    this.#random = options.random ?? Math.random
    this.#windowStartMs = options.clock.monotonicMs()
    this.#shareWindowEndsMs = this.#windowStartMs + SHARE_WINDOW_MS
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes
  }

  /** Calls in flight. */
  get reservations(): number {
    return this.#reservations
  }

  /** Calls refused since the start, when they came in or when they grew. */
  get refusals(): number {
    return this.#refusals
  }

  /** Those of them that were refused for the sake of other tenants. */
  get shareRefusals(): number {
    return this.#shareRefusals
  }

  /** Tenants that share the bound now. */
  get sharers(): number {
    return this.#wanting
  }

  /** @throws AppError overloaded */
  reserve(bytes: number, account: TenantAccount): Reservation {
    this.#noteWanting(account)
    this.#take(bytes, account, account.calls === 0, this.#reservations === 0)
    this.#reservations++
    account.calls++
    return new Reservation(bytes, account, this.#owner)
  }

  /**
   * How long a refused client should wait: the time in which the measured drain rate frees half of
   * the bound, times 0.5 to 1.5 so that refused clients do not come back together.
   */
  retryDelayMs(): number {
    this.#measure()
    const rate = this.#bytesPerMs
    const delayMs =
      rate === undefined || rate <= 0
        ? RETRY_DELAY_MS_UNKNOWN
        : Math.max(0, this.#inFlightBytes - this.inFlightBytesMax / 2) / rate
    const bounded = Math.min(RETRY_DELAY_MS_MAX, Math.max(RETRY_DELAY_MS_MIN, delayMs))
    return Math.round(bounded * (0.5 + this.#random()))
  }

  /** `isOnly`: the call is the tenant's only one; `isAlone`: the only one of all. */
  #take(bytes: number, account: TenantAccount, isOnly: boolean, isAlone: boolean): void {
    const total = this.#inFlightBytes + bytes
    if (total > this.inFlightBytesMax && !isAlone) {
      this.#refusals++
      throw new AppError('overloaded', 'too many bytes in flight', {
        details: { inFlightBytes: this.#inFlightBytes, bytesMax: this.inFlightBytesMax },
      })
    }
    if (total > this.inFlightBytesMax * UNSHARED_PART && !isOnly) this.#checkShare(bytes, account)
    this.#inFlightBytes = total
    account.inFlightBytes += bytes
  }

  #checkShare(bytes: number, account: TenantAccount): void {
    const bytesMax = (this.inFlightBytesMax * SHARED_PART) / Math.max(1, this.#wanting)
    if (account.inFlightBytes + bytes <= bytesMax) return
    this.#refusals++
    this.#shareRefusals++
    throw new AppError('overloaded', 'tenant holds its share of the bytes in flight', {
      details: { inFlightBytes: account.inFlightBytes, bytesMax, tenants: this.#wanting },
    })
  }

  /** Counts who wants in, let in or not, over two windows. */
  #noteWanting(account: TenantAccount): void {
    if (account.wantedWindow === this.#shareWindow) return
    if (account.wantedWindow < this.#shareWindow - 1) this.#wanting++
    this.#wantingNow++
    account.wantedWindow = this.#shareWindow
  }

  #nextShareWindow(nowMs: number): void {
    const isRecent = nowMs < this.#shareWindowEndsMs + SHARE_WINDOW_MS
    this.#wanting = isRecent ? this.#wantingNow : 0
    this.#wantingNow = 0
    this.#shareWindow += isRecent ? 1 : 2
    this.#shareWindowEndsMs = nowMs + SHARE_WINDOW_MS
  }

  #give(bytes: number, account: TenantAccount): void {
    this.#inFlightBytes -= bytes
    account.inFlightBytes -= bytes
    this.#windowBytes += bytes
    assert(this.#inFlightBytes >= 0, 'more bytes released than reserved')
    this.#measure()
  }

  #measure(): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs >= this.#shareWindowEndsMs) this.#nextShareWindow(nowMs)
    const elapsedMs = nowMs - this.#windowStartMs
    if (elapsedMs < RATE_WINDOW_MS) return
    const rate = this.#windowBytes / elapsedMs
    this.#bytesPerMs =
      this.#bytesPerMs === undefined
        ? rate
        : this.#bytesPerMs + RATE_SMOOTHING * (rate - this.#bytesPerMs)
    this.#windowBytes = 0
    this.#windowStartMs += elapsedMs
  }
}

interface ReservationOwner {
  readonly take: (bytes: number, account: TenantAccount) => void
  readonly give: (bytes: number, account: TenantAccount) => void
  readonly finish: (bytes: number, account: TenantAccount) => void
}

/** The bytes of one call. */
export class Reservation {
  readonly account: TenantAccount
  readonly #owner: ReservationOwner
  #bytes: number
  #isReleased = false

  constructor(bytes: number, account: TenantAccount, owner: ReservationOwner) {
    this.#bytes = bytes
    this.account = account
    this.#owner = owner
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * Makes the reservation `bytes` in total, larger or smaller.
   * @throws AppError overloaded when the growth does not fit; the reservation stays as it was
   */
  resize(bytes: number): void {
    assert(!this.#isReleased, 'a released reservation is resized')
    if (bytes > this.#bytes) this.#owner.take(bytes - this.#bytes, this.account)
    else if (bytes < this.#bytes) this.#owner.give(this.#bytes - bytes, this.account)
    this.#bytes = bytes
  }

  /** Gives everything back; further calls do nothing. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#owner.finish(this.#bytes, this.account)
    this.#bytes = 0
  }
}
