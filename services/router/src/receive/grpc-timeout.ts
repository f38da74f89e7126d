const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
}

/**
 * How long before its deadline a call is answered: past it the client has forgotten the call, and a
 * collector that hears nothing can't tell an overload from a network that lost its batch.
 */
export function answerMarginMs(timeoutMs: number, sweepIntervalMs: number): number {
  return Math.min(1.5 * sweepIntervalMs, timeoutMs / 4)
}

/** `grpc-timeout` in milliseconds (at most eight digits and a unit); undefined where it is none. */
export function grpcTimeoutMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const match = /^(\d{1,8})([HMSmun])$/.exec(header)
  if (match === null) return undefined
  return Number(match[1]) * UNIT_MS[match[2]!]!
}
