/**
 * What a broker's error code or a broken call means for whoever waits (kafka.apache.org/protocol,
 * error codes), and how it leaves this folder: as an AppError.
 */
import { AppError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'

/**
 * moved: ask somebody else after new metadata, nothing was stored; busy: the same again later, nothing
 * was stored; unknown: may be stored, may be not; too_large, unfit: the same will never do.
 */
export type Verdict = 'moved' | 'busy' | 'unknown' | 'too_large' | 'unfit'

interface KafkaCode {
  readonly name: string
  readonly verdict: Verdict
}

export const NO_ERROR = 0
export const OFFSET_OUT_OF_RANGE = 1
export const UNKNOWN_TOPIC_OR_PARTITION = 3

const CODES: Readonly<Record<number, KafkaCode>> = {
  [-1]: { name: 'UNKNOWN_SERVER_ERROR', verdict: 'unknown' },
  [OFFSET_OUT_OF_RANGE]: { name: 'OFFSET_OUT_OF_RANGE', verdict: 'busy' },
  2: { name: 'CORRUPT_MESSAGE', verdict: 'busy' },
  [UNKNOWN_TOPIC_OR_PARTITION]: { name: 'UNKNOWN_TOPIC_OR_PARTITION', verdict: 'moved' },
  5: { name: 'LEADER_NOT_AVAILABLE', verdict: 'moved' },
  6: { name: 'NOT_LEADER_OR_FOLLOWER', verdict: 'moved' },
  7: { name: 'REQUEST_TIMED_OUT', verdict: 'unknown' },
  8: { name: 'BROKER_NOT_AVAILABLE', verdict: 'moved' },
  9: { name: 'REPLICA_NOT_AVAILABLE', verdict: 'moved' },
  10: { name: 'MESSAGE_TOO_LARGE', verdict: 'too_large' },
  13: { name: 'NETWORK_EXCEPTION', verdict: 'unknown' },
  17: { name: 'INVALID_TOPIC_EXCEPTION', verdict: 'unfit' },
  18: { name: 'RECORD_LIST_TOO_LARGE', verdict: 'too_large' },
  19: { name: 'NOT_ENOUGH_REPLICAS', verdict: 'busy' },
  20: { name: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', verdict: 'unknown' },
  21: { name: 'INVALID_REQUIRED_ACKS', verdict: 'unfit' },
  29: { name: 'TOPIC_AUTHORIZATION_FAILED', verdict: 'unfit' },
  31: { name: 'CLUSTER_AUTHORIZATION_FAILED', verdict: 'unfit' },
  32: { name: 'INVALID_TIMESTAMP', verdict: 'unfit' },
  35: { name: 'UNSUPPORTED_VERSION', verdict: 'unfit' },
  43: { name: 'UNSUPPORTED_FOR_MESSAGE_FORMAT', verdict: 'unfit' },
  44: { name: 'POLICY_VIOLATION', verdict: 'unfit' },
  56: { name: 'KAFKA_STORAGE_ERROR', verdict: 'moved' },
  58: { name: 'SASL_AUTHENTICATION_FAILED', verdict: 'unfit' },
  74: { name: 'FENCED_LEADER_EPOCH', verdict: 'moved' },
  75: { name: 'UNKNOWN_LEADER_EPOCH', verdict: 'moved' },
  78: { name: 'OFFSET_NOT_AVAILABLE', verdict: 'busy' },
  87: { name: 'INVALID_RECORD', verdict: 'unfit' },
  89: { name: 'THROTTLING_QUOTA_EXCEEDED', verdict: 'busy' },
  100: { name: 'UNKNOWN_TOPIC_ID', verdict: 'moved' },
  103: { name: 'INCONSISTENT_TOPIC_ID', verdict: 'moved' },
}

/** Why a call to a broker failed: by its answer, or without one. */
export class KafkaError extends Error {
  /** As Kafka or the system spells it. */
  readonly reason: string
  readonly verdict: Verdict

  constructor(reason: string, verdict: Verdict, cause?: unknown) {
    super(reason, cause === undefined ? undefined : { cause })
    this.name = 'KafkaError'
    this.reason = reason
    this.verdict = verdict
  }
}

/** The failure that a broker's error code stands for; a code without a row may mean anything. */
export function kafkaErrorOf(code: number): KafkaError {
  const known = CODES[code] ?? { name: `error code ${code}`, verdict: 'unknown' }
  return new KafkaError(known.name, known.verdict)
}

const APP_CODES: Readonly<Record<Verdict, ErrorCode>> = {
  moved: 'log_unavailable',
  busy: 'log_unavailable',
  unknown: 'log_unavailable',
  too_large: 'record_too_large',
  unfit: 'log_unfit',
}

/** An AppError for whoever uses the log; an AppError stays what it is. */
export function toLogError(
  error: unknown,
  details: Readonly<Record<string, unknown>> = {},
): AppError {
  if (error instanceof AppError) return error
  const failure = error instanceof KafkaError ? error : kafkajsFailure(error)
  return new AppError(APP_CODES[failure.verdict], MESSAGES[failure.verdict], {
    cause: failure,
    details: { ...details, reason: failure.reason },
  })
}

const MESSAGES: Readonly<Record<Verdict, string>> = {
  moved: 'the log is not available',
  busy: 'the log is not available',
  unknown: 'the log gave no answer, the records may be stored',
  too_large: 'the log does not take records of this size',
  unfit: 'the log cannot be used as it is set up',
}

/** Causes of an error of kafkajs: what says why lies innermost, under "number of retries exceeded". */
const CAUSES_MAX = 8

/**
 * What an error of kafkajs means. Its `retriable` is false even for a refused connection, and `type`
 * is gone once retries are exceeded: the innermost cause that has a code of Kafka decides.
 */
export function kafkajsFailure(error: unknown): KafkaError {
  let inner: unknown = error
  for (let depth = 0; depth < CAUSES_MAX && inner instanceof Error; depth++) {
    const code: unknown = 'code' in inner ? inner.code : undefined
    if (typeof code === 'number' && CODES[code] !== undefined) {
      return new KafkaError(CODES[code].name, CODES[code].verdict, error)
    }
    if (inner.name === 'KafkaJSSASLAuthenticationError') {
      return new KafkaError('SASL_AUTHENTICATION_FAILED', 'unfit', error)
    }
    if (!(inner.cause instanceof Error)) break
    inner = inner.cause
  }
  const reason = inner instanceof Error ? inner.message : String(inner)
  return new KafkaError(reason, 'unknown', error)
}
