/**
 * Bounds the bytes in flight: every call reserves bytes when its headers arrive, grows its
 * reservation as its true size shows, and gives all of it back when it is finished. The sum never
 * exceeds `inFlightBytesMax`, except that a call is always let in when nothing else is in flight, so
 * that a request within the size limit can never be refused for ever. What a refusal looks like on
 * the wire is left to the receivers; both share one admission.
 */
import { strict as assert } from 'node:assert'

import type { Clock } from '@tributary/common/clock'
import { AppError } from '@tributary/common/errors'

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

export class Admission {
  readonly inFlightBytesMax: number
  readonly #clock: Clock
  readonly #random: () => number
  #inFlightBytes = 0
  #reservations = 0
  #refusals = 0
  #windowStartMs: number
  #windowBytes = 0
  #bytesPerMs: number | undefined
  /** One for all reservations: a set of closures for each is garbage of every call. */
  readonly #owner: ReservationOwner = {
    take: (more) => {
      this.#take(more, this.#reservations === 1)
    },
    give: (less) => {
      this.#give(less)
    },
    finish: (rest) => {
      this.#give(rest)
      this.#reservations--
    },
  }

  constructor(options: AdmissionOptions) {
    assert(options.inFlightBytesMax > 0)
    this.inFlightBytesMax = options.inFlightBytesMax
    this.#clock = options.clock
    this.#random = options.random ?? Math.random
    this.#windowStartMs = options.clock.monotonicMs()
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

  /** @throws AppError overloaded */
  reserve(bytes: number): Reservation {
    this.#take(bytes, this.#reservations === 0)
    this.#reservations++
    return new Reservation(bytes, this.#owner)
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

  #take(bytes: number, isAlone: boolean): void {
    if (this.#inFlightBytes + bytes > this.inFlightBytesMax && !isAlone) {
      this.#refusals++
      throw new AppError('overloaded', 'too many bytes in flight', {
        details: { inFlightBytes: this.#inFlightBytes, bytesMax: this.inFlightBytesMax },
      })
    }
    this.#inFlightBytes += bytes
  }

  #give(bytes: number): void {
    this.#inFlightBytes -= bytes
    this.#windowBytes += bytes
    assert(this.#inFlightBytes >= 0, 'more bytes released than reserved')
    this.#measure()
  }

  #measure(): void {
    const elapsedMs = this.#clock.monotonicMs() - this.#windowStartMs
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
  readonly take: (bytes: number) => void
  readonly give: (bytes: number) => void
  readonly finish: (bytes: number) => void
}

/** The bytes of one call. */
export class Reservation {
  readonly #owner: ReservationOwner
  #bytes: number
  #isReleased = false

  constructor(bytes: number, owner: ReservationOwner) {
    this.#bytes = bytes
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
    if (bytes > this.#bytes) this.#owner.take(bytes - this.#bytes)
    else if (bytes < this.#bytes) this.#owner.give(this.#bytes - bytes)
    this.#bytes = bytes
  }

  /** Gives everything back; further calls do nothing. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#owner.finish(this.#bytes)
    this.#bytes = 0
  }
}
