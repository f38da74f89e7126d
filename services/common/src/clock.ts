/** Where every part of the data path gets its time from; tests and the simulator pass their own. */
import { AppError } from './errors.ts'

export interface Timer {
  /** The callback is not called any more; no error where it was. */
  cancel(): void
}

export interface Clock {
  /** Wall clock, milliseconds since 1970: may jump. */
  nowUnixMs(): number
  /** Wall clock, nanoseconds since 1970: may jump; the resolution is that of the platform. */
  nowUnixNano(): bigint
  /** Milliseconds since an arbitrary start, with a fraction: never goes back; for durations. */
  monotonicMs(): number
  /**
   * Resolves after this long, however the wall clock jumps.
   * @throws AppError cancelled as soon as the signal is aborted
   */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>
  /** Calls back once. It does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer
  /** Calls back again and again, first after one interval. It does not keep the process alive. */
  every(intervalMs: number, callback: () => void): Timer
}

const originUnixNano = BigInt(Math.round(performance.timeOrigin * 1000)) * 1000n
const originUnixMs = performance.timeOrigin

export const systemClock: Clock = {
  nowUnixMs: () => Date.now(),
  nowUnixNano,
  monotonicMs: () => performance.now(),
  sleep(durationMs, signal) {
    return sleepWith(signal, (wake) => {
      const timer = setTimeout(wake, durationMs)
      return () => {
        clearTimeout(timer)
      }
    })
  },
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs).unref()
    return {
      cancel: () => {
        clearTimeout(timer)
      },
    }
  },
  every(intervalMs, callback) {
    const timer = setInterval(callback, intervalMs).unref()
    return {
      cancel: () => {
        clearInterval(timer)
      },
    }
  },
}

/** A sleep made of whatever timer `start` sets; `start` answers how to stop it. */
export function sleepWith(
  signal: AbortSignal | undefined,
  start: (wake: () => void) => () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancelled = (): AppError =>
      new AppError('cancelled', 'a wait was ended', { cause: signal?.reason })
    if (signal?.aborted === true) {
      reject(cancelled())
      return
    }
    const onAbort = (): void => {
      stop()
      reject(cancelled())
    }
    const stop = start(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Below a millisecond from the monotonic clock, as long as the wall clock has not moved away. */
function nowUnixNano(): bigint {
  const sinceOriginMs = performance.now()
  const wallMs = Date.now()
  if (Math.abs(originUnixMs + sinceOriginMs - wallMs) > 2) return BigInt(wallMs) * 1_000_000n
  return originUnixNano + BigInt(Math.round(sinceOriginMs * 1e6))
}
