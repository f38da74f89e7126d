/**
 * The effective time of an item (its time, else its observed time, else the arrival) against the
 * window of accepted times, in halves of 32 bits: no BigInt per item.
 */
import { Reason, type DecodeTally } from './decode-tally.ts'

export class TimeWindow {
  readonly arrivalLow: number
  readonly arrivalHigh: number
  readonly #latestLow: number
  readonly #latestHigh: number
  readonly #hasEarliest: boolean
  readonly #earliestLow: number
  readonly #earliestHigh: number

  /** Times in nanoseconds since 1970; `earliest` undefined accepts any age. */
  constructor(arrival: bigint, latest: bigint, earliest: bigint | undefined) {
    this.arrivalLow = lowHalf(arrival)
    this.arrivalHigh = highHalf(arrival)
    this.#latestLow = lowHalf(latest)
    this.#latestHigh = highHalf(latest)
    this.#hasEarliest = earliest !== undefined
    this.#earliestLow = lowHalf(earliest ?? 0n)
    this.#earliestHigh = highHalf(earliest ?? 0n)
  }

  /** Notes the time of an item that has one, or the arrival when both halves are 0. */
  admit(low: number, high: number, tally: DecodeTally): Reason {
    if (low === 0 && high === 0) {
      tally.timeLow = this.arrivalLow
      tally.timeHigh = this.arrivalHigh
      return Reason.none
    }
    tally.timeLow = low
    tally.timeHigh = high
    const unsignedLow = low >>> 0
    const unsignedHigh = high >>> 0
    if (
      unsignedHigh > this.#latestHigh ||
      (unsignedHigh === this.#latestHigh && unsignedLow > this.#latestLow)
    ) {
      return Reason.tooNew
    }
    const isEarly =
      this.#hasEarliest &&
      (unsignedHigh < this.#earliestHigh ||
        (unsignedHigh === this.#earliestHigh && unsignedLow < this.#earliestLow))
    return isEarly ? Reason.tooOld : Reason.none
  }
}

/** Whether a time has a part below the second: 10^9 is a multiple of 2^9, so few need division. */
export function hasSubSecondPart(low: number, high: number): boolean {
  if ((low & 511) !== 0) return true
  return joinHalves(low, high) % 1_000_000_000n !== 0n
}

export function joinHalves(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}

/** One 64-bit value and its halves, low first: all platforms of Node are little-endian here. */
const bits = new BigUint64Array(1)
const halves = new Uint32Array(bits.buffer)

function lowHalf(value: bigint): number {
  bits[0] = clamp(value)
  return halves[0]!
}

function highHalf(value: bigint): number {
  bits[0] = clamp(value)
  return halves[1]!
}

function clamp(value: bigint): bigint {
  if (value < 0n) return 0n
  return value > 0xffffffffffffffffn ? 0xffffffffffffffffn : value
}
