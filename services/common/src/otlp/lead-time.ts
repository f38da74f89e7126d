/**
 * The time of the item that a chunk begins with, by which a router chooses between what its routing
 * table says now and what it said before (routing/shard.ts). A function of the item's bytes alone, so
 * a retry has the same; when the item is decoded, and whether it is accepted, does not matter.
 */
import { AppError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { Signal } from '../signal.ts'
import { cursor, fixedEnd, readTag, skipValue } from './protobuf-cursor.ts'

/** The fixed64 fields: the one that is near the time of sending, and what stands in for it. */
const TIME_TAGS: Readonly<Record<Signal, readonly [wanted: number, instead: number]>> = {
  // time_unix_nano, observed_time_unix_nano
  [Signal.logs]: [0x09, 0x59],
  // end_time_unix_nano, start_time_unix_nano: spans are sent when they end
  [Signal.spans]: [0x41, 0x39],
  // time_unix_nano of points of all kinds; their start may be years ago
  [Signal.metrics]: [0x19, 0x19],
}

/**
 * Nanoseconds since 1970 of the item in [start, end) of the source; 0 where it has no time, or is
 * larger than an item may be, or can't be read: the decoder says so in its own words.
 */
export function leadTimeUnixNano(signal: Signal, start: number, end: number): bigint {
  if (end - start > LIMITS.itemBytesMax) return 0n
  try {
    return readTime(TIME_TAGS[signal], start, end)
  } catch (error) {
    if (error instanceof AppError) return 0n
    throw error
  }
}

function readTime(
  [wanted, instead]: readonly [number, number],
  start: number,
  end: number,
): bigint {
  const { view } = cursor
  let substitute = 0n
  let at = start
  while (at < end) {
    at = readTag(at, end)
    const tag = cursor.low >>> 0
    if (tag !== wanted && tag !== instead) {
      at = skipValue(tag, at, end)
      continue
    }
    const stop = fixedEnd(at, 8, end)
    const time = view.getBigUint64(at, true)
    // the first that there is: which one counts matters less than that all routers take it
    if (tag === wanted && time !== 0n) return time
    if (substitute === 0n) substitute = time
    at = stop
  }
  return substitute
}
