/**
 * What an answer means, by the status contract of the README. Anything that would make a collector
 * drop data, or keep it for ever, is wrong.
 */
export type Verdict = 'accepted' | 'retry' | 'allowed' | 'unknown' | 'wrong'

export interface HttpAnswer {
  /** 0 where no answer came. */
  readonly status: number
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>
}

/** @param allowed statuses that this load asks for, such as 413 */
export function httpVerdict(answer: HttpAnswer, allowed: readonly number[]): Verdict {
  const { status, body, headers } = answer
  if (status === 0) return 'unknown'
  // a partial success has a body; nothing that is sent here may be rejected
  if (status === 200) return body === '' || body === null ? 'accepted' : 'wrong'
  if (allowed.includes(status)) return 'allowed'
  const isTemporary = status === 429 || status === 503
  return isTemporary && headers['Retry-After'] !== undefined ? 'retry' : 'wrong'
}

export interface GrpcAnswer {
  readonly status: number
  readonly message: unknown
  readonly error: unknown
}

const OK = 0
const CANCELLED = 1
const DEADLINE_EXCEEDED = 4
const RESOURCE_EXHAUSTED = 8
const UNAVAILABLE = 14

export function grpcVerdict({ status, message }: GrpcAnswer): Verdict {
  // k6 hands over a Go number, which is equal to none of ours
  switch (Number(status)) {
    case OK:
      return isEmpty(message) ? 'accepted' : 'wrong'
    case UNAVAILABLE:
    case RESOURCE_EXHAUSTED: // k6 hides details: without RetryInfo it would be a refusal for good
      return 'retry'
    case CANCELLED:
    case DEADLINE_EXCEEDED:
      return 'unknown'
    default:
      return 'wrong'
  }
}

function isEmpty(message: unknown): boolean {
  const { partialSuccess } = (message ?? {}) as { partialSuccess?: unknown }
  return partialSuccess === undefined || partialSuccess === null || partialSuccess === ''
}
