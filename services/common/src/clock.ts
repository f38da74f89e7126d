/** Where every part of the data path gets its time from; tests and the simulator pass their own. */
export interface Clock {
  /** Wall clock, milliseconds since 1970: may jump. */
  nowUnixMs(): number
  /** Wall clock, nanoseconds since 1970: may jump; the resolution is that of the platform. */
  nowUnixNano(): bigint
  /** Milliseconds since an arbitrary start, with a fraction: never goes back; for durations. */
  monotonicMs(): number
}

const originUnixNano = BigInt(Math.round(performance.timeOrigin * 1000)) * 1000n
const originUnixMs = performance.timeOrigin

export const systemClock: Clock = {
  nowUnixMs: () => Date.now(),
  nowUnixNano,
  monotonicMs: () => performance.now(),
}

/** Below a millisecond from the monotonic clock, as long as the wall clock has not moved away. */
function nowUnixNano(): bigint {
  const sinceOriginMs = performance.now()
  const wallMs = Date.now()
  if (Math.abs(originUnixMs + sinceOriginMs - wallMs) > 2) return BigInt(wallMs) * 1_000_000n
  return originUnixNano + BigInt(Math.round(sinceOriginMs * 1e6))
}
