/** What goes wrong with a memory log, by chance under its seed; all chances from 0 to 1. */
export interface MemoryLogFaults {
  /** Least and most time that an append, an answer or a fetch takes, milliseconds. */
  delayMs: readonly [min: number, max: number]
  /** A produce is refused at once: nothing is stored. */
  refusedChance: number
  /** Stored, but no answer comes: log_unavailable when the time is over. */
  lostAnswerChance: number
  /** No answer comes, and the records are stored after the caller has given up. */
  lateStoreChance: number
  /** The client sent twice: stored twice, answered with the second offset. */
  duplicateChance: number
  /** A fetch fails: `trouble`, and the next one goes on. */
  readFailedChance: number
  /** A delivered value has a flipped bit; what is stored is sound. */
  flippedBitChance: number
  /** A question for bounds fails, or leaves out some partitions. */
  boundsFailedChance: number
  /** Records of one delivery: from 1 to this. */
  deliveryRecordsMax: number
  /** Append times differ from the clock by up to this, in both directions: leaders' clocks do. */
  appendSkewMs: number
}

/** Nothing goes wrong and every step takes a millisecond. */
export const HEALTHY_LOG: MemoryLogFaults = {
  delayMs: [1, 1],
  refusedChance: 0,
  lostAnswerChance: 0,
  lateStoreChance: 0,
  duplicateChance: 0,
  readFailedChance: 0,
  flippedBitChance: 0,
  boundsFailedChance: 0,
  deliveryRecordsMax: 16,
  appendSkewMs: 0,
}

/** A bad day: everything goes wrong now and then. */
export const TROUBLED_LOG: MemoryLogFaults = {
  delayMs: [0, 40],
  refusedChance: 0.05,
  lostAnswerChance: 0.05,
  lateStoreChance: 0.03,
  duplicateChance: 0.05,
  readFailedChance: 0.05,
  flippedBitChance: 0.01,
  boundsFailedChance: 0.1,
  deliveryRecordsMax: 7,
  appendSkewMs: 500,
}
