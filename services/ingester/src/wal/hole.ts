/** Offsets [start, end) that no segment can give back. */
export interface Hole {
  readonly start: bigint
  readonly end: bigint
  readonly reason: HoleReason
}

/**
 * wal_damaged: acknowledged rows whose bytes are there and unreadable: an alarm.
 * wal_missing: acknowledged rows, and no segment holds their place: an alarm.
 * wal_unacknowledged: frames of the last, unfinished group of writes before a power loss: nobody was
 * told that they are stored, but later frames of that group survived and keep their offsets.
 */
export const HOLE_REASONS = ['wal_damaged', 'wal_missing', 'wal_unacknowledged'] as const
export type HoleReason = (typeof HOLE_REASONS)[number]

export function isHoleReason(word: string): word is HoleReason {
  return (HOLE_REASONS as readonly string[]).includes(word)
}
