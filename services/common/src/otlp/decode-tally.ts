/**
 * What the decode of one request has met so far: values against their limit, odd input that was
 * repaired, rejected items by reason. One object per request, made current while its bytes are
 * read; item decoders see it as a module-level binding, as they see the cursor.
 */
import { LIMITS } from '../limits.ts'

/** Why an item can never be accepted; the position is the index into the counts. */
export const Reason = {
  none: 0,
  tooLarge: 1,
  tooManyAttributes: 2,
  keyTooLong: 3,
  tooDeep: 4,
  invalidIds: 5,
  tooOld: 6,
  tooNew: 7,
  invalidResource: 8,
  invalidScope: 9,
  invalidMetric: 10,
} as const
export type Reason = (typeof Reason)[keyof typeof Reason]

const REASON_TEXTS = [
  '',
  'larger than the item limit',
  `more than ${LIMITS.attributesPerItemMax} attributes`,
  `an attribute key longer than ${LIMITS.attributeKeyBytesMax} bytes`,
  `values nested deeper than ${LIMITS.anyValueDepthMax}`,
  'an invalid trace, span or parent span id',
  'older than accepted',
  'further in the future than accepted',
  'a resource over the limits',
  'a scope over the limits',
  'a metric header over the limits',
] as const

export interface DecodeCounters {
  /** Attributes dropped because a later one of the same item has their key. */
  duplicateKeys: number
  /** Strings stored with replacement characters. */
  invalidStrings: number
  /** Strings cut at their limit. */
  truncatedStrings: number
  /** Ids of log records stored as absent because of their length or value. */
  invalidIds: number
}

export class DecodeTally implements DecodeCounters {
  duplicateKeys = 0
  invalidStrings = 0
  truncatedStrings = 0
  invalidIds = 0
  itemCount = 0
  valueCount = 0
  rejectedItems = 0
  /** Resources, scopes, new keys and odd items: what costs microseconds each, however few its bytes. */
  slowSteps = 0
  readonly rejectedByReason = new Int32Array(REASON_TEXTS.length)
  /** Attributes of the item at hand whose keys stand in `AttributeColumns.touched`. */
  touched = 0
  /** Effective times of the rows since the last `resetTimes`, as unsigned halves. */
  hasTimes = false
  minLow = 0
  minHigh = 0
  maxLow = 0
  maxHigh = 0
  /** Effective time of the item just decoded, and whether it has its ids or a sub-second part. */
  timeLow = 0
  timeHigh = 0
  isRemovable = false

  reject(reason: Reason, items: number): void {
    this.rejectedItems += items
    this.rejectedByReason[reason]! += items
  }

  /** Takes the time of an accepted item into the range. */
  acceptTime(): void {
    const low = this.timeLow >>> 0
    const high = this.timeHigh >>> 0
    if (!this.hasTimes) {
      this.hasTimes = true
      this.minLow = this.maxLow = low
      this.minHigh = this.maxHigh = high
      return
    }
    if (high < this.minHigh || (high === this.minHigh && low < this.minLow)) {
      this.minLow = low
      this.minHigh = high
    } else if (high > this.maxHigh || (high === this.maxHigh && low > this.maxLow)) {
      this.maxLow = low
      this.maxHigh = high
    }
  }

  resetTimes(): void {
    this.hasTimes = false
  }

  /** For `partial_success`: how many were rejected for what; '' when none. */
  message(itemNoun: string): string {
    if (this.rejectedItems === 0) return ''
    const parts: string[] = []
    for (const [reason, count] of this.rejectedByReason.entries()) {
      if (count > 0) parts.push(`${count} with ${REASON_TEXTS[reason]}`)
    }
    return `${this.rejectedItems} ${itemNoun} rejected: ${parts.join(', ')}`.replaceAll(
      / with (larger|older|further)/g,
      ' $1',
    )
  }
}
